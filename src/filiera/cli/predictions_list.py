"""``filiera predictions list``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from filiera.cli.output import how_big, print_json, print_table, when
from filiera.core.value import dataclass
from filiera.project.project import Project
from filiera.project.serving.predictions import Part, Predictions, expired, logs_of


def run(options: argparse.Namespace) -> int:
    """List whose answers are kept: tables, what is not packed yet, and what the next clean-up removes."""
    project = Project.open(profile=options.profile)
    going = expired(project)
    found = [_standing(Predictions(project, name), name, going) for name in logs_of(project)]
    if options.json:
        print_json([asdict(each) for each in found])
        return 0
    rows = [
        [
            each.log,
            f"{each.rows:,}",
            how_big(each.size_bytes),
            when(each.first_at),
            how_big(each.unpacked_bytes),
            f"{each.going_rows:,}" if each.going_rows else "",
        ]
        for each in found
    ]
    header = ["log", "in tables", "size", "since", "not packed", "gc removes"]
    print_table(header, rows, right=("in tables", "size", "not packed", "gc removes"))
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Standing:
    """How much one log has."""

    log: str
    rows: int  #: predictions in tables
    size_bytes: int  #: of these
    first_at: float | None  #: the earliest of these, seconds since the epoch, UTC
    unpacked_bytes: int  #: of segments
    going_rows: int  #: predictions that the next clean-up removes


def _standing(log: Predictions, name: str, going: Sequence[Part]) -> _Standing:
    parts = log.parts()
    return _Standing(
        log=name,
        rows=sum(part.rows for part in parts),
        size_bytes=sum(part.size_bytes for part in parts),
        first_at=min((part.first_at for part in parts), default=None),
        unpacked_bytes=log.segment_bytes(),
        going_rows=sum(part.rows for part in going if part.log == name),
    )
