"""``filiera data export``."""

from __future__ import annotations

import argparse

from filiera.cli.output import how_big
from filiera.project.project import Project
from filiera.project.sinks import sink
from filiera.project.tables import find_table


def run(options: argparse.Namespace) -> int:
    """Write a table to a file, a folder or an entry of the catalog."""
    project = Project.open(profile=options.profile)
    target = sink(project, options.to, by=options.by)
    table = find_table(project, options.table, to_use=True)
    count, unit = target.write(table, replace=options.replace)
    print(f"wrote {table.name} to {options.to}  {how_big(count) if unit == 'bytes' else f'{count:,} rows'}")
    return 0
