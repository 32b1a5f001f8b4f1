"""Files inside archives (zip, tar, compressed tar), which are read where they lie and never unpacked to disk.

An archive is somebody else's program for writing files. One that holds a path that leads out of it, a link, a device,
the same path twice, or far more bytes than its size can honestly hold is refused as a whole.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from filiera.adapters.sources.entries import reading
from filiera.adapters.sources.whole_files import read_whole
from filiera.errors import SourceError

MAX_RATIO = 200
"""Deflate reaches 1,032, but only on nothing but zeros; images and recordings stay below 20."""
_RATIO_FROM_BYTES = 64 << 20  # less than this harms nobody, whatever the ratio
MAX_UNPACKED_BYTES = 1 << 40

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
_UNPACKERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


class Member(NamedTuple):
    """One file of a folder or an archive."""

    path: str  #: below the folder or inside the archive, with "/" between its parts
    labels: Mapping[str, str]  #: what its path says
    place: str = ""  #: where the file lies by itself, in a folder
    unpack: Callable[[], bytes] | None = None  #: reads one that does not; before the archive is closed

    def read(self) -> bytes:
        """Return the file's bytes. Raises SourceError."""
        if self.unpack:
            return self.unpack()
        try:
            return read_whole(self.place)
        except OSError:
            with reading(Path(self.place)):
                raise


Labels = Callable[[str], Mapping[str, str] | None]
"""Returns what a path says, None of one that is not meant."""


@contextmanager
def archive_members(archive: Path, labels_of: Labels) -> Iterator[Iterator[Member]]:
    """Give the files of *archive* whose paths have labels, as they come; all paths are checked.

    Raises:
        SourceError: It is no archive, damaged, encrypted, or holds what it must not (see the module).
    """
    with reading(archive):
        file = archive.open("rb")
    with file:
        yield _members(archive, file, labels_of)


def _members(archive: Path, file: BinaryIO, labels_of: Labels) -> Iterator[Member]:
    with reading(archive), _damage_told(archive):
        start = file.read(262)
        file.seek(0)
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            yield from _zip_members(archive, file, labels_of)
            return
        unpacker = next((made for magic, made in _UNPACKERS.items() if start.startswith(magic)), None)
        if unpacker is None and start[257:262] != b"ustar":
            raise SourceError(
                f"{archive} is neither a folder nor an archive.",
                why="It does not begin like zip, tar, or tar compressed by gzip, bzip2 or xz.",
                do="Name a folder or an archive, or correct type in the catalog.",
            )
        yield from _tar_members(archive, unpacker(file) if unpacker else file, labels_of)


def _zip_members(archive: Path, file: BinaryIO, labels_of: Labels) -> Iterator[Member]:
    opened = zipfile.ZipFile(file)  # not closed before the last member is read
    budget = _Budget(archive, archive.stat().st_size)
    found: list[tuple[str, zipfile.ZipInfo]] = []
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            _check_folder(archive, info.orig_filename)
            continue
        if kind not in (0, stat.S_IFREG):
            raise _refused(archive, info.filename, "is a link" if stat.S_ISLNK(kind) else "is no regular file")
        if info.flag_bits & 1:
            raise _refused(archive, info.filename, "is encrypted")
        path = _checked(archive, info.orig_filename)
        budget.take(path, info.file_size)
        found.append((path, info))
    for path, info in sorted(found, key=lambda item: item[0]):
        labels = labels_of(path)
        if labels is not None:
            yield Member(path, labels, unpack=_zip_reader(archive, opened, info))


