"""The worker processes of one executor: started when needed, kept warm, ended to make room for others."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from filiera.adapters._resting_workers import RESTING, Handover, WorkerKind
from filiera.adapters._worker_process import WorkerProcess
from filiera.adapters._worker_start import launch
from filiera.core.task import Failure, Task

_GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"
_THREADS_VARIABLE = "OMP_NUM_THREADS"
"""Read by OpenMP, OpenBLAS, MKL, BLIS, NumExpr and PyTorch, each where a variable of its own is not set."""
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Has threads sleep that wait for others: those that spin take the processor from those they wait for."""


class WorkerPool:
    """Worker processes, and the descriptors through which they are heard."""

    def __init__(
        self,
        *,
        command_for: Callable[[str], Sequence[str]],
        size: int,
        log_dir: Path,
        environment: Mapping[str, str] | None,
        fork_main: Callable[[], None] | None,
        handover: Handover | None,
    ) -> None:
        self._command_for, self._environment, self._fork_main = command_for, environment, fork_main
        self._log_dir = log_dir
        self._free_logs = [log_dir / f"worker-{number}.log" for number in reversed(range(size))]
        self._handover, self._size = handover, size
        self._codes: set[str] = set()  #: digests of code that its workers were started for
        self.idle: list[WorkerProcess] = []  #: those that have nothing to do
        self._by_fd: dict[int, WorkerProcess] = {}
        self._poll = select.poll()

    @property
    def has_room(self) -> bool:
        """Tell whether a worker for any task is idle or can be started."""
        return bool(self.idle or self._free_logs)

    def lack(self, code: str) -> list[WorkerProcess]:
        """Return those of its workers that must not run code of this digest: they were started before it was read."""
        if code in self._codes:
            return []
        self._codes.add(code)
        return [w for w in set(self._by_fd.values()) if w.known is not None and code not in w.known]

    def try_worker(self, task: Task, devices: tuple[str, ...], *, limits_gpus: bool) -> WorkerProcess | None:
        """Return a worker for *task*: an idle one, the one that knows most of its inputs, or another; None: no room.

        Raises:
            OSError, FilieraError: It cannot be started.
        """
        kind = task.env, devices, task.resources.cpu
        fitting = [worker for worker in self.idle if worker.kind == kind]
        if fitting:
            worker = max(reversed(fitting), key=lambda worker: worker.warm_bytes(task.inputs))
            self.idle.remove(worker)
            return worker
        if not self._free_logs:
            if not self.idle:
                return None
            self.bury(self.idle[0])  # of another kind, the one that has been idle for longest
        return self._took_over(kind, task.code) or self._start(kind, limits_gpus=limits_gpus)

    def rest(self, worker: WorkerProcess) -> None:
        """Keep a worker that has nothing to do."""
        self.idle.append(worker)

    def watch_unsent(self, worker: WorkerProcess) -> None:
        """Have ``ready`` tell when *worker* takes more of what it is to get."""
        if worker.unsent_fd >= 0 and worker.unsent_fd not in self._by_fd:
            self._watch(worker.unsent_fd, worker, select.POLLOUT)

    def ready(self, timeout_ms: int | None) -> Iterator[tuple[WorkerProcess, int]]:
        """Yield the descriptors that have something, once one has or *timeout_ms* has passed."""
        for fd, _ in self._poll.poll(timeout_ms):
            worker = self._by_fd.get(fd)
            if worker is not None:  # else lost, through another of its descriptors
                yield worker, fd

    def unwatch(self, fd: int) -> None:
        """Listen to a descriptor no more."""
        del self._by_fd[fd]
        self._poll.unregister(fd)

    def bury(self, worker: WorkerProcess) -> Failure:
        """Forget *worker*, which is dead or shall be, and return how it ended."""
        self._forget(worker)
        if worker in self.idle:
            self.idle.remove(worker)
        failure = worker.bury()
        self._free_logs.append(worker.log_path)
        return failure

    def close(self) -> None:
        """End all workers but those that may rest until another executor takes them over."""
        if self._handover is not None:
            self._leave(self._handover.place)
        self.idle.clear()
        workers = set(self._by_fd.values())
        for worker in workers:  # all before the first is waited for: they end side by side
            worker.kill()
        for worker in workers:
            self.bury(worker)

    def _leave(self, place: Hashable) -> None:
        resting = []
        for worker in [worker for worker in self.idle if worker.could_rest]:
            with suppress(BrokenPipeError):
                worker.rest()
                self._forget(worker)
                if worker.known is None:
                    worker.known = frozenset(self._codes)
                resting.append(worker)
        RESTING.leave(place, resting, 2 * self._size)

    def _took_over(self, kind: WorkerKind, code: str) -> WorkerProcess | None:
        """Return a worker of an earlier executor, or None."""
        if self._handover is None or not code:
            return None
        self._log_dir.mkdir(parents=True, exist_ok=True)
        while (worker := RESTING.take(self._handover.place, kind, code)) is not None:
            if worker.known is not None and self._codes <= worker.known:
                with suppress(BrokenPipeError):
                    worker.move(self._free_logs[-1], self._handover.told)
                    self._free_logs.pop()
                    self._watch_worker(worker)
                    return worker
            worker.bury()
        return None

    def _start(self, kind: WorkerKind, *, limits_gpus: bool) -> WorkerProcess:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        env, devices, threads = kind
        given = os.environ if self._environment is None else self._environment
        environment = {**_WAITING, _THREADS_VARIABLE: str(threads), **given}
        if limits_gpus:
            environment[_GPU_VARIABLE] = ",".join(devices)
        launched = launch(
            self._free_logs[-1],
            command=self._command_for(env),
            environment=environment,
            fork_main=None if env else self._fork_main,
        )
        worker = WorkerProcess(launched, kind)
        self._free_logs.pop()
        self._watch_worker(worker)
        return worker

    def _watch_worker(self, worker: WorkerProcess) -> None:
        self._watch(worker.results_fd, worker, select.POLLIN)
        if worker.sentinel_fd >= 0:
            self._watch(worker.sentinel_fd, worker, select.POLLIN)

    def _watch(self, fd: int, worker: WorkerProcess, event: int) -> None:
        self._by_fd[fd] = worker
        self._poll.register(fd, event)

    def _forget(self, worker: WorkerProcess) -> None:
        for fd in [fd for fd, other in self._by_fd.items() if other is worker]:
            self.unwatch(fd)
