"""Collecting a source: the value, what is recorded of it, and the refusal of a source that changed meanwhile."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.core.artifact import ArtifactRef
from filiera.core.collected import ATTACHED, Collected
from filiera.core.files import Files
from filiera.core.graph import Known
from filiera.engine.rows import read_refs
from filiera.errors import SourceError
from filiera.ports import GrowingReader, Row, SourceReader
from filiera.project.plugins import source_reader

if TYPE_CHECKING:
    import polars as pl

    from filiera.project.project import Project
    from filiera.project.versions import Version

COLLECT = "filiera.project.builtin:collect"
"""The address of the step that collects."""
STEP = "collect-"
"""So the steps are named, with the source behind it."""


def collected_value(
    reader: SourceReader,
    entry: Mapping[str, Any],
    fingerprint: str,
    *,
    root: Path,
    before: tuple[Any, Collected] | None = None,
) -> tuple[Any, Collected]:
    """Return the value of a catalog entry, and what is recorded of it, complete when the value is stored.

    Raises:
        SourceError: The source is missing, unreadable, not what was declared, or changed since the run was planned.
    """
    collected = Collected(entry=dict(entry), fingerprint=fingerprint, at=time.time())
    if before is not None and isinstance(reader, GrowingReader):
        value = reader.read_more(entry, root, collected, before)
    else:
        value = reader.read(entry, root, collected)
    if isinstance(value, Files):
        print(value.summary)

    def verify() -> None:
        if not collected.is_snapshot and reader.fingerprint(entry, root) != fingerprint:
            raise SourceError(
                f"The source {collected.place or entry['type']} changed while it was read.",
                why="Its content is not what it was when the run was planned.",
                do="Run again when nobody writes to it.",
            )

    polars = sys.modules.get("polars")
    if polars is not None and isinstance(value, polars.LazyFrame):
        return _counted(value, collected, verify), collected
    shape: tuple[int, ...] = getattr(value, "shape", ())
    collected.rows = shape[0] if len(shape) == 2 else None
    verify()
    return value, collected


def _counted(query: pl.LazyFrame, collected: Collected, verify: Callable[[], None]) -> pl.LazyFrame:
    """Return *query* so that, when it is run, its rows are counted and the source is looked at once more."""
    from polars.io.plugins import register_io_source

    def batches(
        columns: list[str] | None, predicate: object, row_count: int | None, batch_rows: int | None
    ) -> Iterator[pl.DataFrame]:
        collected.rows = 0
        with _breaking_off(collected):
            for batch in query.collect_batches(maintain_order=True, engine="streaming"):
                collected.rows += batch.height
                yield batch
        verify()
        if not collected.rows:
            raise no_rows(collected.place)

    return register_io_source(batches, schema=query.collect_schema())


@contextmanager
def _breaking_off(collected: Collected) -> Iterator[None]:
    """Turn what Polars and the system say of a source that was sound when reading began into SourceError."""
    from polars.exceptions import PanicException, PolarsError

    try:
        yield
    except (PolarsError, PanicException, OSError) as error:
        raise SourceError(
            f"Reading {collected.place} broke off after {collected.rows:,} rows.",
            why=str(error).strip().partition("\n")[0],
            do="If somebody writes to it, run again later; else look whether it is whole.",
        ) from error


def collected_by_run(project: Project, run_id: str) -> dict[str, tuple[Collected, ArtifactRef]]:
    """Return by source what a run collected: what is recorded of it, and the artifact that the value was stored as."""
    found = {}
    for step in project.records.read("steps_in_brief", {"run_id": run_id}):
        if step["step"].startswith(STEP):
            row = project.records.read("get_step_run", {"run_id": run_id, "step": step["step"]})[0]
            collected = _of_step(project, row)
            if collected is not None:
                found[step["step"].removeprefix(STEP)] = collected
    return found


def collected_before(project: Project, run: Row, source: str) -> tuple[str, Collected] | None:
    """Return the newest run of the pipeline before this one that collected a source, and what it recorded."""
    where = {name: run[name] for name in ("pipeline", "started_at", "run_id")}
    rows = project.records.read("step_run_before", {**where, "step": f"{STEP}{source}"})
    collected = _of_step(project, rows[0]) if rows else None
    return (rows[0]["run_id"], collected[0]) if collected else None


def to_grow(project: Project, pipeline: str, source: str, entry: Mapping[str, Any]) -> dict[str, Known]:
    """Return the newest collection of a source that grows, by parameter of the step that goes on from it."""
    reader = source_reader(entry["type"])
    if not (isinstance(reader, GrowingReader) and reader.grows(entry)):
        return {}
    for row in project.records.read("newest_outputs_of_step", {"pipeline": pipeline, "step": f"{STEP}{source}"}):
        refs = read_refs(row["outputs"], project.versions.inline)
        if len(refs) == 2 and all(map(project.holds, refs)) and project.value(refs[1]).entry == entry:
            before, told = (Known(ref, f"{row['run_id']}/{STEP}{source}") for ref in refs)
            return {"before": before, "told": told}
    return {}


def collected_for(project: Project, version: Version) -> dict[str, Collected]:
    """Return by source what is recorded of the sources that a version was made from."""
    return {
        name.removeprefix(ATTACHED): project.value(version.attachments[name])
        for name in version.attachments
        if name.startswith(ATTACHED)
    }


def _of_step(project: Project, row: Row) -> tuple[Collected, ArtifactRef] | None:
    refs = read_refs(row["outputs"], project.versions.inline)
    return (project.value(refs[1]), refs[0]) if len(refs) == 2 else None


def no_rows(place: str) -> SourceError:
    """Return the error of a source that is there but holds nothing."""
    return SourceError(
        f"{place} has no rows.",
        why="An empty source is almost always a failed export, and nothing could be learned from it.",
        do="Check what writes it.",
    )
