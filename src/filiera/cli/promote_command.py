"""``filiera promote``."""

from __future__ import annotations

import argparse

from filiera.cli.contract_report import print_warnings
from filiera.core.products import ProductRef
from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.serving.contracts import promote


def run(options: argparse.Namespace) -> int:
    """Point an alias at a version."""
    if "@" not in options.which:
        raise UsageError("Say which version.", do=f"filiera promote {options.which}@NUMBER {options.alias}")
    project = Project.open(profile=options.profile)
    ref = ProductRef.parse(options.which)
    version, verification = promote(project, ref, options.alias, reason=options.reason)
    if verification is not None:
        print_warnings(verification)
    print(f"{version.name}@{options.alias} is now version {version.number}")
    return 0
