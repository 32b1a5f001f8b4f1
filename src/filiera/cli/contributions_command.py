"""``filiera contributions``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.cli.importance_command import bar
from filiera.cli.output import print_json, print_table
from filiera.cli.places import find_model
from filiera.cli.previews import write_page
from filiera.cli.ticker import Ticker
from filiera.project.contributing import contributions_of_row, summary_of
from filiera.project.plugins import document_html
from filiera.project.project import Project

if TYPE_CHECKING:
    from filiera.model.contributions_summary import Summary
    from filiera.project.versions import Version


def run(options: argparse.Namespace) -> int:
    """Print what each input of a model added to its answers, or to the answer to one row."""
    from filiera.model.contributions_text import contributions_document, summary_data

    project = Project.open(profile=options.profile)
    version = find_model(project, options.model)
    if options.row is not None:
        return _run_row(project, version, options)
    found = summary_of(project, version, tell=Ticker())
    if options.html:
        write_page(document_html(contributions_document(found, title=version.ref)), Path(options.html))
    elif options.json:
        print_json({"model": version.ref, **summary_data(found)})
    else:
        _print(found, version.ref)
    return 0


def _print(found: Summary, title: str) -> None:
    from filiera.model.contributions_text import summary_table, told

    print(f"{title}: {' '.join(told(found))}\n")
    header, rows = summary_table(found)
    most = max((sum(one.sizes) for one in found.inputs), default=0.0)
    bars = [bar(sum(one.sizes) / most if most > 0 else 0.0) for one in found.inputs]
    cells = [(*row, drawn) for row, drawn in zip(rows, bars, strict=True)]
    print_table([*header, "bar"], cells, right=header[1 : 1 + len(found.outputs)])


def _run_row(project: Project, version: Version, options: argparse.Namespace) -> int:
    from filiera.model.contributions_text import row_data, row_document, row_parts
    from filiera.model.evaluation_text import number
    from filiera.model.importance_text import signed

    found, values, answer = contributions_of_row(project, version, options.row)
    if options.html:
        write_page(document_html(row_document(found, values, answer, title=version.ref)), Path(options.html))
        return 0
    if options.json:
        print_json({"model": version.ref, **row_data(found, values, answer)})
        return 0
    base, result, parts, what = row_parts(found, answer)
    print(
        f"{version.ref} answers {answer}. The {what} is {number(result)}: {number(base)} without any input, and this:\n"
    )
    most = max(abs(added) for _, added in parts)
    rows = [(name, values[name], signed(added), bar(abs(added) / most if most else 0.0)) for name, added in parts]
    print_table(["input", "value", "added", "bar"], rows, right=("added",))
    return 0
