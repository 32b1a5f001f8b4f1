"""The files that a catalog entry means, in folders and archives: found, digested, put together as ``Files``."""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        with archive_members(paths.base, paths.labels) as found:
            yield found
    else:
        yield _in_folder(paths)


def content_of(paths: FilePaths) -> str:
    """Return a digest of names and bytes of the files, or of the archive. Raises SourceError."""
    if paths.is_archive:
        return digest("archive/1", paths.pattern.encode(), bytes.fromhex(file_digest(paths.base)))
    return digest_of_folder(paths, ((member.path, blake3(member.read()).digest()) for member in _in_folder(paths)))


def digest_of_folder(paths: FilePaths, digests: Iterable[tuple[str, bytes]]) -> str:
    """Return what ``content_of`` does, from the paths of the files of a folder and the *digests* of their bytes."""
    parts = [part for path, found in digests for part in (os.fsencode(path), found)]
    return digest("folder/1", paths.pattern.encode(), *parts)


def _in_folder(paths: FilePaths) -> Iterator[Member]:
    found: list[str] = []
    with reading(paths.base):
        _find_files(str(paths.base), "", found)
    found.sort()
    for path in found:
        labels = paths.labels(path)
        if labels is not None:
            yield Member(path, labels, f"{paths.base}/{path}")


def _find_files(folder: str, below: str, found: list[str]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):  # as nearly all are, and the system said so with the name
                found.append(below + entry.name)
            elif entry.is_dir(follow_symlinks=False):
                _find_files(entry.path, f"{below}{entry.name}/", found)
            else:
                _require_link_to_file(entry)
                found.append(below + entry.name)


def _require_link_to_file(entry: os.DirEntry[str]) -> None:
    with reading(Path(entry.path)):
        mode = entry.stat().st_mode
    if stat.S_ISDIR(mode):
        raise SourceError(
            f"{entry.path} is a link to a folder.",
            why="What lies behind it could change, or lead back here, unseen.",
            do="Copy the folder, or remove the link.",
        )
    if not stat.S_ISREG(mode):
        raise SourceError(
            f"{entry.path} is not a regular file.",
            why="A pipe or device has no content that could be named.",
            do="Remove it, or name a folder without it.",
        )


_SOMEWHERE = Place("", 0, 0)


class FileCollector:
    """Puts files together, one by one. Small ones are written to a file that goes when nobody needs it any more."""

    def __init__(self) -> None:
        self._file = folder_of_process(os.getpid()) / f"spool-{os.urandom(8).hex()}"
        self._spool: BinaryIO = self._file.open("xb", buffering=1 << 20)
        self._places: dict[str, Place] = {}
        self._packs: dict[str, Stretch] = {}
        self._waiting: list[tuple[str, bytes]] = []  # in the pack that is being filled
        self._size_bytes = 0  # of these
        self._written = 0

    def add(self, found: str, content: bytes) -> None:
        """Take a file: its digest and its bytes."""
        if found in self._places:
            return
        if len(content) >= PACK_BYTES:
            self._close_pack()
        self._places[found] = _SOMEWHERE
        self._waiting.append((found, content))
        self._size_bytes += len(content)
        if ends_pack(found, self._size_bytes):
            self._close_pack()

    def add_file(self, found: str, file: Path, size_bytes: int) -> None:
        """Take a large file where it lies, by its digest; it is copied when it is stored, if it is still the same."""
        if found not in self._places:
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
        content = b"".join([content for _, content in self._waiting])
        pack = blake3(content).hexdigest()
        start = 0
        for found, part in self._waiting:
            self._places[found] = Place(pack, start, len(part))
            start += len(part)
        self._packs[pack] = Stretch(self._file, self._written, len(content))
        self._spool.write(content)
        self._written += len(content)
        self._waiting, self._size_bytes = [], 0


class _Packs:
    """Where packs lie; the spool file lives as long as this does."""

    def __init__(self, packs: Mapping[str, Stretch]) -> None:
        self._packs = packs

    def __call__(self, pack: str) -> Stretch:
        return self._packs[pack]


def as_table(columns: Mapping[str, Sequence[Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Return *columns* of found files as a table, by path."""
    import polars as pl

    return pl.DataFrame(columns, schema=dict(schema)).sort("path", maintain_order=True)


def file_schema(paths: FilePaths) -> dict[str, Any]:
    """Return the columns that any file has."""
    import polars as pl

    return {**dict.fromkeys(("path", *paths.names, "digest"), pl.String), "size_bytes": pl.UInt64}


def rejected_schema(paths: FilePaths) -> dict[str, Any]:
    """Return the columns of files that are set aside."""
    import polars as pl

    return {**file_schema(paths), PROBLEM: pl.String}
