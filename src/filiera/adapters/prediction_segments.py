"""The prediction log as a folder of append-only segments.

A segment is a text file of one record, or the records of some requests, per line, ``CRC JSON``: eight hex digits of the
CRC-32 of the JSON, a space, the JSON. The records of requests are bodies and answers as they went over the wire, which
nobody has to encode again; reading takes them apart. A line cut off by a crash has a wrong CRC or no line end and
is skipped. A process only appends to segments that it began, so nothing is ever written behind such a line, and several
processes may log to one folder.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
import zlib
from array import array
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from filiera.errors import StoreError

_SUFFIX = ".log"
_CRC_LENGTH = 8


class SegmentLog:
    """Prediction log in a folder; the folder and the syncing thread come with the first record.

    ``append`` hands records to the system and does not wait for the disk, which a thread does at the latest
    *sync_every_s* later: a killed process loses nothing, a power cut at most that interval. When the disk takes nothing
    more, services go on answering, and what is lost is counted and said once.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sync_every_s: float = 0.1,
        segment_bytes: int = 64 * 1024 * 1024,
        max_pending_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        """Use *folder*; nothing is touched yet.

        Args:
            folder: Made when it is absent.
            sync_every_s: How much a power cut may lose.
            segment_bytes: A larger segment is closed and another begun.
            max_pending_bytes: How much may wait for a slow disk; what comes beyond is counted as dropped. The system
                lets a writer wait only when much more than this waits for the disk.
        """
        self.damaged_lines = 0  #: how many lines the latest ``read`` skipped
        self._folder = folder
        self._segment = _Segment(folder, segment_bytes)
        self._sync_every_s = sync_every_s
        self._max_pending_bytes = max_pending_bytes
        self._changed = threading.Condition()
        self._pending_bytes = 0  #: not on disk yet
        self._pending = 0  #: records of them
        self._accepted = 0  #: records that ever were appended
        self._settled = 0  #: of these, how many are on disk or counted as dropped
        self._dropped = 0
        self._is_urgent = False
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Make the folder and prove that it can be written, so that a service fails before it starts.

        Raises:
            StoreError: It cannot.
        """
        probe = self._folder / f".{secrets.token_hex(8)}.probe"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep *records*. Raises TypeError for values that JSON has no word for, StoreError once closed."""
        lines = [_framed(msgspec.json.encode(record)) for record in records]
        if lines:
            self._write(b"".join(lines), len(lines))

    def append_requests(
        self, about: Mapping[str, Any], requests: Sequence[bytes], answers: Sequence[bytes], *, count: int
    ) -> None:
        """Keep the *count* records of some requests as they went over the wire. Raises StoreError once closed."""
        head, asked, answered = msgspec.json.encode(about)[:-1], b",".join(requests), b",".join(answers)
        if b"\n" in asked:  # JSON has line ends only between its words
            asked = asked.replace(b"\n", b" ")
        self._write(_framed(b'%b,"requests":[%b],"answers":[%b]}' % (head, asked, answered)), count)

    def keep(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep *records*, and come back when they are on disk; of those that come at once one sync serves all.

        Raises:
            StoreError: That cannot be promised: while it was tried some record, perhaps of another caller, was lost.
        """
        lost = self.dropped()
        self.append(records)
        self.flush()
        if self.dropped() > lost:
            raise StoreError(f"{self._folder} takes nothing more.", do="Make room on its disk.")

    def flush(self) -> None:
        """Return when all that was appended before is on disk, or counted as dropped."""
        with self._changed:
            goal = self._accepted
            self._is_urgent = self._settled < goal
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._settled >= goal)

    def read(self, *, since: float = 0.0, until: float | None = None) -> Iterator[dict[str, Any]]:
        """Yield intact records with ``since <= at < until``, segment after segment, each in order of logging.

        What this log was given before is included. Lines that are not intact are skipped; ``damaged_lines`` then has
        their number.

        Raises:
            StoreError: The folder or a segment cannot be read.
        """
        self.flush()
        self.damaged_lines = 0
        try:
            for segment in _segments(self._folder):
                for line in self._intact(segment):
                    if since <= line["at"] and (until is None or line["at"] < until):
                        yield from _records(line)
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def dropped(self) -> int:
        """Return how many records this log could not keep."""
        with self._changed:
            return self._dropped

    def close(self) -> None:
        """Flush and stop. Doing it twice is harmless."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _intact(self, segment: Path) -> Iterator[dict[str, Any]]:
        with segment.open("rb") as file:
            for line in file:
                content = line[_CRC_LENGTH + 1 : -1]
                if line == _framed(content):
                    yield msgspec.json.decode(content)
                else:
                    self.damaged_lines += 1

    def _write(self, lines: bytes, count: int) -> None:
        with self._changed:
            if self._is_closed:
                raise StoreError("This prediction log is closed.")
            if self._pending_bytes + len(lines) > self._max_pending_bytes:
                self._drop(count, "the disk is too slow")
                return
            try:
                self._segment.write(lines)
            except OSError as error:
                self._drop(count, error.strerror or str(error))
                return
            self._accepted += count
            self._pending_bytes += len(lines)
            self._pending += count
            if self._pending == count:  # the thread sleeps, and for long when nothing is pending
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="prediction-log", daemon=True)
                    self._thread.start()
                self._changed.notify_all()

    def _work(self) -> None:
        is_closed = False
        while not is_closed:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._is_closed)
                self._changed.wait_for(lambda: self._is_urgent or self._is_closed, self._sync_every_s)
                count, self._pending, self._pending_bytes = self._pending, 0, 0
                is_closed, self._is_urgent = self._is_closed, False
            try:
                self._segment.sync()
                error = None
            except OSError as caught:
                error = caught
            with self._changed:
                if error is not None:
                    # What was written meanwhile is in the same file, of which nothing more is known.
                    count, self._pending, self._pending_bytes = count + self._pending, 0, 0
                    self._drop(count, error.strerror or str(error))
                if error is not None or self._segment.is_full or is_closed:
                    self._segment.close()
                self._settled += count
                self._changed.notify_all()

    def _drop(self, count: int, why: str) -> None:
        if not self._dropped:
            message = f"Predictions are answered but not logged in {self._folder}: {why}. /metrics counts them."
            print(message, file=sys.stderr, flush=True)
        self._dropped += count


