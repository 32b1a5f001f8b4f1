"""``filiera doctor``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.cli.output import print_json, print_table
from filiera.cli.ticker import Ticker
from filiera.errors import ProjectError, StoreError
from filiera.project.project import Project
from filiera.project.upkeep.health import examine


def run(options: argparse.Namespace) -> int:
    """Print what was examined; 5 when the store has a problem that was not repaired, else 4 when the project has."""
    found = list(examine(Project.open(profile=options.profile), repair=options.repair, tell=Ticker()))
    if options.json:
        print_json([asdict(finding) for finding in found])
    else:
        print_table(["what", "state", "detail"], [[f.what, f.state, f.detail] for f in found])
    areas = {finding.area for finding in found if finding.state == "problem"}
    if "store" in areas:
        return StoreError.exit_code
    return ProjectError.exit_code if areas else 0
