"""Runs of a project as one file: their records, values, logs, and what the cache knows of them.

An archive has a member for each table, with a row of JSON per line; for each blob, named by its digest; and for each
log. The same runs give the same bytes.
"""

from __future__ import annotations

import json
import os
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, cast

from filiera.adapters.local_disk import disk_error
from filiera.adapters.run_archive import ArchiveWriter
from filiera.core.artifact import ArtifactRef
from filiera.engine.rows import read_metrics, read_refs
from filiera.errors import StoreError, UsageError
from filiera.ports import Row
from filiera.project import plugins
from filiera.project.project import Project
from filiera.project.record import blobs_named
from filiera.project.runs import is_driven, log_folder
from filiera.project.upkeep.marks import Tell
from filiera.sql.loader import SCHEMA_VERSION

FORMAT = "filiera-archive"
FORMAT_VERSION = 1
TABLES = ("run", "step_run", "event", "artifact", "cache_entry", "closure", "product_version")
_AT_ONCE = 2000


def export_runs(project: Project, run_ids: Sequence[str], file: Path, *, tell: Tell) -> int:
    """Write runs, with all that they need elsewhere, to a new *file*; return its size in bytes.

    Raises:
        UsageError: There is no such run, it is under way, or the file is there already.
        StoreError: The store cannot be read, lacks bytes that a run names, or the file cannot be written.
    """
    if file.exists():
        raise UsageError(f"{file} is there already.", do="Name another file, or remove it.")
    runs = [_finished_run(project, run_id) for run_id in sorted(set(run_ids))]
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    writer = ArchiveWriter(part)
    try:
        with _Export(project, writer, tell) as export:
            for run in runs:
                export.run(run)
            export.finish([run["run_id"] for run in runs])
        try:
            part.replace(file)
            return file.stat().st_size
        except OSError as error:
            raise disk_error(error, file) from error
    except BaseException:
        writer.abandon()
        raise


def _finished_run(project: Project, run_id: str) -> Row:
    rows = project.records.read("get_run", {"run_id": run_id})
    if not rows:
        raise UsageError(f"There is no run {run_id!r}.", do="filiera runs")
    row = rows[0]
    if row["state"] != "running":
        return row
    if is_driven(project, row):
        why = "What it records is still changing."
        raise UsageError(f"Run {run_id} is under way.", why=why, do=f"Wait for it, or filiera cancel {run_id}.")
    return {**row, "state": "interrupted", "failure": "its driver was gone"}


class _Export:
    """One archive being written: rows go to files by table first, since a run's tables are read one after another."""

    def __init__(self, project: Project, writer: ArchiveWriter, tell: Tell) -> None:
        self._project = project
        self._records = project.records
        self._writer = writer
        self._tell = tell
        self._stack = ExitStack()
        self._tables = {table: self._stack.enter_context(_spool()) for table in TABLES}
        self._artifacts: set[ArtifactRef] = set()
        self._closures: set[str] = set()
        self._keys: dict[str, tuple[str, str]] = {}  #: cache keys, with a run and step of this archive that used each
        self._blobs: set[str] = set()
        self._logs: list[tuple[str, Path]] = []

    def __enter__(self) -> _Export:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def run(self, run: Row) -> None:
        """Add a run, its steps, events, versions and logs."""
        run_id = run["run_id"]
        self._add("run", run)
        self._blobs.update(blobs_named(json.loads(run["record"])))
        for step in self._rows("steps_of_run_after", {"run_id": run_id, "step": ""}, "step"):
            self._add("step_run", step)
            self._name(step["outputs"])
            if (logged := read_metrics(step["metrics"])) is not None:
                self._artifacts.add(logged.curves)
            if step["key"]:
                self._keys.setdefault(step["key"], (run_id, step["step"]))
            if step["closure_digest"]:
                self._closures.add(step["closure_digest"])
        for event in self._rows("events_of_run_after", {"run_id": run_id, "seq": 0}, "seq"):
            self._add("event", event)
        for version in self._records.read("versions_of_run", {"run_id": run_id}):
            self._add("product_version", version)
            for text in (version["artifact"], *json.loads(version["body"])["attachments"].values()):
                self._name(text)
        folder = log_folder(self._project, run_id)
        if folder.is_dir():
            self._logs += [(f"logs/{run_id}/{file.name}", file) for file in sorted(folder.iterdir()) if file.is_file()]

    def finish(self, run_ids: Sequence[str]) -> None:
        """Write all that was added, and what it needs, and make the file whole."""
        for key, (run_id, step) in sorted(self._keys.items()):
            for row in self._records.read("get_result", {"key": key}):
                # Whoever made it first, here it is known from this run.
                self._add("cache_entry", {**row, "run_id": run_id, "step": step})
                self._name(row["outputs"])
        for digest in sorted(self._closures):
            for row in self._records.read("get_closure", {"digest": digest}):
                self._add("closure", {"digest": digest, **row})
        for ref in sorted(self._artifacts, key=lambda ref: ref.identity):
            self._artifact(ref)
        for table, spooled in self._tables.items():
            size_bytes = spooled.tell()
            spooled.seek(0)
            self._writer.write(f"records/{table}.jsonl", spooled, size_bytes)
        self._write_files()
        self._writer.close({"format": FORMAT, "version": FORMAT_VERSION, "schema": SCHEMA_VERSION, "runs": [*run_ids]})

    def _write_files(self) -> None:
        for count, digest in enumerate(sorted(self._blobs)):
            with self._project.blobs.path(digest).open("rb") as blob:
                if self._writer.write(f"blobs/{digest}", blob, os.fstat(blob.fileno()).st_size) != digest:
                    raise StoreError(f"Blob {digest[:12]} was changed while it was read.", do="filiera doctor")
            self._tell(f"{count + 1:,} of {len(self._blobs):,} values written")
        for name, file in self._logs:
            with file.open("rb") as log:
                self._writer.write(name, log, os.fstat(log.fileno()).st_size)

    def _artifact(self, ref: ArtifactRef) -> None:
        rows = self._records.read("get_artifact", {"digest": ref.digest, "codec": ref.codec})
        if not rows:
            raise StoreError(f"Artifact {ref.short} is not in the records.", do="filiera doctor")
        content = rows[0]["inline"]
        self._add("artifact", {**rows[0], "inline": None if content is None else b64encode(content).decode()})
        whole = ArtifactRef(digest=ref.digest, codec=ref.codec, size_bytes=ref.size_bytes, inline=content)
        self._blobs.update(plugins.blobs_of(whole, self._project.blobs.get))

    def _name(self, outputs: str) -> None:
        self._artifacts.update(read_refs(outputs, _no_bytes))

    def _rows(self, query: str, place: dict[str, Any], column: str) -> Iterator[Row]:
        while rows := self._records.read(query, {**place, "limit": _AT_ONCE}):
            yield from rows
            place = {**place, column: rows[-1][column]}

    def _add(self, table: str, row: Mapping[str, Any]) -> None:
        text = json.dumps(row, sort_keys=True, separators=(",", ":"))
        self._tables[table].write(text.encode() + b"\n")


def _spool() -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile())


def _no_bytes(digest: str, codec: str) -> None:
    """Stand in for what finds the bytes of small artifacts, which are looked up once for all."""
