"""The access log: a line of JSON for each request, who was answered by what, and never data."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from filiera.errors import UsageError

_log = logging.getLogger("filiera.serving")
_GATHER_S = 0.2
"""Lines wait so long for others that are written with them."""
_MOST_WAITING = 65_536
STANDARD_OUTPUT = "-"


class AccessLine(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What is said of one request; what is empty is left out."""

    at: float | str  #: when it came: seconds since the epoch; in the file as ISO 8601, in UTC
    method: str
    path: str  #: without the query
    status: int  #: as it is counted: of a stream 500 when it failed, 499 when the caller hung up
    bytes: int  #: of the body of the answer
    ms: float  #: until the answer was sent
    model: str = ""
    function: str = ""
    version: str | int = ""
    rows: int = 0
    problem: str = ""  #: the kind that the answer tells
    request_id: str
    trace_id: str = ""


class AccessLog:
    """Writes lines from a thread of its own, so that no request waits for a disk or a pipe.

    The file may be moved away or cut short by whoever rotates logs, at any time and without telling: what is at the
    path is looked at before each write, and all is appended. What cannot be written is counted, and said once.
    """

    def __init__(self, path: str) -> None:
        """Open the file at *path*, "-" for standard output. Raises UsageError."""
        self.dropped = 0  #: lines that could not be written
        self._path = Path(path) if path != STANDARD_OUTPUT else None
        self._waiting: deque[AccessLine] = deque()
        self._has_come, self._is_closing = threading.Event(), threading.Event()
        self._encoder = msgspec.json.Encoder()
        self._second, self._text = -1, ""  # the latest second, and how it is spelled
        self._is_mourned = False
        try:
            self._file = self._opened()
        except OSError as error:
            raise UsageError(
                f"The access log {path} cannot be written.",
                why=f"The system says: {error.strerror}.",
                do="name a file in a folder that is there, or - for standard output",
            ) from error
        self._thread = threading.Thread(target=self._work, name="access-log", daemon=True)
        self._thread.start()

    def add(self, line: AccessLine) -> None:
        """Have a line written, which is the log's from now on. Never waits."""
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(line)
        if not self._has_come.is_set():
            self._has_come.set()

    def close(self) -> None:
        """Write what waits, and close the file. Waits for a reader of standard output for a second."""
        self._is_closing.set()
        self._has_come.set()
        self._thread.join(1.0)

    def _work(self) -> None:
        while True:
            self._has_come.wait()
            is_last = self._is_closing.wait(_GATHER_S)
            self._has_come.clear()
            lines = [self._spelled(self._waiting.popleft()) for _ in range(len(self._waiting))]
            if lines:
                self._write(self._encoded(lines), len(lines))
            if is_last:
                break
        if self._path is not None:
            os.close(self._file)

    def _spelled(self, line: AccessLine) -> AccessLine:
        assert isinstance(line.at, float)
        second = int(line.at)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        line.at, line.ms = f"{self._text}.{int((line.at - second) * 1000):03d}Z", round(line.ms, 3)
        return line

    def _encoded(self, lines: Sequence[AccessLine]) -> bytes:
        try:
            return self._encoder.encode_lines(lines)
        except UnicodeEncodeError:
            for line in lines:
                line.path = line.path.encode("utf-8", "backslashreplace").decode()
                line.method = line.method.encode("utf-8", "backslashreplace").decode()
            return self._encoder.encode_lines(lines)

    def _write(self, content: bytes, count: int) -> None:
        try:
            self._follow()
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._is_mourned = False
        except OSError as error:
            self.dropped += count
            if not self._is_mourned:
                self._is_mourned = True
                _log.error("the access log cannot be written, lines are left out: %s", error.strerror)

    def _follow(self) -> None:
        """Open the file anew where another one, or none, is at the path by now."""
        if self._path is None:
            return
        there = None
        with suppress(FileNotFoundError):
            there = self._path.stat()
        held = os.fstat(self._file)
        if there is None or (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino):
            before, self._file = self._file, self._opened()
            os.close(before)

    def _opened(self) -> int:
        if self._path is None:
            return sys.stdout.fileno()
        # One write of whole lines at the end of the file: workers that share it do not mix theirs.
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
