"""``filiera resume``."""

from __future__ import annotations

import argparse

from filiera.cli.places import find_run
from filiera.cli.progress import Progress
from filiera.cli.run_command import report
from filiera.project.launch import resume
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Go on with a run; finished steps are not repeated."""
    project = Project.open(profile=options.profile)
    row, _ = find_run(project, options.what)
    with Progress(project, quiet=options.json) as progress:
        done = resume(project, row["run_id"], listener=progress)
    return report(done, as_json=options.json)
