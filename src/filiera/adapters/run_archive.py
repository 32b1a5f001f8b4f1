"""One file with many: a zip archive that is the same whenever it is made, and believed only once all of it is verified.

Nothing in it is compressed, so that its parts cannot be larger than the file, and large values are copied, not held in
memory. The manifest, written last, has the digest and size of every other member; each is read and compared before
anything of it is used. Names are of a few known forms: a member can lead nowhere.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from blake3 import blake3

from filiera.adapters.local_disk import disk_error
from filiera.errors import ArchiveError, UsageError
from filiera.ports import BlobStore

MANIFEST = "manifest.json"
_BEGINNING = (1980, 1, 1, 0, 0, 0)  # the first time that the format knows: when it was made is not part of it
_PIECE_BYTES = 1024 * 1024
_LONGEST_LINE_BYTES = 64 * 1024 * 1024
_NAME = re.compile(
    r"manifest\.json|records/[a-z_]{1,40}\.jsonl|blobs/[0-9a-f]{64}|logs/[A-Za-z][\w-]{0,120}/[\w-][\w.-]{0,120}",
    re.ASCII,
)
_BROKEN = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, OverflowError,
    LookupError, NotImplementedError, RuntimeError,
)  # fmt: skip
"""What reading a file raises that is not what it should be."""


class ArchiveWriter:
    """Writes an archive; ``close`` makes it whole."""

    def __init__(self, file: Path) -> None:
        """Begin to write *file*, which is replaced. Raises StoreError."""
        self._file = file
        self._members: dict[str, tuple[str, int]] = {}
        with self._disk_errors():
            self._zip = zipfile.ZipFile(file, "w")

    def write(self, name: str, source: BinaryIO, size_bytes: int) -> str:
        """Add a member with the *size_bytes* that *source* has from here on; return their digest. Raises StoreError."""
        hasher = blake3()
        with self._disk_errors(), self._zip.open(_member(name, size_bytes), "w") as target:
            left = size_bytes
            while left and (piece := source.read(min(left, _PIECE_BYTES))):
                hasher.update(piece)
                target.write(piece)
                left -= len(piece)
        digest = hasher.hexdigest()
        self._members[name] = (digest, size_bytes - left)
        return digest

    def close(self, facts: Mapping[str, Any]) -> None:
        """Add the manifest, with *facts*, and end. Raises StoreError."""
        members = {name: list(found) for name, found in sorted(self._members.items())}
        content = json.dumps({**facts, "members": members}, sort_keys=True, indent=1).encode()
        with self._disk_errors():
            with self._zip.open(_member(MANIFEST, len(content)), "w") as target:
                target.write(content)
            self._zip.close()

    def abandon(self) -> None:
        """End without having finished; the file is gone."""
        with suppress(OSError):  # perhaps the disk is full
            self._zip.close()
        with self._disk_errors():
            self._file.unlink(missing_ok=True)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise disk_error(error, self._file) from error


class ArchiveReader:
    """Reads an archive whose every member has been verified; a context manager that closes it."""

    def __init__(self, file: Path) -> None:
        """Open *file* and read its manifest.

        Raises:
            UsageError: There is no such file.
            ArchiveError: It is not an archive of ours, or damaged.
        """
        self._file = file
        if not file.is_file():
            raise UsageError(f"There is no file {file}.", do="Name a file that filiera export wrote.")
        with self._explained():
            self._zip = zipfile.ZipFile(file)
        try:
            with self._explained():
                self._members = self._checked_members()
                self.manifest = self._checked_manifest()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self._file.name

    def verify(self) -> Iterator[int]:
        """Read every member and compare it with its digest; yield its size in bytes. Raises ArchiveError."""
        for name, (digest, size_bytes) in self.manifest["members"].items():
            with self._explained(), self._zip.open(name) as stream:
                if _digest(stream) != digest:
                    raise ValueError(f"{name} does not have the digest that the manifest says")
            yield size_bytes

    def names(self, prefix: str) -> list[str]:
        """Return the names of the members that begin with *prefix*, in order."""
        return sorted(name for name in self._members if name.startswith(prefix))

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a member, without their ends; none when there is no such member. Raises ArchiveError."""
        if name not in self._members:
            return
        with self._explained(), self._zip.open(name) as stream:
            while line := stream.readline(_LONGEST_LINE_BYTES):
                if not line.endswith(b"\n"):
                    raise ValueError(f"a line of {name} is cut, or too long")
                yield line[:-1]

    def blob(self, digest: str) -> bytes:
        """Return the bytes of a blob. Raises ArchiveError."""
        with self._explained():
            return self._zip.read(f"blobs/{digest}")

    def copy(self, name: str, target: Path) -> None:
        """Write a member to a new file. Raises ArchiveError, StoreError."""
        try:
            writing = target.open("xb")
        except OSError as error:
            raise disk_error(error, target) from error
        with writing, self._explained(), self._zip.open(name) as stream:
            while piece := stream.read(_PIECE_BYTES):
                try:
                    writing.write(piece)
                    writing.flush()
                except OSError as error:
                    raise disk_error(error, target) from error

    def put_blob(self, digest: str, blobs: BlobStore) -> None:
        """Put a blob into a store that may have it already. Raises ArchiveError, StoreError; then nothing is left."""
        if blobs.has(digest):
            return
        file = blobs.scratch() / f"unpacked-{os.getpid()}-{os.urandom(8).hex()}"
        try:
            self.copy(f"blobs/{digest}", file)
            blobs.adopt(file, digest)
        finally:
            file.unlink(missing_ok=True)

    def size_bytes(self, name: str) -> int | None:
        """Return the size of a member, or None when there is none."""
        return self._members.get(name)

    def broken(self, why: str) -> ArchiveError:
        """Return the error that says what is wrong with the file."""
        return ArchiveError(
            f"{self._file} cannot be imported. Nothing was changed.",
            why=f"{why[:1].upper()}{why[1:]}.",
            do="Export the runs again; compare the file's checksum with that of the original, if it was sent.",
        )

    def _checked_members(self) -> dict[str, int]:
        """Return the size of each member by name, once it is clear that they are what we write."""
        members: dict[str, int] = {}
        for info in self._zip.infolist():
            if not _NAME.fullmatch(info.filename) or info.filename in members:
                raise ValueError(f"it has a member {info.filename!r}, which none of ours has, or twice")
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
                raise ValueError(f"its member {info.filename} is compressed or encrypted")
            members[info.filename] = info.file_size
        if sum(members.values()) > self._file.stat().st_size:
            raise ValueError("its members are larger than itself")
        if MANIFEST not in members:
            raise ValueError("it has no manifest, so it was not written to its end or is no archive of runs")
        return members

    def _checked_manifest(self) -> Mapping[str, Any]:
        manifest = json.loads(self._zip.read(MANIFEST))
        members = manifest["members"] if isinstance(manifest, dict) else None
        if not isinstance(members, dict) or set(members) | {MANIFEST} != set(self._members):
            raise ValueError("its manifest does not name what is in it")
        for name, found in members.items():
            if not isinstance(found, list) or len(found) != 2 or found[1] != self._members[name]:
                raise ValueError(f"its manifest says another size of {name}")
            if name.startswith("blobs/") and name != f"blobs/{found[0]}":
                raise ValueError(f"its manifest says another digest of {name}")
        return cast(Mapping[str, Any], manifest)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise self.broken(str(error) or type(error).__name__) from error


def _member(name: str, size_bytes: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _BEGINNING)
    info.create_system, info.external_attr, info.file_size = 3, 0o644 << 16, size_bytes
    return info


def _digest(stream: IO[bytes]) -> str:
    hasher = blake3()
    while piece := stream.read(_PIECE_BYTES):
        hasher.update(piece)
    return hasher.hexdigest()
