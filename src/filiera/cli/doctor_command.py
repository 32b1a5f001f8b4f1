"""``filiera doctor``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.cli.output import print_json, print_table
from filiera.errors import StoreError
from filiera.project.health import examine
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Print what was examined; 5 when there is a problem that was not repaired."""
    found = list(examine(Project.open(profile=options.profile), repair=options.repair))
    if options.json:
        print_json([asdict(finding) for finding in found])
    else:
        print_table(["what", "state", "detail"], [[f.what, f.state, f.detail] for f in found])
    return StoreError.exit_code if any(f.state == "problem" for f in found) else 0
