"""The files that a catalog entry means, in folders and archives: found, digested, put together as ``Files``."""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from blake3 import blake3

from filiera.adapters.codecs.files import folder_of_process
from filiera.adapters.sources.archives import Member, archive_members
from filiera.adapters.sources.entries import file_digest, reading
from filiera.adapters.sources.file_paths import FilePaths
from filiera.core.digest import digest
from filiera.core.files import PACK_BYTES, PROBLEM, Files, Place, Stretch, ends_pack
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl


@contextmanager
def members(paths: FilePaths) -> Iterator[Iterator[Member]]:
    """Give the files that *paths* means, by path; those of a tar archive as they come. Read them before it ends.

    Raises:
        SourceError: A folder or archive cannot be read, or holds a link to a folder or a special file.
    """
    if paths.is_archive:
        with archive_members(paths.base, lambda path: paths.labels(path) is not None) as found:
            yield found
    else:
        yield _in_folder(paths)


def content_of(paths: FilePaths) -> str:
    """Return a digest of names and bytes of the files, or of the archive. Raises SourceError."""
    if paths.is_archive:
        return digest("archive/1", paths.pattern.encode(), bytes.fromhex(file_digest(paths.base)))
    parts: list[bytes] = []
    for member in _in_folder(paths):
        parts += os.fsencode(member.path), blake3(member.read()).digest()
    return digest("folder/1", paths.pattern.encode(), *parts)


def _in_folder(paths: FilePaths) -> Iterator[Member]:
    with reading(paths.base):
        found = sorted(_files(str(paths.base), ""))
    for path, size_bytes in found:
        if paths.labels(path) is not None:
            file = paths.base / path
            yield Member(path=path, size_bytes=size_bytes, read=_reader(file), file=file)


def _reader(file: Path) -> Any:
    def read() -> bytes:
        with reading(file), open(file, "rb", buffering=0) as stream:  # noqa: PTH123 a third of the time for small files
            return stream.read()

    return read


def _files(folder: str, below: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                found = entry.stat()
            except OSError:
                with reading(Path(entry.path)):
                    raise
            if entry.is_symlink() and stat.S_ISDIR(found.st_mode):
                raise SourceError(
                    f"{entry.path} is a link to a folder.",
                    why="What lies behind it could change, or lead back here, unseen.",
                    do="Copy the folder, or remove the link.",
                )
            if stat.S_ISDIR(found.st_mode):
                yield from _files(entry.path, f"{below}{entry.name}/")
            elif stat.S_ISREG(found.st_mode):
                yield f"{below}{entry.name}", found.st_size
            else:
                raise SourceError(
                    f"{entry.path} is not a regular file.",
                    why="A pipe or device has no content that could be named.",
                    do="Remove it, or name a folder without it.",
                )


class FileCollector:
    """Puts files together, one by one. Small ones are written to a file that goes when nobody needs it any more."""

    def __init__(self) -> None:
        self._file = folder_of_process(os.getpid()) / f"spool-{os.urandom(8).hex()}"
        self._spool: BinaryIO = self._file.open("xb", buffering=1 << 20)
        self._places: dict[str, Place] = {}
        self._packs: dict[str, Stretch] = {}
        self._waiting: list[tuple[str, int, int]] = []
        self._hasher: Any = blake3()
        self._start = 0
        self._end = 0

    def add(self, found: str, content: bytes, file: Path | None) -> None:
        """Take a file: its digest, its bytes, and where it lies if by itself."""
        if found in self._places:
            return
        size_bytes = len(content)
        if size_bytes >= PACK_BYTES:
            if file is not None:
                self.add_file(found, file, size_bytes)
                return
            self._close_pack()
            self._spool.write(content)
            self._packs[found] = Stretch(self._file, self._end, size_bytes)
            self._start = self._end = self._end + size_bytes
            self._places[found] = Place(found, 0, size_bytes)
            return
        self._spool.write(content)
        self._hasher.update(content)
        self._waiting.append((found, self._end - self._start, size_bytes))
        self._places[found] = Place("", 0, 0)
        self._end += size_bytes
        if ends_pack(found, self._end - self._start):
            self._close_pack()

    def add_file(self, found: str, file: Path, size_bytes: int) -> None:
        """Take a large file where it lies, by its digest; it is copied when it is stored, if it is still the same."""
        self._packs[found] = Stretch(file, 0, size_bytes)
        self._places[found] = Place(found, 0, size_bytes)

    def finish(self, table: pl.DataFrame, rejected: pl.DataFrame) -> Files:
        """Return all that was added, with these tables."""
        self._close_pack()
        self._spool.close()
        packs = _Packs(self._packs)
        weakref.finalize(packs, self._file.unlink, missing_ok=True)
        return Files(table, rejected=rejected, places=self._places, packs=packs)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._spool.close()
        self._file.unlink(missing_ok=True)

    def _close_pack(self) -> None:
        if not self._waiting:
            return
        pack = self._hasher.hexdigest()
        for found, start, size_bytes in self._waiting:
            self._places[found] = Place(pack, start, size_bytes)
        self._packs[pack] = Stretch(self._file, self._start, self._end - self._start)
        self._waiting, self._hasher, self._start = [], blake3(), self._end


class _Packs:
    """Where packs lie; the spool file lives as long as this does."""

    def __init__(self, packs: Mapping[str, Stretch]) -> None:
        self._packs = packs

    def __call__(self, pack: str) -> Stretch:
        return self._packs[pack]


def as_table(rows: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Return rows of found files as a table, by path."""
    import polars as pl

    return pl.DataFrame(rows, schema=dict(schema), orient="row").sort("path", maintain_order=True)


def rejected_schema(paths: FilePaths) -> dict[str, Any]:
    """Return the columns of files that are set aside."""
    import polars as pl

    texts = dict.fromkeys(("path", *paths.names, "digest"), pl.String)
    return {**texts, "size_bytes": pl.UInt64, PROBLEM: pl.String}
