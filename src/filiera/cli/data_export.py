"""``filiera data export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from filiera.cli.output import how_big
from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.sinks import sink
from filiera.project.tables import find_table

_KINDS = {
    ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".arrow": "arrow", ".delta": "delta",
}  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write a table to a file or folder."""
    from filiera.data.writing import write_table

    project = Project.open(profile=options.profile)
    target, kind = sink(project, options.to) or (Path(options.to), _kind(options.to))
    table = find_table(project, options.table, to_use=True)
    write_table(table.frame, target, kind=kind, by=options.by)
    size_bytes = sum(file.stat().st_size for file in (target.rglob("*") if target.is_dir() else [target]))
    print(f"wrote {table.name} to {options.to}  {how_big(size_bytes)}")
    return 0


def _kind(target: str) -> str:
    if target.endswith("/"):
        return "folder"
    kind = _KINDS.get(Path(target).suffix)
    if kind is None:
        raise UsageError(
            f"{target} has no ending that says what to write.",
            why=f"Known are: {', '.join(_KINDS)}; with a / at the end it is a folder of Parquet files.",
        )
    return kind
