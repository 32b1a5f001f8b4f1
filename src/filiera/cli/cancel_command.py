"""``filiera cancel``."""

from __future__ import annotations

import argparse

from filiera.cli.places import find_run
from filiera.project.launch import cancel
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Ask a run's driver to stop."""
    project = Project.open(profile=options.profile)
    row, _ = find_run(project, options.what)
    cancel(project, row["run_id"])
    print(f"asked {row['run_id']} to stop; see filiera runs")
    return 0