class _Segment:
    """The file written to. After an error either its end is clean again, or the next write begins another line."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._file: int | None = None
        self._size_bytes = 0
        self._started_ns = 0
        self._is_listed = False  #: its name is on disk, too
        self._is_torn = False  #: it ends within a line

    @property
    def is_full(self) -> bool:
        """Tell whether another is to be begun, which only ``close`` does: nothing of this one is to miss its sync."""
        return self._size_bytes > self._max_bytes

    def write(self, lines: bytes) -> None:
        """Hand all *lines* to the system. Raises OSError: then none of them is in the file."""
        file = self._open_file()
        rest = memoryview(b"\n" + lines if self._is_torn else lines)
        end = self._size_bytes + len(rest)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
        except OSError:
            self._cut(file)
            raise
        self._size_bytes, self._is_torn = end, False

    def sync(self) -> None:
        """Return when all that was written before is on disk. Raises OSError: then none of it counts as kept.

        Another thread may write meanwhile, and may not close.
        """
        if self._file is None:
            return
        os.fsync(self._file)
        if not self._is_listed:
            _sync_folder(self._folder)
            self._is_listed = True

    def close(self) -> None:
        """Let go of the file."""
        file, self._file, self._size_bytes = self._file, None, 0
        self._is_listed = self._is_torn = False
        if file is not None:
            os.close(file)

    def _open_file(self) -> int:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Names sort by age, also of two begun in one tick of the clock or after it was set back.
            self._started_ns = max(time.time_ns(), self._started_ns + 1)
            name = f"{self._started_ns:019d}-{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
            self._file = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        return self._file

    def _cut(self, file: int) -> None:
        try:
            os.ftruncate(file, self._size_bytes)
        except OSError:
            self._size_bytes, self._is_torn = os.fstat(file).st_size, True


def _framed(content: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(content), content)


def _records(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the records of one line: itself, or one for each row of its requests."""
    if "answers" not in line:
        yield line
        return
    requests, answers = line.pop("requests"), line.pop("answers")
    for request, answered in zip(requests, answers, strict=True):
        for row, answer in zip(_rows(request), _rows(answered), strict=True):
            yield {"id": answer.pop("id"), **line, "inputs": row, "outputs": answer}


def _rows(found: Any) -> Sequence[dict[str, Any]]:
    """Return the rows of a request or of its answers, which may be kept as columns."""
    if isinstance(found, list):
        return found
    if "instances" in found:
        rows: list[dict[str, Any]] = found["instances"]
        return rows
    columns = {name: _values(column) for name, column in found["columns"].items()}
    for block in found.get("blocks", ()):
        columns |= _unpacked(block, found["height"])
    names = found["names"]
    return [dict(zip(names, row, strict=True)) for row in zip(*(columns[name] for name in names), strict=True)]


def _values(column: Any) -> Sequence[Any]:
    """Return the values of a column, or of the columns that a struct is kept as."""
    if isinstance(column, list):
        return column
    return [dict(zip(column, row, strict=True)) for row in zip(*column.values(), strict=True)]


def _unpacked(block: Mapping[str, Any], height: int) -> dict[str, list[Any]]:
    """Return the columns of numbers that lie one behind another; NaN is a missing value."""
    numbers: array[Any] = array(block["code"])
    numbers.frombytes(b64decode(block["base64"]))
    if sys.byteorder == "big":
        numbers.byteswap()
    found = [None if number != number else number for number in numbers]
    return {name: found[place * height : (place + 1) * height] for place, name in enumerate(block["names"])}


def _segments(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == _SUFFIX)
    except FileNotFoundError:
        return []


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unusable(folder: Path, error: OSError) -> StoreError:
    return StoreError(f"The prediction log {folder} cannot be used.", why=error.strerror or str(error))
