"""The files that ``path`` of a catalog entry means: one, those of a pattern, or those of a store that must be fetched.

What must be unpacked, decoded or fetched before it can be read goes to a temporary folder (``$TMPDIR``), which lives as
long as the query that reads it.
"""

from __future__ import annotations

import glob
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filiera.adapters.credentials import filled_in
from filiera.adapters.sources.entries import file_digest, fingerprint, reading, regular_file
from filiera.core.collected import Collected
from filiera.core.digest import digest
from filiera.core.task import Entry
from filiera.core.value import dataclass
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://")
_WILDCARD = re.compile(r"[*?\[]")


class Workspace:
    """A temporary folder that is removed when nothing refers to this object any more."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def file(self, suffix: str = "") -> Path:
        """Return the path of a new, empty file."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="filiera-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=suffix, delete=False) as made:
            return Path(made.name)

    @property
    def is_used(self) -> bool:
        """Tell whether there is something in it."""
        return self._folder is not None


class SourceFile(Protocol):
    """One file of a source, wherever it lies."""

    @property
    def name(self) -> str:
        """Its place below the part of the pattern that is fixed, such as ``date=2026-01-01/a.csv``."""

    @property
    def shown(self) -> str:
        """Where it lies, for people, without credentials."""

    def identity(self) -> str:
        """Return a text that changes when its content does. Raises SourceError."""

    def size_bytes(self) -> int:
        """Return how long it is, as it lies there. Raises SourceError."""

    def local(self, workspace: Workspace) -> Path:
        """Return a file to read it from, fetched if need be. Raises SourceError."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine."""

    path: Path
    name: str

    @property
    def shown(self) -> str:
        return str(self.path)

    def identity(self) -> str:
        return file_digest(self.path)

    def size_bytes(self) -> int:
        with reading(self.path):
            return self.path.stat().st_size

    def local(self, workspace: Workspace) -> Path:
        return self.path


def find_files(entry: Entry, root: Path) -> list[SourceFile]:
    """Return the files that the entry's ``path`` means, at least one, in the order of their names.

    ``path`` is relative to *root* and may lie outside; it may be a pattern with ``*``, ``?``, ``[…]`` and ``**``, and
    it may be an address such as ``s3://bucket/orders/*.parquet``.

    Raises:
        SourceError: There is none, or one is no regular file.
        ProjectError: ``path`` names an environment variable that is not set.
    """
    text = filled_in(str(entry["path"]))
    if _ADDRESS.match(text):
        if text.startswith(("https://", "http://")):
            from filiera.adapters.sources.web_files import find_web_file

            return [find_web_file(text, shown=str(entry["path"]))]
        from filiera.adapters.sources.remote_files import find_remote_files

        return find_remote_files(text, shown=str(entry["path"]))
    path = root / text
    if not _WILDCARD.search(text) or path.exists():
        return [LocalFile(regular_file(path, str(entry["type"])), "")]
    base = fixed_part(str(path))
    with reading(Path(base)):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if not Path(name).is_dir())  # noqa: PTH207
    if not found:
        raise none_matches(str(path))
    return [LocalFile(regular_file(file, str(entry["type"])), file.relative_to(base).as_posix()) for file in found]


def none_matches(pattern: str) -> SourceError:
    """Return the error of a pattern without files."""
    return SourceError(
        f"No file is there that matches {pattern}.",
        why="An empty source is almost always a failed export, or a misspelt pattern.",
        do="Correct path in the catalog of filiera.toml; it is relative to that file.",
    )


def fixed_part(pattern: str) -> str:
    """Return the folder of a pattern before its first wildcard.

    >>> fixed_part("data/orders/*/day=?.csv"), fixed_part("*.csv")
    ('data/orders/', '')
    """
    found = _WILDCARD.search(pattern)
    before = pattern if found is None else pattern[: found.start()]
    return before[: before.rfind("/") + 1]


def fingerprint_of_files(entry: Entry, root: Path, *, reader: str) -> str:
    """Return the fingerprint of files: their content, and of several also their names. Raises SourceError."""
    files = find_files(entry, root)
    if len(files) == 1 and not files[0].name:
        return fingerprint(entry, reader=reader, content=files[0].identity())
    parts = [text.encode() for file in files for text in (file.name, file.identity())]
    return fingerprint(entry, reader=reader, content=digest("files/1", *parts))


def note_files(collected: Collected, entry: Entry, files: Sequence[SourceFile], root: Path) -> None:
    """Record which files are read."""
    text = str(entry["path"])
    is_one = len(files) == 1 and not files[0].name
    collected.place = files[0].shown if is_one else text if _ADDRESS.match(text) else str(root / filled_in(text))
    collected.files = len(files)
    collected.size_bytes = sum(file.size_bytes() for file in files)


def partition_of(name: str) -> dict[str, str | None]:
    """Return the columns that the folders of a file's name stand for, as Hive and its successors write them.

    >>> partition_of("date=2026-01-01/shop=n%C3%A9/part-0.csv"), partition_of("a/b=c.csv")
    ({'date': '2026-01-01', 'shop': 'né'}, {})
    """
    from urllib.parse import unquote

    pairs = [folder.partition("=") for folder in name.split("/")[:-1]]
    values = {unquote(key): unquote(value) for key, equals, value in pairs if equals and key}
    return {key: None if value == "__HIVE_DEFAULT_PARTITION__" else value for key, value in values.items()}


def held(query: pl.LazyFrame, workspace: Workspace) -> pl.LazyFrame:
    """Return *query* such that the temporary files it reads are there as long as it is."""
    if not workspace.is_used:
        return query
    from polars.io.plugins import register_io_source

    def batches(
        columns: list[str] | None, predicate: Any, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        assert workspace.is_used
        yield from _pushed(query, columns, predicate, rows).collect_batches(maintain_order=True, engine="streaming")

    return register_io_source(batches, schema=query.collect_schema())


def _pushed(query: pl.LazyFrame, columns: list[str] | None, predicate: Any, rows: int | None) -> pl.LazyFrame:
    if columns is not None:
        query = query.select(columns)
    if predicate is not None:
        query = query.filter(predicate)
    return query if rows is None else query.head(rows)
