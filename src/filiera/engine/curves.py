"""Where the points of ``log_metric`` go: while a step runs, into a file per cache key; when it ends, into a value.

A point is a line, ``CRC attempt step value time name``, and is handed to the system before ``log_metric`` returns: a
killed process loses nothing of what it has logged, and others can read along. A line that was cut off has a wrong CRC
and is skipped. Processes that a step forks, and its threads, write to the same file.

An attempt that goes on where an earlier one stopped finds that one's points in the file. Of each metric, those from the
step on where the new attempt begins are dropped; so an attempt that begins anew drops all of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import time_ns
from typing import Protocol
from zlib import crc32

from filiera.core.artifact import ArtifactRef
from filiera.core.growing import Watched
from filiera.core.logged import Columns, Curve, Curves, Logged, Point, require_name, require_step
from filiera.engine.pruning import Watch
from filiera.errors import FilieraError

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND
_CRC_LENGTH = 8


class Values(Protocol):
    """Stores values."""

    def put(self, value: object) -> ArtifactRef:
        """Store *value*. Raises CodecError, StoreError."""


class CurveFiles:
    """The files of steps that run, in a folder of the store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def log_of(self, key: str, watched: tuple[str, bool, str] | None = None) -> CurveLog:
        """Return what takes the points of a step with a cache key, which may be *watched*: see ``Task``."""
        return CurveLog(self._folder / key, Watch(Watched(*watched)) if watched is not None else None)

    def read(self, key: str) -> Curves:
        """Return what a step with a cache key has logged that runs, or whose process was killed; perhaps nothing."""
        try:
            return joined(_lines((self._folder / key).read_bytes()))
        except FileNotFoundError:
            return Curves(())


class CurveLog:
    """Takes the points of one attempt. A disk that is full costs points, and never the step."""

    def __init__(self, file: Path, watch: Watch | None = None) -> None:
        self._file = file
        self._watch = watch
        self._attempt = ""
        self._fd: int | None = None
        self._is_broken = False
        self._numbers: dict[str, count[int]] = {}  #: of names used before: the next step, for those who give none
        self._own: dict[str, Columns] = {}  #: what was added here, of which nothing needs to be read back
        self._own_bytes = 0

    def add(self, name: str, value: float, step: int | None) -> None:
        """Take a point. Raises TypeError, ValueError for a name or step that cannot be, TrialPruned for a bad value."""
        numbers = self._numbers.get(name)
        if numbers is None:
            require_name(name)
            numbers = self._numbers[name] = count()
            self._own[name] = Columns()
            self._attempt = self._attempt or os.urandom(4).hex()
        if step is None:
            step = next(numbers)
        else:
            require_step(step)
        at_ms = time_ns() // 1_000_000
        body = f"{self._attempt} {step} {value!r} {at_ms} {name}".encode("utf-8", "surrogatepass")
        if self._write(b"%08x %b\n" % (crc32(body), body)):
            self._own[name].add(step, value, at_ms)
        if self._watch is not None and name == self._watch.metric:
            self._watch.see(step, value)

    def add_returned(self, metrics: Iterable[tuple[str, float]]) -> None:
        """Take the names and values of metrics that the step has returned: it is over, and nothing may fail it now."""
        self._watch = None
        for name, value in metrics:
            with suppress(ValueError):  # a name that no list could show
                self.add(name, value, None)

    def finish(self, values: Values, *, keep: bool) -> Logged | None:
        """Return what the step has logged, stored; None when that is nothing, or cannot be stored.

        Args:
            values: Where the curves go.
            keep: The step failed and may go on from here: its points stay in the file.
        """
        if self._fd is None:
            return None
        try:
            size = os.lseek(self._fd, 0, os.SEEK_END)
            if size == self._own_bytes:
                curves = Curves(tuple([columns.curve(name) for name, columns in self._own.items()]))
            else:  # an earlier attempt, or a process that the step has forked, has written too
                curves = joined(_lines(os.pread(self._fd, size, 0)), self._attempt)
            summaries = tuple([curve.summary() for curve in curves])
            logged = Logged(values.put(curves), summaries) if summaries else None
        except (OSError, FilieraError) as error:
            print(f"The metrics of this step cannot be kept: {error}", file=sys.stderr)
            return None
        finally:
            os.close(self._fd)
            self._fd = None
        if not keep:
            self._file.unlink(missing_ok=True)
        return logged

    def _write(self, line: bytes) -> bool:
        """Tell whether a line has been written."""
        if self._is_broken:
            return False
        try:
            if self._fd is None:
                self._fd = self._opened()
            written = os.write(self._fd, line)
            self._own_bytes += written
            if written != len(line):
                os.write(self._fd, b"\n")  # what follows must not be taken for the rest of this line
        except OSError as error:
            self._is_broken = True
            print(f"Metrics are not logged any more: {error}", file=sys.stderr)
            return False
        return written == len(line)

    def _opened(self) -> int:
        try:
            return os.open(self._file, _FLAGS, 0o666)
        except FileNotFoundError:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._file, _FLAGS, 0o666)


_Line = tuple[str, str, Point]
"""The attempt, the name, the point."""


def joined(lines: Iterable[_Line], attempt: str = "") -> Curves:
    """Return the curves that attempts at one step have made together.

    Args:
        lines: Of all attempts, in the order in which they were written.
        attempt: The one that counts, with those before it; by default the one that began last.
    """
    curves: dict[str, tuple[str, list[Point]]] = {}
    seen = {""}
    current = ""
    for by, name, point in lines:
        if by != current:
            if by in seen or current == attempt != "":
                continue  # another process that computes the same at the same time
            seen.add(by)
            current = by
        last, points = curves.get(name, ("", []))
        if last != by:
            points = [earlier for earlier in points if earlier.step < point.step]
            curves[name] = by, points
        points.append(point)
    return Curves(tuple([Curve.of(name, points) for name, (_, points) in curves.items()]))


def _lines(content: bytes) -> Iterator[_Line]:
    for line in content.split(b"\n"):
        body = line[_CRC_LENGTH + 1 :]
        with suppress(ValueError):  # cut off, or never written: a file may end in zeros after a power cut
            if crc32(body) == int(line[:_CRC_LENGTH], 16):
                attempt, step, value, at, name = body.decode("utf-8", "surrogatepass").split(" ", 4)
                yield attempt, name, Point(int(step), float(value), int(at) / 1000)
