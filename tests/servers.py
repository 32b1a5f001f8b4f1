"""Servers of others as processes of tests: started in folders of their own, awaited, ended with all they started."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

LIMIT_S = 120.0
_PORTS = range(20_000, 32_000)
"""Below those that the system gives to who calls: a client that tries again and again would else meet itself there."""


class Server(Protocol):
    """What can be started and stopped, more than once."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


class Program:
    """A process that serves; what it prints is in a file of its folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._log, self._name = folder / f"{name}.log", name
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, words: Sequence[str], is_up: Callable[[], bool], **options: Any) -> None:
        """Start it, and come back when it is up; *options* are those of ``subprocess.Popen``."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **options
            )
        until = time.monotonic() + LIMIT_S
        while not is_up():
            has_ended, is_late = self._process.poll() is not None, time.monotonic() >= until
            if has_ended or is_late:
                self.end()
                how = "ended" if has_ended else "did not start"
                raise AssertionError(f"{self._name} {how}: {self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def end(self, number: int = signal.SIGKILL) -> None:
        """Send it and what it has started a signal that ends it, and wait until it has."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            self._process.wait()
            self._process = None


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def answers(port: int) -> bool:
    """Tell whether somebody listens there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def needs(program: str, package: str) -> None:
    """Skip the test where there is no such program."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: apt-get install {package})")


@contextmanager
def running(make: Callable[[Path], S]) -> Iterator[S]:
    """Run a server in a folder of its own until the block ends; then nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="filiera-server-", ignore_cleanup_errors=True) as folder:
        server = make(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
