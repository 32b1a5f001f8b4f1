"""``filiera data suggest-checks``."""

from __future__ import annotations

import argparse

from filiera.project.project import Project
from filiera.project.tables import find_table


def run(options: argparse.Namespace) -> int:
    """Print checks that a table passes, as Python to paste."""
    from filiera.data.suggest import as_python, suggest_checks

    table = find_table(Project.open(profile=options.profile), options.table)
    print(f"# Learned from {table.name}: all of them hold there. Read them, correct them, add what you know.")
    print("from filiera import Check\n")
    print(as_python(suggest_checks(table.frame, sensitive=table.sensitive)))
    return 0
