"""The output of a step's attempt while it runs."""

from __future__ import annotations

import time
from pathlib import Path

from filiera.core.task import LOG_UNKNOWN, LogSpan
from filiera.engine.logs import read_log

_KNOWN_AFTER_S = 0.2
"""Much longer than the end of an attempt takes to be recorded and told."""


class Tail:
    """The output of one attempt, read as it grows.

    What lies behind its end in the worker's file is another step's. While the end is not known, only that is read which
    was there a moment ago: had the attempt ended by then, it would be known now.
    """

    def __init__(self, span: LogSpan) -> None:
        self._span = span
        self._read_bytes = 0
        self._seen_bytes, self._seen_at = 0, time.monotonic()
        self._rest = b""
        self.end = LOG_UNKNOWN

    def lines(self, log_dir: Path) -> list[str]:
        """Return the whole lines written since the last call; the last, unfinished one once the attempt has ended."""
        *whole, self._rest = (self._rest + self._new(log_dir)).split(b"\n")
        if self.end != LOG_UNKNOWN and self._rest:
            whole.append(self._rest)
            self._rest = b""
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def _new(self, log_dir: Path) -> bytes:
        now = time.monotonic()
        if self.end == LOG_UNKNOWN and now < self._seen_at + _KNOWN_AFTER_S:
            return b""
        start = self._span.start + self._read_bytes
        there = read_log(log_dir, LogSpan(file=self._span.file, start=start, end=self.end))
        new = there if self.end != LOG_UNKNOWN else there[: max(self._seen_bytes - self._read_bytes, 0)]
        self._seen_bytes, self._seen_at = self._read_bytes + len(there), now
        self._read_bytes += len(new)
        return new
