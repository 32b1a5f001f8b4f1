"""The worker processes that the executors of this process leave to each other, so that few runs have to start any.

A worker is what it was when it started: it has the code, the variables and the settings of that moment. So it is taken
over only where these are the same still: in the same place, for code that it is known to have.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Hashable, Sequence

from filiera.adapters._worker_process import WorkerProcess
from filiera.core.value import dataclass

WorkerKind = tuple[str, tuple[str, ...], int]
"""The environment that a worker runs in, the GPUs it sees, and how many threads its libraries compute with: what a
process cannot change once it has begun."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Lets an executor take over workers of earlier ones, and leave its own to later ones."""

    place: Hashable  #: what their executors must have in common
    told: str  #: what a worker that is taken over must know of this executor


class RestingWorkers:
    """Workers that have nothing to do, oldest first."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._resting: list[tuple[Hashable, WorkerProcess]] = []

    def take(self, place: Hashable, kind: WorkerKind, code: str) -> WorkerProcess | None:
        """Return the worker that rested last of those that can run *code*, or None."""
        with self._mutex:
            for at in reversed(range(len(self._resting))):
                rested_at, worker = self._resting[at]
                if rested_at == place and worker.kind == kind and code in (worker.known or ()):
                    del self._resting[at]
                    return worker
        return None

    def leave(self, place: Hashable, workers: Sequence[WorkerProcess], most: int) -> None:
        """Let *workers* rest, and end the oldest ones when there are more than *most* now."""
        with self._mutex:
            self._resting += [(place, worker) for worker in workers]
            ended, self._resting = self._resting[:-most], self._resting[-most:]
        _end([worker for _, worker in ended])

    def close(self) -> None:
        """End all of them."""
        with self._mutex:
            ended, self._resting = self._resting, []
        _end([worker for _, worker in ended])

    def forget(self) -> None:
        """In a process that was forked from theirs: let go of what is not its own, or they would live as long as it."""
        self._mutex = threading.Lock()
        for _, worker in self._resting:
            worker.let_go()
        self._resting = []


def _end(workers: Sequence[WorkerProcess]) -> None:
    for worker in workers:  # all before the first is waited for: they end side by side
        worker.kill()
    for worker in workers:
        worker.bury()


RESTING = RestingWorkers()
os.register_at_fork(after_in_child=RESTING.forget)
atexit.register(RESTING.close)
