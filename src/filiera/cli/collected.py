"""What is recorded of collected sources, for people and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from filiera.cli.output import how_big, print_table, when
from filiera.core.collected import Collected
from filiera.ports import Row
from filiera.project.collecting import collected_before, collected_by_run, collected_for
from filiera.project.project import Project
from filiera.project.versions import Version

_NAMED = 2
"""Of more sources, only how many they are is told in brief."""


def print_table_of(project: Project, run: Row) -> None:
    """Print what a run collected, and whether it was the same as the time before."""
    table = []
    for source, (collected, artifact) in collected_by_run(project, run["run_id"]).items():
        before = collected_before(project, run, source)
        table.append(
            [
                source,
                collected.place,
                _amount(collected),
                how_big(collected.size_bytes),
                when(collected.at),
                artifact.short,
                _since(collected, before),
            ]
        )
    if table:
        print()
        header = ["source", "from", "what", "read", "at", "content", "since"]
        print_table(header, table, right=("read",))


def _amount(collected: Collected) -> str:
    if collected.rows is not None:
        return f"{collected.rows:,} rows"
    return f"{collected.files:,} files" if collected.files else ""


def _since(collected: Collected, before: tuple[str, Collected] | None) -> str:
    if before is None:
        return "first time"
    run_id, then = before
    if then.fingerprint == collected.fingerprint:
        return f"as in {run_id}"
    if then.rows is not None and collected.rows is not None and then.rows != collected.rows:
        return f"changed since {run_id}: {collected.rows - then.rows:+,} rows"
    return f"changed since {run_id}"


def sources_of(project: Project, version: Version) -> str:
    """Return which sources a version was made from, with the digest of the content they had."""
    found = collected_for(project, version)
    if len(found) > _NAMED:
        return f"{len(found)} sources"
    return ", ".join(f"{name} {one.fingerprint[:12]}" for name, one in found.items())


def told(project: Project, version: Version) -> str:
    """Return what was collected for a version, from where and when."""
    found = collected_for(project, version).values()
    return "; ".join(f"{_amount(one)} from {one.place}, {when(one.at)}" for one in found)


def as_data(collected: Collected) -> dict[str, Any]:
    """Return what is recorded of one collection as JSON data."""
    return asdict(collected)
