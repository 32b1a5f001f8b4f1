"""``filiera import``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from filiera.cli.output import print_json
from filiera.cli.ticker import Ticker
from filiera.project.project import Project
from filiera.project.upkeep.importing import Imported, import_runs


def run(options: argparse.Namespace) -> int:
    """Take over the runs of a file."""
    project = Project.open(profile=options.profile)
    done = import_runs(project, Path(options.file), products=options.products, tell=Ticker())
    if options.json:
        print_json(_data(done))
    else:
        _print(done)
    return 0


def _data(done: Imported) -> dict[str, object]:
    versions = [{"there": there, "here": here, "is_new": is_new} for there, here, is_new in done.versions]
    return {"runs": [asdict(run) for run in done.runs], "versions": versions, "results": done.results}


def _print(done: Imported) -> None:
    for run in done.runs:
        if not run.is_new:
            print(f"{run.there} is here already" + (f", as {run.here}" if run.here != run.there else ""))
        else:
            print(f"imported {run.there}" + (f" as {run.here}" if run.here != run.there else ""))
    for there, here, is_new in done.versions:
        print(f"published {here}, {there} there" if is_new else f"{there} is here already, as {here}")
    print(f"{done.results} cached results are new here")