def _zip_reader(archive: Path, opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with _damage_told(archive), opened.open(info) as stream:
                # Never more than was declared, which the budget has seen.
                content = stream.read(info.file_size + 1)
        except NotImplementedError as error:
            raise _refused(archive, info.filename, f"is compressed in a way that is not known here: {error}") from error
        if len(content) != info.file_size:
            raise _refused(archive, info.filename, "has another size than the archive says")
        return content

    return read


def _tar_members(archive: Path, stream: BinaryIO, labels_of: Labels) -> Iterator[Member]:
    budget = _Budget(archive, archive.stat().st_size)
    # A header may be as long as it says it is, and is read at once: what is unpacked is limited, not only the files.
    limited = _Limited(stream, _Budget(archive, archive.stat().st_size))
    with closing(stream), tarfile.open(fileobj=cast(BinaryIO, limited), mode="r|") as opened:
        for info in opened:
            if info.isdir():
                _check_folder(archive, info.name)
                continue
            if not info.isreg():
                what = "is a link" if info.issym() or info.islnk() else "is no regular file"
                raise _refused(archive, info.name, what)
            path = _checked(archive, info.name)
            budget.take(path, info.size)
            labels = labels_of(path)
            if labels is None:
                continue
            part = opened.extractfile(info)
            content = part.read() if part is not None else b""
            if len(content) != info.size:
                raise EOFError(f"{path} ends after {len(content):,} of {info.size:,} bytes")
            yield Member(path, labels, unpack=_given(content))
        if bytes(tarfile.BLOCKSIZE) not in limited.tail:
            raise EOFError("the block that ends a tar archive is missing")
        while limited.read(tarfile.RECORDSIZE):  # the checksum of what is compressed stands behind the archive
            pass


def _given(content: bytes) -> Callable[[], bytes]:
    return lambda: content


class _Budget:
    """What an archive may still hold."""

    def __init__(self, archive: Path, packed_bytes: int) -> None:
        self._archive = archive
        self._limit_bytes = min(MAX_UNPACKED_BYTES, max(_RATIO_FROM_BYTES, MAX_RATIO * packed_bytes))
        self._paths: set[str] = set()
        self._size_bytes = 0

    def spend(self, path: str, size_bytes: int) -> None:
        """Count bytes. Raises SourceError when there is no room left."""
        self._size_bytes += size_bytes
        if self._size_bytes > self._limit_bytes:
            raise _refused(
                self._archive,
                path,
                f"would unpack to more than {self._limit_bytes:,} bytes with what stands before it",
                why=f"No honest archive of this size holds more than {MAX_RATIO} times its bytes: it is a bomb.",
            )

    def take(self, path: str, size_bytes: int) -> None:
        """Count a file. Raises SourceError when the path is there already, or there is no room left."""
        if path in self._paths:
            raise _refused(self._archive, path, "is there twice")
        self._paths.add(path)
        self.spend(path, size_bytes)


class _Limited:
    """A stream that is read no further than a budget allows."""

    def __init__(self, stream: BinaryIO, budget: _Budget) -> None:
        self._stream = stream
        self._budget = budget
        self.tail = b""  #: the last bytes that were read, at least a record of a tar archive

    def read(self, size_bytes: int) -> bytes:
        content = self._stream.read(size_bytes)
        self._budget.spend("what is packed", len(content))
        self.tail = (self.tail + content)[-2 * tarfile.RECORDSIZE :]
        return content


def _check_folder(archive: Path, path: str) -> None:
    if path.rstrip("/") != ".":
        _checked(archive, path.rstrip("/"))


def _checked(archive: Path, path: str) -> str:
    """Return a path inside *archive* as we write it. Raises SourceError when it could lead out of a folder."""
    parts = path.removeprefix("./").split("/")
    if path.startswith("/") or "\\" in path or "\0" in path or (len(path) > 1 and path[1] == ":"):
        raise _refused(archive, path, "is not a relative path")
    if any(part in ("", ".", "..") for part in parts):
        raise _refused(archive, path, "leads out of the archive" if ".." in parts else "is not a plain path")
    return "/".join(parts)


def _refused(archive: Path, path: str, what: str, *, why: str = "") -> SourceError:
    return SourceError(
        f"{archive} is refused: {path!r} in it {what}.",
        why=why or "Whoever unpacks it would write or read where nobody expects it.",
        do="Find out who made the archive; make it anew from regular files with relative paths.",
    )


@contextmanager
def _damage_told(archive: Path) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGED, OSError) as error:
        if (
            isinstance(error, OSError) and error.errno is not None
        ):  # without, it is what bz2 says of bytes it cannot read
            raise
        raise SourceError(
            f"{archive} is a damaged archive.",
            why=f"{str(error) or type(error).__name__}.",
            do="Copy or download it again; it was probably cut off.",
        ) from error
