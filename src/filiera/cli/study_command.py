"""``filiera study``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.cli.output import print_facts, print_json, print_table, shortened
from filiera.cli.places import find_run, find_step
from filiera.cli.terminal_plots import sparkline
from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.studies import find_study

if TYPE_CHECKING:
    from filiera.model.study import Study


def run(options: argparse.Namespace) -> int:
    """Print the trials of a study, also while it goes on; or write them as a page."""
    from filiera.model.study_report import importance, study_data, study_page

    project = Project.open(profile=options.profile)
    row, step = find_run(project, options.what)
    if step:
        find_step(project, row, step)
    name, study = find_study(project, row, step)
    title = f"Study {row['run_id']}/{name}"
    if options.open:
        file = Path(options.open)
        if file.suffix != ".html":
            raise UsageError(f"A study is written as a page, not to {file.name}.", do="--open study.html")
        try:
            file.write_text(study_page(study, title=title).text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{file} cannot be written.", why=error.strerror or str(error)) from error
        print(f"wrote {file}", file=sys.stderr)
    shares = importance(study)
    if options.json:
        print_json(study_data(study, shares))
    else:
        _print(study, title, {name: f"{share:.0%}" for name, share in shares.items()}, options.limit)
    return 0


def _print(study: Study, title: str, shares: dict[str, str], limit: int) -> None:
    from filiera.model.study import counted
    from filiera.model.study_report import in_order, shown, value_of

    search = study.search
    facts = {
        "study": title.removeprefix("Study "),
        "goal": f"{search.goal} {search.metric or f'what {study.objective} returns'}",
        "trials": counted(study.trials),
        "stopped": study.stopped,
        "sampler": f"{search.sampler}, seed {search.seed}",
    }
    if study.done:
        best = study.best
        told = ", ".join(f"{name} = {shown(value)}" for name, value in best.values.items())
        facts["best"] = f"trial {best.number}: {value_of(best)} with {told}"
        facts["so far"] = sparkline(study.so_far(), 40)
    facts["importance"] = ", ".join(f"{name} {share}" for name, share in shares.items())
    print_facts({name: value for name, value in facts.items() if value})
    if not study.trials:
        return
    print()
    rows = [
        [trial.number, trial.state, value_of(trial), *map(shown, trial.values.values()), shortened(trial.note, 60)]
        for trial in in_order(study)[:limit]
    ]
    print_table(["trial", "state", "value", *study.trials[0].values, "note"], rows, right=("trial", "value"))
    if len(study.trials) > limit:
        print(f"… {len(study.trials) - limit:,} more: --limit {len(study.trials)}, --json, or --open study.html")
