"""Runs tasks in warm worker processes of this machine.

A worker is started when there is a task and no idle worker, stays for further tasks, and is replaced when a task kills
it or leaves processes or threads behind. What happens to one task cannot reach another: a worker runs one at a time,
and is killed together with everything that it started.

A worker that is busy with short tasks is given some more ahead of time, which lie in its pipe: so it does not wait for
the driver between them. What a worker has not read, it has not begun, and is taken back when another could run it.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from filiera.adapters._capacity import Capacity, gpu_devices, machine, used_memory_mib
from filiera.adapters._given_tasks import GivenTasks
from filiera.adapters._pace import AHEAD_S, HEAD_IS_LONG_S, SHORT_S
from filiera.adapters._resting_workers import Handover as Handover
from filiera.adapters._task_queue import TaskQueue
from filiera.adapters._worker_pool import WorkerPool
from filiera.adapters._worker_process import LARGE_BYTES, WorkerProcess
from filiera.core.task import ExecutorEvent, Failure, Task
from filiera.errors import FilieraError

_MEMORY_CHECK_S = 0.1
_COLD_S_PER_BYTE = 0.5e-9
"""What it takes a process to verify and map a value: 0.15 s for 320 MB, against 0.01 s in one that has had it."""


class ProcessExecutor:
    """The executor ``processes``.

    Of the tasks that could start, those of higher priority do first, and of these the one submitted first; one that
    does not fit beside those running lets others pass. A task that asks for more than the machine has fails at once.
    """

    def __init__(
        self,
        *,
        command_for: Callable[[str], Sequence[str]],
        workers: int,
        log_dir: Path,
        environment: Mapping[str, str] | None = None,
        fork_main: Callable[[], None] | None = None,
        start_timeout_s: float = 60.0,
        follows: bool = True,
        handover: Handover | None = None,
    ) -> None:
        """Make an executor that has not started anything yet.

        Args:
            command_for: Returns the command that starts a worker process in an environment, by the environment's
                digest, "" for the executor's own. The process ends up in ``filiera.engine.worker.work``.
            workers: How many processes at most, and how many ``cpu`` slots; at least 1.
            log_dir: Where ``worker-0.log``, ``worker-1.log`` … are appended to; made when needed.
            environment: Environment variables of the workers; this process's when None.
            fork_main: Does the same as the command for "". Called in a fork of this process while that has one thread
                only, which saves starting an interpreter and importing.
            start_timeout_s: How long a worker may take until it is ready; then it is killed and its task fails.
            handover: Lets it take over idle workers of earlier executors of this process, and leave its own to later
                ones; without it, they end with it.
            follows: The workers can tell which keys are free, and so go on by themselves with tasks that follow others.
        """
        if workers < 1 or start_timeout_s <= 0:
            raise ValueError(
                f"workers must be at least 1 and start_timeout_s above 0, got {workers}, {start_timeout_s}"
            )
        self.follows = follows
        self._start_timeout_s = start_timeout_s
        devices = gpu_devices()
        self._limits_gpus = bool(devices)
        self._capacity = Capacity(machine(workers), devices)
        self._pool = WorkerPool(
            command_for=command_for,
            size=workers,
            log_dir=log_dir,
            environment=environment,
            fork_main=fork_main,
            handover=handover,
        )
        self._queue = TaskQueue()
        self._given = GivenTasks(self._queue, self._pool, self._capacity)
        self._queue_deadlines: list[tuple[float, str]] = []  #: heap; ids that have left the queue are skipped
        self._next_memory_check = 0.0

    @property
    def slots(self) -> int:
        """How many tasks can run at once."""
        return self._capacity.total.cpu

    def submit(self, task: Task) -> None:
        """Take a task; it starts at once when a worker is free. Raises ValueError when its id is in use."""
        task_id = task.task_id
        if task_id in self._queue or task_id in self._given:
            raise ValueError(f"task {task_id!r} was submitted twice")
        self._given.part_with(self._pool.lack(task.code))
        if task.following is not None:
            self._given.follow(task)
            return
        refusal = self._capacity.refusal(task.resources)
        if refusal:
            self._given.end(task, Failure(kind="raised", error="TooLarge", message=refusal, bases=_NOT_RETRYABLE))
            return
        self._queue.add(task)
        if task.queue_timeout_s is not None:
            heapq.heappush(self._queue_deadlines, (time.monotonic() + task.queue_timeout_s, task_id))
        self._start_tasks()

    def wait(self, timeout_s: float | None) -> Sequence[ExecutorEvent]:
        """Return what happened since the last call; block until something does or *timeout_s* has passed.

        Without a timeout and without a task, nothing can happen: returns an empty sequence at once.
        """
        given = self._given
        until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while not given.events and (until < math.inf or len(self._queue) or given.busy):
            left_s = min(until, self._next_limit()) - time.monotonic()
            self._serve(None if left_s == math.inf else max(math.ceil(left_s * 1000), 0))
            self._enforce_limits()
            if time.monotonic() >= until:
                break
        events, given.events = given.events, []
        return events

    def cancel(self, task_ids: Collection[str]) -> None:
        """Stop these tasks; each still ends in one Finished, with a failure of kind "cancelled"."""
        failure = Failure(kind="cancelled", error="Cancelled", message="cancelled before it started")
        given = []
        for task_id in task_ids:
            if task_id in self._queue:
                self._given.end(self._queue.remove(task_id), failure)
            elif task_id in self._given:
                given.append(task_id)
        self._given.cancel(given)

    def close(self) -> None:
        """Stop everything, and leave no process behind but those that the next one may take over.

        May be called twice.
        """
        self._queue.clear()
        self._given.clear()
        self._pool.close()

    def _start_tasks(self) -> None:
        """Give tasks to workers: to those that are free, then ahead of time, then those from one that is held up."""
        while len(self._queue) and self._has_room:
            task = self._queue.first(self._capacity.has)
            if task is None or not self._could_place(task):
                break
        if len(self._queue):
            self._give_ahead()
        elif self._given.lie_ahead and self._has_room:
            self._relieve()

    @property
    def _has_room(self) -> bool:
        return self._pool.has_room and not self._capacity.is_used_up

    def _could_place(self, task: Task) -> bool:
        """Give *task* to a worker, or see to its end; return False when there is no worker for it at the moment."""
        if self._is_with_its_inputs(task):
            return True
        devices = self._capacity.take(task.resources, preferred=(worker.kind[1] for worker in self._pool.idle))
        worker = None
        try:
            worker = self._pool.try_worker(task, devices, limits_gpus=self._limits_gpus)
            if worker is not None:
                if not worker.is_ready:
                    worker.deadline = time.monotonic() + self._start_timeout_s
                self._given.give(task, worker)
                return True
        except BrokenPipeError:
            assert worker is not None
            self._pool.bury(worker)
        except (OSError, FilieraError) as error:
            message = f"no worker process could be started: {error}"
            self._queue.remove(task.task_id)
            self._given.end(task, Failure(kind="crashed", error=type(error).__name__, message=message))
        self._capacity.give_back(task.resources, devices)
        return worker is not None or task.task_id not in self._queue

    def _is_with_its_inputs(self, task: Task) -> bool:
        """Give *task* ahead to a busy worker that has its large inputs at hand, if waiting for it saves time."""
        if all(ref.size_bytes < LARGE_BYTES for ref in task.inputs):
            return False
        known = max((worker.warm_bytes(task.inputs) for worker in self._pool.idle), default=0)
        pace = self._given.pace
        for worker in self._given.busy:
            saved_s = (worker.warm_bytes(task.inputs) - known) * _COLD_S_PER_BYTE
            fits = (task.resources, task.env) == (worker.resources, worker.kind[0])
            if fits and saved_s > worker.ahead_s + SHORT_S and pace.has_room(worker):
                return self._given.gave_ahead(task, worker, pace.short_s(task) or AHEAD_S)
        return False

    def _give_ahead(self) -> None:
        """Give workers that are busy with short tasks some more of them."""
        pace = self._given.pace
        roomy = [worker for worker in self._given.busy if pace.has_room(worker)]
        while roomy:
            worker = min(roomy, key=_ahead_s)
            task = self._queue.first_of((worker.resources, worker.kind[0]))
            likely_s = None if task is None else pace.short_s(task)
            is_given = task is not None and likely_s is not None and self._given.gave_ahead(task, worker, likely_s)
            if not is_given or not pace.has_room(worker):
                roomy.remove(worker)

    def _relieve(self) -> None:
        """Take tasks from behind one that turned out to be long, and give them to who has nothing to do."""
        now = time.monotonic()
        for worker in list(self._given.busy):
            if now - worker.head_since >= HEAD_IS_LONG_S and self._given.could_relieve(worker):
                self._given.take_back(worker)
        if len(self._queue):
            self._start_tasks()

    def _serve(self, timeout_ms: int | None) -> None:
        """Wait for descriptors that have something and handle them, then use the room this made."""
        for worker, fd in self._pool.ready(timeout_ms):
            if fd == worker.unsent_fd:
                self._send_rest(worker)
                continue
            is_open = self._given.hear(worker)
            if fd == worker.sentinel_fd or (not is_open and worker.sentinel_fd < 0):
                self._given.lose(worker)
            elif not is_open:
                self._pool.unwatch(fd)  # its sentinel will tell when it has really ended, and how
        self._start_tasks()

    def _send_rest(self, worker: WorkerProcess) -> None:
        fd = worker.unsent_fd
        try:
            worker.send_rest()
        except BrokenPipeError:
            self._pool.unwatch(fd)
            return
        if worker.unsent_fd < 0:
            self._pool.unwatch(fd)

    def _next_limit(self) -> float:
        """Return when something must be done although nothing happens, on the monotonic clock."""
        alive = [worker for worker in self._given.busy if worker.verdict is None]
        deadlines = [worker.deadline for worker in alive if worker.deadline is not None]
        if any(worker.resources.memory_mib for worker in alive):
            deadlines.append(self._next_memory_check)
        if self._queue_deadlines:
            deadlines.append(self._queue_deadlines[0][0])
        if self._given.lie_ahead and self._has_room:
            deadlines += [w.head_since + HEAD_IS_LONG_S for w in alive if self._given.could_relieve(w)]
        return min(deadlines, default=math.inf)

    def _enforce_limits(self) -> None:
        """End what took too much: workers to start, tasks to wait for their turn, to run, or memory."""
        now = time.monotonic()
        self._end_overdue_in_queue(now)
        limited = []
        for worker in self._given.busy:
            if worker.verdict is not None or not worker.tasks:
                continue
            if worker.deadline is not None and now >= worker.deadline:
                worker.kill(self._overdue(worker, worker.tasks[0]))
            elif worker.resources.memory_mib:
                limited.append(worker)
        if limited and now >= self._next_memory_check:
            self._next_memory_check = now + _MEMORY_CHECK_S
            used_mib = used_memory_mib(worker.pid for worker in limited)
            for worker in limited:
                used, limit = used_mib[worker.pid], worker.resources.memory_mib
                if used > limit:
                    message = f"it used {used} MiB of memory and may use {limit} MiB"
                    worker.kill(Failure(kind="memory", error="MemoryError", message=message))

    def _end_overdue_in_queue(self, now: float) -> None:
        while self._queue_deadlines and self._queue_deadlines[0][0] <= now:
            _, task_id = heapq.heappop(self._queue_deadlines)
            if task_id in self._queue:
                task = self._queue.remove(task_id)
                message = f"it waited longer than its queue timeout of {task.queue_timeout_s:g} s for a free place"
                self._given.end(task, Failure(kind="queue", error="QueueTimeout", message=message))

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


_NOT_RETRYABLE = ("filiera.errors:NotRetryable",)


def _ahead_s(worker: WorkerProcess) -> float:
    return worker.ahead_s
