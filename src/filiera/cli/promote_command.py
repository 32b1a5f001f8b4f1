"""``filiera promote``."""

from __future__ import annotations

import argparse

from filiera.core.products import ProductRef
from filiera.errors import UsageError
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Point an alias at a version."""
    if "@" not in options.which:
        raise UsageError("Say which version.", do=f"filiera promote {options.which}@NUMBER {options.alias}")
    project = Project.open(profile=options.profile)
    ref = ProductRef.parse(options.which)
    version = project.versions.promote(ref, options.alias, reason=options.reason, at=project.clock())
    print(f"{version.name}@{options.alias} is now version {version.number}")
    return 0
