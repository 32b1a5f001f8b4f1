"""The worker processes of one executor: started when needed, kept warm, ended to make room for others."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from filiera.adapters._worker_process import WorkerProcess
from filiera.adapters._worker_start import launch
from filiera.core.artifact import ArtifactRef
from filiera.core.task import Failure

WorkerKind = tuple[str, tuple[str, ...]]
"""The environment that a worker runs in, and the GPUs it sees: what a process cannot change once it has begun."""

_GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"


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
    ) -> None:
        self._command_for, self._environment, self._fork_main = command_for, environment, fork_main
        self._log_dir = log_dir
        self._free_logs = [log_dir / f"worker-{number}.log" for number in reversed(range(size))]
        self.idle: list[WorkerProcess] = []  #: those that have nothing to do
        self._by_fd: dict[int, WorkerProcess] = {}
        self._poll = select.poll()

    @property
    def has_room(self) -> bool:
        """Tell whether a worker for any task is idle or can be started."""
        return bool(self.idle or self._free_logs)

    def try_worker(self, kind: WorkerKind, inputs: Sequence[ArtifactRef], *, limits_gpus: bool) -> WorkerProcess | None:
        """Return an idle worker of *kind*, the one that knows most of *inputs*, or a new one; None: there is no room.

        Raises:
            OSError, FilieraError: It cannot be started.
        """
        fitting = [worker for worker in self.idle if worker.kind == kind]
        if fitting:
            worker = max(reversed(fitting), key=lambda worker: worker.warm_bytes(inputs))
            self.idle.remove(worker)
            return worker
        if not self._free_logs:
            if not self.idle:
                return None
            self.bury(self.idle[0])  # of another kind, the one that has been idle for longest
        return self._start(kind, limits_gpus=limits_gpus)

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
        """Leave no process behind."""
        self.idle.clear()
        workers = set(self._by_fd.values())
        for worker in workers:  # all before the first is waited for: they end side by side
            worker.kill()
        for worker in workers:
            self.bury(worker)

    def _start(self, kind: WorkerKind, *, limits_gpus: bool) -> WorkerProcess:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        env, devices = kind
        environment = self._environment
        if limits_gpus:
            environment = {**(os.environ if environment is None else environment), _GPU_VARIABLE: ",".join(devices)}
        launched = launch(
            self._free_logs[-1],
            command=self._command_for(env),
            environment=environment,
            fork_main=None if env else self._fork_main,
        )
        worker = WorkerProcess(launched, kind)
        self._free_logs.pop()
        self._watch(worker.results_fd, worker, select.POLLIN)
        if worker.sentinel_fd >= 0:
            self._watch(worker.sentinel_fd, worker, select.POLLIN)
        return worker

    def _watch(self, fd: int, worker: WorkerProcess, event: int) -> None:
        self._by_fd[fd] = worker
        self._poll.register(fd, event)

    def _forget(self, worker: WorkerProcess) -> None:
        for fd in [fd for fd, other in self._by_fd.items() if other is worker]:
            self.unwatch(fd)
