"""What a step prints: captured into one file per process, and found again by offsets."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TextIO

from filiera.core.task import LogSpan


def read_log(log_dir: Path, span: LogSpan) -> bytes:
    """Return what an attempt printed, up to now when it is still running; empty when no log of a run has that name."""
    # Runs that were driven together write to the folder of one of them; the others have none. The name is as recorded,
    # perhaps by somebody else's Filiera: no other files of this machine are shown under it.
    place = Path(os.path.normpath(log_dir / span.file))
    if not place.is_relative_to(os.path.normpath(log_dir.parent)):
        return b""
    try:
        with place.open("rb") as file:
            file.seek(span.start)
            return file.read(max(span.end - span.start, 0) if span.end >= 0 else -1)
    except FileNotFoundError:
        return b""


class ProcessOutput:
    """Holds on to the log that a worker process was started with, whatever steps do to file descriptors 0 to 2.

    The driver starts a worker with the null device as 0 and the log, opened for appending, as 1 and 2.
    """

    def __init__(self) -> None:
        self._null_fd = os.dup(0)
        self.log_fd = os.dup(2)  #: for those who must write after a step closed its standard error
        self._streams: list[TextIO] = []
        # Dropping the last reference would close a descriptor of that number, whatever it is by then.
        self._former = (sys.stdout, sys.stderr)
        self.restore()

    def move(self, log: str) -> None:
        """Write to the file *log* from now on. Raises OSError."""
        fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(fd, self.log_fd, inheritable=False)
        os.close(fd)
        self.restore()

    def flush(self) -> int:
        """Write out what Python still holds and return the size of the log in bytes."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            # What a step leaves here can be anything: closed, None, on a closed descriptor, an object of its own.
            # Its own output is lost to it, but its result stands.
            except (OSError, ValueError, AttributeError, TypeError) as error:
                with suppress(OSError):  # a full disk, most likely
                    os.write(self.log_fd, f"(output lost: {error})\n".encode(errors="backslashreplace"))
        if "ctypes" in sys.modules:
            _c_flush()(None)
        return os.lseek(self.log_fd, 0, os.SEEK_END)  # a third of what fstat takes; it is opened for appending

    def restore(self) -> None:
        """Give the next step the descriptors and streams that this object was made with."""
        os.dup2(self._null_fd, 0)
        os.dup2(self.log_fd, 1)
        os.dup2(self.log_fd, 2)
        if any(stream.closed for stream in self._streams) or not self._streams:
            # Line by line, so that the log is live and a crash loses at most an unfinished line.
            self._streams = [
                open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
                for fd in (1, 2)
            ]
        sys.stdout, sys.stderr = self._streams


def show_logging() -> None:
    """Let ``logging`` write to standard error from level INFO on, if somebody uses it and nobody configured it."""
    # Importing it for those who do not would cost each start 4 ms.
    logging = sys.modules.get("logging")
    if logging is None or logging.root.handlers:
        return
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=_CurrentStderr())


def forget_logging() -> None:
    """Drop the root handlers that a forked process took over from its driver, whose files are not its own."""
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.root.handlers.clear()


class _CurrentStderr:
    """Whatever ``sys.stderr`` is at the moment: the handler outlives the streams of one step."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


@cache
def _c_flush() -> Callable[[None], int]:
    """Return C's ``fflush``: what C code prints with stdio goes to a file and so would be held back for long."""
    import ctypes

    flush: Callable[[None], int] = ctypes.CDLL(None).fflush
    return flush
