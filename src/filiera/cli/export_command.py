"""``filiera export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from filiera.cli.output import how_big
from filiera.cli.places import find_run
from filiera.cli.ticker import Ticker
from filiera.project.project import Project
from filiera.project.upkeep.exporting import export_runs


def run(options: argparse.Namespace) -> int:
    """Write runs to a file."""
    project = Project.open(profile=options.profile)
    run_ids = [find_run(project, text)[0]["run_id"] for text in options.what]
    file = Path(options.output)
    size_bytes = export_runs(project, run_ids, file, tell=Ticker())
    print(f"wrote {', '.join(sorted(set(run_ids)))} to {file}  {how_big(size_bytes)}")
    return 0
