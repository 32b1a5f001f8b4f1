"""``filiera serve --workers N``: processes that take requests from one socket, and the one that watches over them."""

from __future__ import annotations

import selectors
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn

from filiera.core.value import dataclass
from filiera.project.serving.processes import start_process

_READY = b"r"
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
"""A worker that ends after so long has not failed to start."""
_PATIENCE_S = 60.0
_DROPPED = "filiera_log_dropped_total"


@dataclass(kw_only=True, slots=True)
class _Worker:
    name: str
    process: subprocess.Popen[bytes]
    control: socket.socket  #: it writes a byte when it is ready, and ends when this is closed
    since_s: float


class Workers:
    """The worker processes of one service."""

    def __init__(self, words: Mapping[str, object], *, listener: int, tell: Callable[[str], None]) -> None:
        """Prepare to serve.

        Args:
            words: What each worker is told: names, profile, access log and cache, as ``filiera serve`` has them.
            listener: The socket that requests are taken from.
            tell: Is given lines for people.
        """
        self.lost = 0  #: predictions that the logs of all could not keep
        self._listener = listener
        self._words: dict[str, object] = {**words, "listener": listener}
        self._tell = tell
        self._selector = selectors.DefaultSelector()
        self._alive: list[_Worker] = []
        self._started = 0
        self._failures = 0
        self._due_s: list[float] = []  # when workers are to be started in place of those that ended

    def run(self, count: int, on_ready: Callable[[], None]) -> int:
        """Serve by *count* workers until SIGINT or SIGTERM.

        The first is up before the others are started, so that what keeps it from that is said once.

        Args:
            count: How many.
            on_ready: Called when all answer.

        Returns:
            The exit code: 0, or that of the worker that did not come up at first, which has said why.
        """
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="filiera-serve-")))
            self._words["folder"] = str(folder)
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.signal(number, _stop))
            try:
                self._come_up(1)
                for _ in range(count - 1):
                    self._start()
                self._come_up(count)
                on_ready()
                while True:
                    self._watch()
            except _Stopped:
                return 0
            except _DidNotStart as failed:
                return failed.exit_code
            finally:
                self._end()
                self.lost = _lost(folder)

    def _come_up(self, count: int) -> None:
        if not self._alive:
            self._start()
        ready = 0
        while ready < count - (count > 1):
            for key, _ in self._selector.select():
                worker = key.data
                if worker.control.recv(1) != _READY:
                    raise _DidNotStart(worker.process.wait())
                ready += 1

    def _watch(self) -> None:
        now_s = time.monotonic()
        while self._due_s and self._due_s[0] <= now_s:
            self._due_s.pop(0)
            self._start()
        patience_s = self._due_s[0] - now_s if self._due_s else None
        for key, _ in self._selector.select(patience_s):
            if key.data.control.recv(1) != _READY:
                self._replace(key.data)

    def _replace(self, worker: _Worker) -> None:
        code = worker.process.wait()
        now_s = time.monotonic()
        self._forget(worker)
        self._failures = 0 if now_s - worker.since_s >= _STEADY_S else self._failures + 1
        pause_s = min(_LONGEST_PAUSE_S, 2.0 ** (self._failures - 2)) if self._failures > 1 else 0.0
        self._due_s = sorted([*self._due_s, now_s + pause_s])
        again = f"in {pause_s:g} s" if pause_s else "at once"
        self._tell(f"worker {worker.process.pid} ended ({_ending(code)}); another is started {again}")

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._started += 1
        name = str(self._started)
        words = {**self._words, "control": theirs.fileno(), "worker": name}
        with theirs:
            inherits = (self._listener, theirs.fileno())
            process = start_process("serve_worker", words, inherits=inherits, folder=None)
        worker = _Worker(name=name, process=process, control=ours, since_s=time.monotonic())
        self._alive.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _end(self) -> None:
        for worker in self._alive:
            self._selector.unregister(worker.control)
            worker.control.close()
        until_s = time.monotonic() + _PATIENCE_S
        for worker in self._alive:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, until_s - time.monotonic()))
            worker.process.kill()
            worker.process.wait()
        self._selector.close()

    def _forget(self, worker: _Worker) -> None:
        from filiera.serving.shared_counts import settle

        self._alive.remove(worker)
        self._selector.unregister(worker.control)
        worker.control.close()
        settle(Path(str(self._words["folder"])), worker.name)


class _Stopped(BaseException):
    """A signal said that it is enough."""


class _DidNotStart(Exception):
    def __init__(self, code: int) -> None:
        self.exit_code = code if code > 0 else 1
        super().__init__(code)


def _stop(number: int, frame: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)
    raise _Stopped


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _lost(folder: Path) -> int:
    from filiera.serving.shared_counts import summed

    return int(summed(folder).get(_DROPPED, 0))
