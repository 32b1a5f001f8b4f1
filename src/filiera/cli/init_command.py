"""``filiera init``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_table
from filiera.errors import UsageError
from filiera.project.templates import make_project, templates


def run(options: argparse.Namespace) -> int:
    """Make a new project from a template."""
    if options.list:
        print_table(["template", "what it is"], list(templates().items()))
        return 0
    if options.name is None:
        raise UsageError("Say what to call the project.", do="filiera init NAME [--template TEMPLATE]")
    made = make_project(options.name, options.template)
    print(f"made {made.folder}\n\nnext:\n  cd {options.name}")
    for command in made.next_commands:
        print(f"  {command}")
    return 0
