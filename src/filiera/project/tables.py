"""The tables that people name: of a dataset's version, of a step that ran, or in a file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.core.artifact import ArtifactRef
from filiera.core.chunks import TABLE_CODEC, Chunk, write_chunks
from filiera.core.collected import Collected
from filiera.core.digest import blob_digest
from filiera.core.files import FILES_CODEC, Files
from filiera.core.products import ProductRef
from filiera.core.value import dataclass
from filiera.engine.rows import read_refs
from filiera.errors import CodecError, SourceError, UsageError
from filiera.project import plugins
from filiera.project.project import Project
from filiera.project.runs import get_run
from filiera.project.storage import chunks_of_version
from filiera.project.versions import Version

if TYPE_CHECKING:
    import polars as pl

FILE_TYPES = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""The type of catalog entry that reads a file with this ending."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedTable:
    """A table, read when its query is run."""

    name: str  #: such as "flows@3", "flows-7/clean" or "flows.csv"
    frame: pl.LazyFrame
    version: Version | None = None  #: of which it is the content
    artifact: ArtifactRef | None = None  #: that it is stored in; None of a file
    sensitive: tuple[str, ...] = ()  #: columns whose values are not to be shown


def find_table(project: Project, text: str, *, to_use: bool = False) -> NamedTable:
    """Return the table that *text* names, to be looked at, or *to_use* it.

    It is a file if it has the ending of one that can be read; the output of a step if it has a slash, as in
    ``flows-7/clean`` or ``flows/clean``; else a version of a dataset, without ``@`` the newest.

    Raises:
        UsageError: There is no such run, step or dataset, or what it names is no table.
        SourceError: There is no such file, or it cannot be read.
        StoreError: The bytes are missing or damaged.
        Untrusted: It is to be used, and the project asks for a signature that it does not have.
    """
    if kind := file_type(text):
        return NamedTable(name=text, frame=read_file(Path(text), kind), sensitive=_sensitive(project))
    if "/" in text:
        return _of_step(project, text)
    find = project.versions.resolve if to_use else project.versions.get
    return table_of(project, find("dataset", ProductRef.parse(text)))


def files_in(project: Project, table: NamedTable) -> Files | None:
    """Return the files whose table it is, None if it is not one of files. Raises StoreError, CodecError."""
    if table.artifact is None or table.artifact.codec != FILES_CODEC:
        return None
    found: Files = project.value(table.artifact)
    return found


def table_of(project: Project, version: Version) -> NamedTable:
    """Return the table of a dataset's version. Raises StoreError, CodecError."""
    return NamedTable(
        name=version.ref,
        frame=query_of(project, version.artifact, version.ref),
        version=version,
        artifact=version.artifact,
        sensitive=_sensitive(project, version),
    )


def _sensitive(project: Project, version: Version | None = None) -> tuple[str, ...]:
    """Return what the newest version of any dataset calls sensitive, and *version* did: names mean alike everywhere.

    So a column is hidden in what was published before it was called so, and in outputs of steps and files.
    """
    rows = project.records.read("product_names")
    newest = [project.versions.get("dataset", ProductRef(row["name"])) for row in rows if row["kind"] == "dataset"]
    asked = [version, *newest] if version else newest
    return tuple(dict.fromkeys(name for one in asked for name in one.description.get("sensitive", ())))


def quarantine_of(project: Project, text: str) -> NamedTable:
    """Return the rows that were set aside when a dataset's version was checked, to be looked at.

    Raises:
        UsageError: There is no such version, or its checks set no rows aside.
        StoreError, CodecError: The rows cannot be read.
    """
    version = project.versions.get("dataset", ProductRef.parse(text))
    ref = version.attachments.get("quarantine")
    if ref is None:
        raise UsageError(
            f"No rows of {version.ref} were set aside.",
            why="None of its checks has the severity quarantine.",
            do='Check.in_range("age", 0, 120, severity="quarantine") sets rows aside instead of ending the run.',
        )
    return NamedTable(
        name=version.ref,
        frame=query_of(project, ref, f"the quarantine of {version.ref}"),
        version=version,
        sensitive=_sensitive(project, version),
    )


def rows_apart(project: Project, before: NamedTable, after: NamedTable) -> tuple[pl.LazyFrame, pl.LazyFrame] | None:
    """Return the rows of two versions without the files that both have; None when they are not stored so.

    A row in such a file is in both tables, so that what differs is among the others. Raises StoreError, CodecError.
    """
    chunks = [chunks_of_version(project, table.version) if table.version else () for table in (before, after)]
    if not all(chunks):
        return None
    counts = [Counter(one) for one in chunks]
    return (
        _of_chunks(project, before.frame, counts[0] - counts[1]),
        _of_chunks(project, after.frame, counts[1] - counts[0]),
    )


def _of_chunks(project: Project, table: pl.LazyFrame, chunks: Counter[Chunk]) -> pl.LazyFrame:
    if not chunks:
        return table.clear()
    manifest = write_chunks(chunks.elements())
    ref = ArtifactRef(digest=blob_digest(manifest), codec=TABLE_CODEC, size_bytes=len(manifest), inline=manifest)
    found: pl.LazyFrame = project.artifacts.get(ref, lazily=True)
    return found


def file_type(name: str) -> str:
    """Return the type of catalog entry that reads a file of this name; '' when none does.

    >>> file_type("flows.csv.gz"), file_type("flows@3")
    ('csv', '')
    """
    return FILE_TYPES.get(Path(name.removesuffix(".gz")).suffix, "")


def read_file(file: Path, kind: str) -> pl.LazyFrame:
    """Return the table in a file. Raises SourceError."""
    path = file.absolute()
    if not path.exists():
        raise SourceError(f"There is no file {file}.", do=f"Name one that is there, from {Path.cwd()}.")
    entry = {"type": kind, "path": str(path)}
    reader = plugins.source_reader(kind)
    reader.check(entry)
    found: pl.LazyFrame = reader.read(entry, path.parent, Collected(entry=entry)).lazy()
    return found


def _of_step(project: Project, text: str) -> NamedTable:
    name, _, step = text.partition("/")
    rows = project.records.read("latest_run_of_pipeline", {"pipeline": name})
    run_id = (rows[0] if rows else get_run(project, name))["run_id"]
    rows = project.records.read("get_step_run", {"run_id": run_id, "step": step})
    refs = read_refs(rows[0]["outputs"], project.versions.inline) if rows else ()
    if not refs:
        why = "The run has no record of that step." if not rows else "It returned nothing, or did not end."
        raise UsageError(f"Step {step!r} of {run_id} has no output.", why=why, do=f"filiera show {run_id}")
    return NamedTable(
        name=f"{run_id}/{step}",
        frame=query_of(project, refs[0], f"{run_id}/{step}"),
        artifact=refs[0],
        sensitive=_sensitive(project),
    )


def query_of(project: Project, ref: ArtifactRef, name: str) -> pl.LazyFrame:
    """Return a stored table; *name* is what an error calls it. Raises StoreError, CodecError."""
    from filiera.data.as_table import as_query

    found: Any = project.artifacts.get(ref, lazily=True)
    query = as_query(found)
    if query is None:
        raise CodecError(f"{name} is no table.", why=f"It is a {type(found).__name__}, stored by codec {ref.codec!r}.")
    return query
