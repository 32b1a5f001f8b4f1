"""``filiera keys``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_facts, print_json, print_table
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Make the project's key, or show it and those that are trusted."""
    project = Project.open(profile=options.profile)
    signing, trusted = project.signing, project.config.signing.trusted
    public = signing.make_key() if options.what == "new" else signing.load_key()
    if options.json:
        print_json({"key": public, "file": str(signing.key_file), "trusted": dict(trusted)})
        return 0
    print_facts({"key": public, "file": signing.key_file})
    if trusted:
        print()
        print_table(["trusted", "owner"], list(trusted.items()))
    if signing.key_file.is_relative_to(project.config.root):
        print("\nIt lies in the project's folder: keep it out of version control.")
    if public not in trusted:
        print("\nTo trust what it signs, add to filiera.toml:\n")
        print(f'[signing]\ntrusted = ["{public} {project.config.name}"]')
    return 0
