"""``filiera predictions pack``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.cli.output import how_big, print_json, print_table
from filiera.errors import UsageError, did_you_mean
from filiera.project.project import Project
from filiera.project.serving.predictions import Predictions, logs_of


def run(options: argparse.Namespace) -> int:
    """Move the predictions of closed segments into tables, and say how much that was."""
    project = Project.open(profile=options.profile)
    known = logs_of(project)
    for name in options.name:
        if name not in known:
            why = f"There are: {', '.join(known) or 'none'}.{did_you_mean(name, known)}"
            raise UsageError(f"No service has logged predictions of {name!r}.", why=why)
    packed = [Predictions(project, name).compact() for name in options.name or known]
    if options.json:
        print_json([asdict(each) for each in packed])
        return 0
    rows = [
        [each.log, f"{each.rows:,}", how_big(each.segment_bytes), how_big(each.part_bytes)]
        for each in packed
        if each.segments
    ]
    if rows:
        print_table(["log", "predictions", "before", "after"], rows, right=("predictions", "before", "after"))
    else:
        print("nothing to pack: it is packed, or services write to it")
    if damaged := sum(each.damaged for each in packed):
        print(f"places that could not be read, such as what a power cut tore: {damaged:,}")
    return 0
