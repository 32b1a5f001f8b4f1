"""One file of the prediction log: frames, each with a marker that only its file knows, its lengths and a checksum.

A frame is ``MARKER LENGTH LENGTH CRC CHECK JSON RAW``: eight bytes that the file's name spells in hex, two lengths of
four bytes, the CRC-32 of the JSON, four bytes of the BLAKE3 of the raw bytes, or none of them; then both. CRC-32 takes
a third of the time for a row, BLAKE3 a third for a megabyte. What a crash tore or a disk changed is skipped up to the
next marker. No caller can make a frame up: the marker is random, and no answer shows it.

Whoever writes a segment holds its lock (``flock``) from before the first byte until it writes no more, however it ends.
So a segment that can be locked and is not empty is closed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from blake3 import blake3

SUFFIX = ".log"
_HEAD = struct.Struct("<8sIII4s")
_MARKER_BYTES = 8
_CHECK_BYTES = 4
_NO_CHECK = bytes(_CHECK_BYTES)
_MOST_AT_ONCE = 512
"""Buffers handed to the system at once; it takes 1,024."""


class Frame(NamedTuple):
    """What was written together."""

    content: bytes  #: JSON
    raw: bytes  #: what the JSON says of


class Segment:
    """The file written to. After an error either its end is clean again, or the reader finds the next frame."""

    def __init__(self, folder: Path, *, max_bytes: int, max_s: float) -> None:
        """Use *folder*; the file comes with the first write.

        Args:
            folder: Made when it is absent.
            max_bytes: A larger file is full.
            max_s: An older one is, too.
        """
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_s = max_s
        self._file: int | None = None
        self._marker = b""
        self._size_bytes = 0
        self._began_s = 0.0
        self._started_ns = 0
        self._is_listed = False  #: its name is on disk, too

    @property
    def is_full(self) -> bool:
        """Tell whether another is to be begun, which only ``close`` does: nothing of this one is to miss its sync."""
        return self._size_bytes > self._max_bytes or (self._file is not None and self.rest_s() <= 0)

    def rest_s(self) -> float:
        """Return in how many seconds the file will be too old; infinite while there is none."""
        return self._began_s + self._max_s - time.monotonic() if self._file is not None else float("inf")

    def write(self, content: bytes, raw: Sequence[bytes | memoryview] = ()) -> None:
        """Hand a frame to the system. Raises OSError: then nothing of it counts."""
        file = self._file if self._file is not None else self._open_file()
        raw_bytes = sum(map(len, raw)) if raw else 0
        check = _check(raw) if raw_bytes else _NO_CHECK
        frame = _HEAD.pack(self._marker, len(content), raw_bytes, crc32(content), check) + content
        try:
            written = 0 if raw else os.write(file, frame)
            if written < len(frame):
                _write_all(file, [frame[written:], *raw])
        except OSError:
            self._cut(file)
            raise
        self._size_bytes += len(frame) + raw_bytes

    def sync(self) -> None:
        """Return when all that was written before is on disk. Raises OSError: then none of it counts as kept.

        Another thread may write meanwhile, and may not close.
        """
        if self._file is None:
            return
        os.fsync(self._file)
        if not self._is_listed:
            sync_folder(self._folder)
            self._is_listed = True

    def close(self) -> None:
        """Let go of the file, and of its lock."""
        file, self._file, self._size_bytes = self._file, None, 0
        self._is_listed = False
        if file is not None:
            os.close(file)

    def _open_file(self) -> int:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Names sort by age, also of two begun in one tick of the clock or after it was set back.
            self._started_ns = max(time.time_ns(), self._started_ns + 1)
            self._marker = secrets.token_bytes(_MARKER_BYTES)
            name = f"{self._started_ns:019d}-{os.getpid()}-{self._marker.hex()}{SUFFIX}"
            file = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                os.close(file)
                raise
            self._file, self._began_s = file, time.monotonic()
        return self._file

    def _cut(self, file: int) -> None:
        try:
            os.ftruncate(file, self._size_bytes)
        except OSError:
            self._size_bytes = os.fstat(file).st_size


class Frames:
    """The intact frames of one file, in order; ``damaged`` then has how many places were skipped."""

    def __init__(self, file: Path) -> None:
        """Read *file* when asked. Its name must be one that a segment gave."""
        self.damaged = 0
        self._file = file

    def __iter__(self) -> Iterator[Frame]:
        marker = bytes.fromhex(self._file.stem.rpartition("-")[2])
        content = memoryview(whole := self._file.read_bytes())
        place = 0
        while place < len(content):
            found = _frame(content[place:], marker)
            if found is not None:
                yield found
                place += _HEAD.size + len(found.content) + len(found.raw)
                continue
            self.damaged += 1
            place = whole.find(marker, place + 1)
            if place < 0:
                return


def segments(folder: Path) -> list[Path]:
    """Return the segments of a folder, the oldest first. Raises OSError."""
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == SUFFIX)
    except FileNotFoundError:
        return []


def is_closed(file: Path) -> bool:
    """Tell whether nobody will write to a segment any more. Raises OSError."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_size > 0  # else its writer may be about to lock it
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


def prove(folder: Path, size_bytes: int) -> None:
    """Write so much into *folder* and onto its disk, with a lock, and take it away again. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".{secrets.token_hex(8)}.probe"
    file = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        _write_all(file, [bytes(size_bytes)])
        os.fsync(file)
    finally:
        os.close(file)
        probe.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Return when the names in *folder* are on disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _frame(content: memoryview, marker: bytes) -> Frame | None:
    """Return the frame that *content* begins with, or None."""
    if len(content) < _HEAD.size:
        return None
    found, json_bytes, raw_bytes, crc, check = _HEAD.unpack_from(content)
    end = _HEAD.size + json_bytes
    if found != marker or len(content) < end + raw_bytes:
        return None
    frame = Frame(bytes(content[_HEAD.size : end]), bytes(content[end : end + raw_bytes]))
    if crc32(frame.content) != crc or (_check([frame.raw]) if raw_bytes else _NO_CHECK) != check:
        return None
    return frame


def _check(raw: Sequence[bytes | memoryview]) -> bytes:
    check = blake3()
    for piece in raw:
        check.update(piece)
    return check.digest(_CHECK_BYTES)


def _write_all(file: int, pieces: Sequence[bytes | memoryview]) -> None:
    rest = [memoryview(piece) for piece in pieces if piece]
    while rest:
        written = os.writev(file, rest[:_MOST_AT_ONCE])
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if written:
            rest[0] = rest[0][written:]
