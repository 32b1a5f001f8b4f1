"""``filiera importance``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.cli.output import print_json, print_table, shortened
from filiera.cli.places import find_model
from filiera.cli.previews import write_page
from filiera.cli.ticker import Ticker
from filiera.errors import UsageError
from filiera.project.importances import importance
from filiera.project.plugins import document_html
from filiera.project.project import Project

if TYPE_CHECKING:
    from filiera.model.importance import Importance

_BAR = 24
_LONGEST = 40


def run(options: argparse.Namespace) -> int:
    """Print how much worse a model gets without what each input tells."""
    from filiera.model.importance import Permuting
    from filiera.model.importance_text import importance_data, importance_document

    if options.repeats < 1:
        raise UsageError(f"--repeats takes 1 or more, not {options.repeats}.")
    if options.seed < 0:
        raise UsageError(f"--seed takes 0 or more, not {options.seed}.")
    groups = tuple(tuple(name.strip() for name in group.split(",") if name.strip()) for group in options.group)
    how = Permuting(metric=options.metric, repeats=options.repeats, groups=groups, seed=options.seed)
    project = Project.open(profile=options.profile)
    version = find_model(project, options.model)
    found = importance(project, version, how, tell=Ticker())
    if options.html:
        write_page(document_html(importance_document(found, title=version.ref)), Path(options.html))
    elif options.json:
        print_json({"model": version.ref, **importance_data(found)})
    else:
        print_importance(found, version.ref)
    return 0


def print_importance(found: Importance, title: str) -> None:
    """Print what was found as a table with bars."""
    from filiera.model.importance_text import signed, told, verdict, worse

    print(f"{title}: {' '.join(told(found))}\n")
    most = max((one.value for one in found.inputs), default=0.0)
    rows = [
        (
            shortened(one.name, _LONGEST),
            signed(one.value),
            f"{signed(one.low)} to {signed(one.high)}",
            verdict(one),
            bar(one.value / most if most > 0 else 0.0),
        )
        for one in found.inputs
    ]
    print_table(["input", worse(found), "95 % interval", "", "bar"], rows, right=(worse(found),))
    for note in found.notes:
        print(f"\n{note}")


def bar(share: float) -> str:
    """Return a share of 1 as a bar; '' for none, or less.

    >>> bar(1.0) == "█" * 24, bar(1 / 48), bar(-0.5)
    (True, '▌', '')
    """
    eighths = round(max(share, 0.0) * _BAR * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
