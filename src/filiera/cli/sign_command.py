"""``filiera sign``."""

from __future__ import annotations

import argparse

from filiera.cli.places import find_version
from filiera.errors import StoreError
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Sign a version, after its bytes were read and compared with their digests."""
    project = Project.open(profile=options.profile)
    version = find_version(project, options.which)
    for part in project.signing.parts(version):
        if part.fault:
            raise StoreError(
                f"{version.ref} was not signed: its {part.name} is damaged.", why=part.fault, do="filiera doctor"
            )
    found = project.signing.sign(version)
    trusted = "" if found.state == "valid" else "; not trusted here yet: filiera keys show"
    print(f"signed {version.ref}  {version.artifact.short}  by {found.by} with {found.key}{trusted}")
    return 0
