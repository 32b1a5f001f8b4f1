"""Servers that carry the application of ``carried.py``, each in processes of its own."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_APP = "tests.asgi.carried:app"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "own": ("tests.asgi.carried", "{port}"),
    "uvicorn": ("uvicorn", _APP, "--port={port}"),
    "uvicorn on asyncio, by h11": ("uvicorn", _APP, "--port={port}", "--loop=asyncio", "--http=h11"),
    "granian": ("granian", "--interface=asgi", _APP, "--port={port}"),
    "hypercorn": ("hypercorn", _APP, "--bind=127.0.0.1:{port}", "--workers=0", "--graceful-timeout=30"),
}
RARER = ("uvicorn on asyncio, by h11",)
"""Carries as one of the others does, and is tried only in campaigns."""
ENDING = {"granian": "Stopping worker"}
"""What a server says when it has begun to end; others let go of their socket at once, granian of nothing."""
_TRIES = 1000
_PAUSE_S = 0.02


class Server:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[str], port: int, folder: Path, log: Path, ending: str) -> None:
        self.process = process
        self.port = port
        self.folder = folder
        self._log = log
        self._ending = ending

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def pipe(self, name: str) -> Path:
        """Return a new named pipe."""
        path = self.folder / name
        os.mkfifo(path)
        return path

    def begin_to_end(self) -> None:
        """Tell it to end, and wait until it has begun to."""
        self.process.send_signal(signal.SIGTERM)
        _wait(lambda: self._ending in self.said() if self._ending else not self._answers())

    def said(self) -> str:
        """Return what it printed so far."""
        return self._log.read_text()

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except OSError:
            return False
        return True


@contextmanager
def running(name: str, folder: Path, *more: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a server with *more* options; give it when it answers. It is killed behind the block if it still runs."""
    port, log = _free_port(), folder / "server.txt"
    command = [sys.executable, "-m", *(word.format(port=port) for word in COMMANDS[name]), *more]
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=_ROOT,
            env={**os.environ, "CARRIED": str(folder), **(env or {})},
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    server = Server(process, port, folder, log, ENDING.get(name, ""))
    try:
        _wait(lambda: server._answers() or process.poll() is not None)
        assert process.poll() is None, server.said()
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(_TRIES):
        if is_so():
            return
        pause.wait(_PAUSE_S)
    raise AssertionError("waited in vain")


def _free_port() -> int:
    """Return a port that nobody has, of those that the system gives to nobody by itself."""
    for port in random.sample(range(20_000, 32_000), 100):
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
