"""``filiera rollback``."""

from __future__ import annotations

import argparse

from filiera.errors import UsageError
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Go back to the version before, at once."""
    if "@" in options.model:
        name = options.model.partition("@")[0]
        raise UsageError(
            "A rollback goes to the version before, whichever that is.",
            do=f"filiera rollback {name}, or filiera promote {options.model} {options.alias}",
        )
    project = Project.open(profile=options.profile)
    gone, now = project.deployments.roll_back(options.model, options.alias, reason=options.reason)
    print(f"{options.model}@{options.alias} is version {now}; callers no longer get version {gone}")
    return 0
