"""Runs tasks in warm worker processes of this machine.

A worker is started when there is a task and no idle worker, stays for further tasks, and is replaced when a task kills
it or leaves processes or threads behind. What happens to one task cannot reach another: a worker has one at a time,
and is killed together with everything that it started.
"""

from __future__ import annotations

import math
import select
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from filiera.adapters._capacity import fits, machine, used_memory_mib
from filiera.adapters._worker_process import WorkerProcess, start_worker
from filiera.core.task import ExecutorEvent, Failure, Finished, Started, Task
from filiera.core.wire import unpack_finished

_MEMORY_CHECK_S = 0.1


class ProcessExecutor:
    """The executor ``processes``.

    Tasks start in the order of submission; one that does not fit beside those running lets later ones pass. A task that
    asks for more than the machine has runs alone.
    """

    def __init__(
        self,
        *,
        command: Sequence[str],
        workers: int,
        log_dir: Path,
        environment: Mapping[str, str] | None = None,
        fork_main: Callable[[], None] | None = None,
        start_timeout_s: float = 60.0,
    ) -> None:
        """Make an executor that has not started anything yet.

        Args:
            command: Starts a worker process, which ends up in ``filiera.engine.worker.work``.
            workers: How many processes at most, and how many ``cpu`` slots; at least 1.
            log_dir: Where ``worker-0.log``, ``worker-1.log`` … are appended to; made when needed.
            environment: Environment variables of the workers; this process's when None.
            fork_main: Does the same as *command*. Called in a fork of this process while that has one thread only,
                which saves starting an interpreter and importing.
            start_timeout_s: How long a worker may take until it is ready; then it is killed and its task fails.
        """
        if workers < 1 or start_timeout_s <= 0:
            raise ValueError(
                f"workers must be at least 1 and start_timeout_s above 0, got {workers}, {start_timeout_s}"
            )
        self._command, self._environment, self._fork_main = command, environment, fork_main
        self._start_timeout_s = start_timeout_s
        self._log_dir = log_dir
        self._total = machine(workers)
        self._queue: OrderedDict[str, Task] = OrderedDict()
        self._idle: list[WorkerProcess] = []
        self._busy: dict[str, WorkerProcess] = {}
        self._by_fd: dict[int, WorkerProcess] = {}
        self._free_logs = [log_dir / f"worker-{number}.log" for number in reversed(range(workers))]
        self._poll = select.poll()
        self._events: list[ExecutorEvent] = []
        self._next_memory_check = 0.0

    @property
    def slots(self) -> int:
        """How many tasks can run at once."""
        return self._total.cpu

    def submit(self, task: Task) -> None:
        """Take a task; it starts at once when a worker is free. Raises ValueError when its id is in use."""
        if task.task_id in self._queue or task.task_id in self._busy:
            raise ValueError(f"task {task.task_id!r} was submitted twice")
        self._queue[task.task_id] = task
        self._start_tasks()

    def wait(self, timeout_s: float | None) -> Sequence[ExecutorEvent]:
        """Return what happened since the last call; block until something does or *timeout_s* has passed.

        Without a timeout and without a task, nothing can happen: returns an empty sequence at once.
        """
        until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while not self._events and (until < math.inf or self._queue or self._busy):
            left_s = min(until, self._next_limit()) - time.monotonic()
            self._serve(self._poll.poll(None if left_s == math.inf else max(math.ceil(left_s * 1000), 0)))
            self._enforce_limits()
            if time.monotonic() >= until:
                break
        events, self._events = self._events, []
        return events

    def cancel(self, task_ids: Collection[str]) -> None:
        """Stop these tasks; each still ends in one Finished, with a failure of kind "cancelled"."""
        for task_id in task_ids:
            if task_id in self._queue:
                failure = Failure(kind="cancelled", error="Cancelled", message="cancelled before it started")
                self._end_queued(self._queue[task_id], failure)
            elif task_id in self._busy:
                failure = Failure(kind="cancelled", error="Cancelled", message="cancelled while it ran")
                self._busy[task_id].kill(failure)

    def close(self) -> None:
        """Stop everything and leave no process behind. May be called twice."""
        self._queue.clear()
        self._busy.clear()
        self._idle.clear()
        workers = set(self._by_fd.values())
        for worker in workers:  # all before the first is waited for: they end side by side
            worker.kill()
        for worker in workers:
            self._forget(worker)
            worker.bury()

    def _start_tasks(self) -> None:
        """Give queued tasks to workers, as many as there is room for."""
        while self._queue and (self._idle or self._free_logs):
            task = self._next_task()
            if task is None:
                return
            try:
                worker = self._idle.pop() if self._idle else self._start_worker()
            except OSError as error:
                message = f"no worker process could be started: {error}"
                self._end_queued(task, Failure(kind="crashed", error=type(error).__name__, message=message))
                continue
            if self._gave(task, worker):
                del self._queue[task.task_id]
                self._busy[task.task_id] = worker
                self._events.append(Started(task_id=task.task_id, pid=worker.pid, log=worker.log_span()))

    def _next_task(self) -> Task | None:
        """Return the first task in the queue that fits beside those running."""
        running = [worker.task.resources for worker in self._busy.values() if worker.task]
        if sum(resources.cpu for resources in running) >= self._total.cpu:
            return None
        return next((task for task in self._queue.values() if fits(task.resources, running, self._total)), None)

    def _gave(self, task: Task, worker: WorkerProcess) -> bool:
        """Give *task* to *worker*; return False when that died in its sleep and the task is for another one."""
        try:
            worker.give(task)
        except BrokenPipeError:
            if worker.is_ready:
                worker.let_go()
                self._lose(worker)
                return False
            # A worker that cannot even start is no accident: its end, which is about to arrive, is the task's.
        if worker.unsent_fd >= 0:
            self._watch(worker.unsent_fd, worker, select.POLLOUT)
        return True

    def _start_worker(self) -> WorkerProcess:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        log_path = self._free_logs[-1]
        worker = start_worker(log_path, command=self._command, environment=self._environment, fork_main=self._fork_main)
        worker.deadline = time.monotonic() + self._start_timeout_s
        self._free_logs.pop()
        self._watch(worker.results_fd, worker, select.POLLIN)
        if worker.sentinel_fd >= 0:
            self._watch(worker.sentinel_fd, worker, select.POLLIN)
        return worker

    def _watch(self, fd: int, worker: WorkerProcess, event: int) -> None:
        self._by_fd[fd] = worker
        self._poll.register(fd, event)

    def _unwatch(self, fd: int) -> None:
        del self._by_fd[fd]
        self._poll.unregister(fd)

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        """Handle the descriptors that have something, then use the room this made."""
        for fd, _ in ready:
            worker = self._by_fd.get(fd)
            if worker is None:
                continue  # lost, through another of its descriptors
            if fd == worker.unsent_fd:
                self._send_rest(worker)
                continue
            is_open = self._receive(worker)
            if fd == worker.sentinel_fd or (not is_open and worker.sentinel_fd < 0):
                self._lose(worker)
            elif not is_open:
                self._unwatch(fd)  # its sentinel will tell when it has really ended, and how
        self._start_tasks()

    def _send_rest(self, worker: WorkerProcess) -> None:
        fd = worker.unsent_fd
        try:
            worker.send_rest()
        except BrokenPipeError:
            self._unwatch(fd)
            return
        if worker.unsent_fd < 0:
            self._unwatch(fd)

    def _receive(self, worker: WorkerProcess) -> bool:
        """Take the messages of *worker*; return False when no more can come."""
        try:
            for content in worker.received():
                self._take(worker, content)
        except EOFError:
            return False
        except ValueError as error:
            worker.kill(Failure(kind="crashed", error="LinkLost", message=f"the step disturbed its worker: {error}"))
        return True

    def _take(self, worker: WorkerProcess, content: bytes) -> None:
        if not content:
            worker.is_ready = True
            worker.start_clock()
            return
        finished, log_end, is_spent = unpack_finished(content)
        if worker.verdict or worker.task is None:
            return  # too late: it is being killed
        del self._busy[worker.task.task_id]
        worker.let_go()
        self._events.append(replace(finished, log=worker.log_span(log_end)))
        if is_spent:
            worker.kill()
        else:
            self._idle.append(worker)

    def _lose(self, worker: WorkerProcess) -> None:
        """Bury a dead *worker*, and with it the task it had."""
        self._forget(worker)
        failure = worker.bury()
        self._free_logs.append(worker.log_path)
        if worker in self._idle:
            self._idle.remove(worker)
        if worker.task is not None:
            del self._busy[worker.task.task_id]
            duration_s = time.monotonic() - worker.given_at
            self._events.append(
                Finished(
                    task_id=worker.task.task_id,
                    failure=failure,
                    started_at=time.time() - duration_s,
                    duration_s=duration_s,
                    log=worker.close_log_span(),
                )
            )

    def _forget(self, worker: WorkerProcess) -> None:
        for fd in [fd for fd, other in self._by_fd.items() if other is worker]:
            self._unwatch(fd)

    def _end_queued(self, task: Task, failure: Failure) -> None:
        del self._queue[task.task_id]
        self._events.append(Finished(task_id=task.task_id, failure=failure, started_at=time.time()))

    def _next_limit(self) -> float:
        """Return when a busy worker may have to be killed, on the monotonic clock."""
        alive = [worker for worker in self._busy.values() if not worker.verdict]
        deadlines = [worker.deadline for worker in alive if worker.deadline is not None]
        if any(worker.task and worker.task.resources.memory_mib for worker in alive):
            deadlines.append(self._next_memory_check)
        return min(deadlines, default=math.inf)

    def _overdue(self, worker: WorkerProcess, task: Task) -> Failure:
        """Return what it means that the deadline of *worker* has passed."""
        if worker.is_ready:
            message = f"it ran longer than its timeout of {task.timeout_s:g} s"
            return Failure(kind="timeout", error="TimeoutError", message=message)
        message = (
            f"its worker process was not ready within {self._start_timeout_s:g} s: Python, or what it imports when it "
            "starts, hangs; see the log"
        )
        return Failure(kind="crashed", error="StartTimeout", message=message)

    def _enforce_limits(self) -> None:
        """Kill the workers that took too much time to start, and the tasks that took too much time or memory."""
        now = time.monotonic()
        limited = []
        for worker in self._busy.values():
            task = worker.task
            if task is None or worker.verdict:
                continue
            if worker.deadline is not None and now >= worker.deadline:
                worker.kill(self._overdue(worker, task))
            elif task.resources.memory_mib:
                limited.append((worker, task.resources.memory_mib))
        if limited and now >= self._next_memory_check:
            self._next_memory_check = now + _MEMORY_CHECK_S
            used_mib = used_memory_mib(worker.pid for worker, _ in limited)
            for worker, limit_mib in limited:
                if used_mib[worker.pid] > limit_mib:
                    message = f"it used {used_mib[worker.pid]} MiB of memory and may use {limit_mib} MiB"
                    worker.kill(Failure(kind="memory", error="MemoryError", message=message))
