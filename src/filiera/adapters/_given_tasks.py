"""The tasks that workers have: how they get there, what becomes of them, and of those that follow them."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Collection, Sequence
from contextlib import suppress

from filiera.adapters._capacity import Capacity
from filiera.adapters._pace import AHEAD_S, Pace
from filiera.adapters._task_queue import TaskQueue
from filiera.adapters._worker_pool import WorkerPool
from filiera.adapters._worker_process import WorkerProcess
from filiera.core.task import Dropped, ExecutorEvent, Failure, Finished, Started, Task
from filiera.core.wire import REMEMBERED, Begun, Ended, unpack_report


class GivenTasks:
    """Which worker has which tasks, and the events that follow from what workers say."""

    def __init__(self, queue: TaskQueue, pool: WorkerPool, capacity: Capacity) -> None:
        self.busy: dict[WorkerProcess, None] = {}  #: workers that have tasks
        self.pace = Pace()
        self.events: list[ExecutorEvent] = []  #: to be told
        self._queue, self._pool, self._capacity = queue, pool, capacity
        self._places: dict[str, WorkerProcess] = {}  #: of the tasks that workers have
        self._started: set[str] = set()  #: those of them whose start was told
        self._remembered: OrderedDict[str, WorkerProcess] = OrderedDict()  #: who knows what the last tasks returned
        self._waiting: dict[str, Task] = {}  #: followers of tasks that no worker has yet
        self._behind: dict[str, list[Task]] = {}  #: the same by the task that they follow

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._places or task_id in self._waiting

    @property
    def lie_ahead(self) -> bool:
        """Tell whether a worker has more tasks than the one it runs."""
        return len(self._places) > len(self.busy)

    def give(self, task: Task, worker: WorkerProcess) -> None:
        """Give a task of the queue to an idle worker. Raises BrokenPipeError when that died in its sleep."""
        try:
            worker.give(task)
        except BrokenPipeError:
            if worker.is_ready:
                worker.tasks.clear()
                raise
            # A worker that cannot even start is no accident: its end, which is about to arrive, is the task's.
        self.busy[worker] = None
        self._note(task, worker)
        self._tell_start(worker)
        self._give_followers(task, worker)

    def gave_ahead(self, task: Task, worker: WorkerProcess, likely_s: float) -> bool:
        """Give a task of the queue to a busy worker, if it can be given ahead; tell whether it was."""
        if task.queue_timeout_s is not None or not worker.gave_ahead(task):
            return False
        worker.ahead_s += likely_s
        self._note(task, worker)
        self._give_followers(task, worker)
        return True

    def follow(self, task: Task) -> None:
        """Give a task that follows another to the same worker, at once or when that is given to one; else drop it."""
        assert task.following is not None
        before = task.following.task_id
        worker = self._places.get(before) or self._remembered.get(before)
        if worker is None and (before in self._queue or before in self._waiting):
            self._let_wait(task, before)
        elif worker is not None and self._gave_behind(task, worker):
            self._give_followers(task, worker)
        else:
            self._drop(task)

    def end(self, task: Task, failure: Failure) -> None:
        """Tell that a task which no worker has, and the queue no longer, has failed."""
        self._started.discard(task.task_id)
        self.events.append(Finished(task_id=task.task_id, failure=failure, started_at=time.time()))
        self._drop_followers(task)

    def hear(self, worker: WorkerProcess) -> bool:
        """Take note of what a worker says; return False when no more can come."""
        try:
            for content in worker.received():
                self._take(worker, content)
        except EOFError:
            return False
        except ValueError as error:
            failure = Failure(kind="crashed", error="LinkLost", message=f"the step disturbed its worker: {error}")
            worker.kill(failure)
        return True

    def lose(self, worker: WorkerProcess) -> None:
        """Bury a dead worker, and with it the task that it ran; the others are for other workers."""
        unread = worker.take_back()
        begun = list(worker.tasks)
        worker.tasks.clear()
        log = worker.close_log_span()
        failure = self._pool.bury(worker)
        if worker in self.busy:
            self._release(worker)
        guilty = worker.doomed
        if not guilty and begun:
            guilty = begun[0].task_id
        elif not guilty and unread and not worker.is_ready:
            guilty = unread[0].task_id
        for task in (*begun, *unread):
            del self._places[task.task_id]
            if task.task_id != guilty or (task.following is not None and guilty not in self._started):
                self._place_anew(task, is_lost=task in begun)
                continue
            self._started.discard(guilty)
            self._queue.has_left(guilty)
            duration_s = time.monotonic() - worker.head_since
            self.events.append(
                Finished(
                    task_id=guilty,
                    failure=failure,
                    started_at=time.time() - duration_s,
                    duration_s=duration_s,
                    log=log,
                )
            )

    def part_with(self, workers: Sequence[WorkerProcess]) -> None:
        """Let these workers end, after the tasks that they have begun."""
        for worker in workers:
            worker.is_leaving = True
            if worker in self.busy:
                self.take_back(worker)
            if worker in self._pool.idle:
                self._pool.bury(worker)

    def cancel(self, task_ids: Sequence[str]) -> None:
        """Stop those of these tasks that workers have, or that follow others."""
        failure = Failure(kind="cancelled", error="Cancelled", message="cancelled before it started")
        for task_id in task_ids:
            task = self._waiting.pop(task_id, None)
            if task is not None and task.following is not None:
                self._behind[task.following.task_id].remove(task)
                self.end(task, failure)
        wanted = set(task_ids)
        for worker in {self._places[task_id]: None for task_id in task_ids if task_id in self._places}:
            self.hear(worker)
            if worker not in self.busy or worker.verdict is not None:
                continue
            for task in self.take_back(worker, wanted):
                self.end(task, failure)
            running = next((task.task_id for task in worker.tasks if task.task_id in wanted), None)
            if running is not None:
                killed = Failure(kind="cancelled", error="Cancelled", message="cancelled while it ran")
                worker.kill(killed, doomed=running)

    def could_relieve(self, worker: WorkerProcess) -> bool:
        """Tell whether another worker could run a task that lies behind the first one of *worker*."""
        if len(worker.tasks) < 2 or not worker.is_ready or worker.verdict is not None:
            return False
        behind = (worker.tasks[place] for place in range(1, len(worker.tasks)))
        return any(task.following is None or task.following.task_id not in self._places for task in behind)

    def take_back(self, worker: WorkerProcess, unwanted: Collection[str] = ()) -> list[Task]:
        """Take back what a worker has not begun, but for the first task and what follows those it keeps.

        Returns:
            Those of the *unwanted* tasks that it had not begun. They are forgotten, the others go to the queue.
        """
        unread = worker.take_back()
        found: list[Task] = []
        kept: list[Task] = []
        for task in unread:
            del self._places[task.task_id]
        for task in unread:
            before = task.following and task.following.task_id
            if task.task_id in unwanted:
                self._queue.has_left(task.task_id)
                found.append(task)
            elif (before in self._places) if before else not (worker.tasks or kept):
                kept.append(task)
                self._places[task.task_id] = worker
            else:
                self._place_anew(task)
        worker.ahead_s = 0.0
        for task in kept:
            if not worker.tasks:
                with suppress(BrokenPipeError):  # its death will be noticed
                    worker.give(task)
            elif not worker.gave_ahead(task):  # its code must be told anew and makes it too long
                del self._places[task.task_id]
                self._place_anew(task)
        self._pool.watch_unsent(worker)
        if not worker.tasks:
            self._release(worker)
            self._pool.rest(worker)
        return found

    def clear(self) -> None:
        """Forget all tasks."""
        for mapping in (self.busy, self._places, self._remembered, self._waiting, self._behind):
            mapping.clear()
        self._started.clear()

    def _note(self, task: Task, worker: WorkerProcess) -> None:
        self._queue.take(task)
        self._places[task.task_id] = worker
        self._pool.watch_unsent(worker)

    def _tell_start(self, worker: WorkerProcess) -> None:
        task_id = worker.tasks[0].task_id
        if task_id not in self._started:
            self._started.add(task_id)
            self.events.append(Started(task_id=task_id, pid=worker.pid, log=worker.log_span()))

    def _release(self, worker: WorkerProcess) -> None:
        """Note that a worker has no tasks any more."""
        del self.busy[worker]
        worker.ahead_s = 0.0
        self._capacity.give_back(worker.resources, worker.kind[1])

    def _gave_behind(self, task: Task, worker: WorkerProcess) -> bool:
        """Give a follower to the worker that has or had the task before it, if it may run there."""
        fits = task.resources == worker.resources and task.env == worker.kind[0] and task.queue_timeout_s is None
        if not fits or not worker.can_give_ahead():
            return False
        if not worker.tasks:
            return self._gave_idle(task, worker)
        if not worker.gave_ahead(task):
            return False
        worker.ahead_s += self.pace.short_s(task) or AHEAD_S
        self._places[task.task_id] = worker
        self._pool.watch_unsent(worker)
        return True

    def _gave_idle(self, task: Task, worker: WorkerProcess) -> bool:
        """Give a follower to an idle worker, unless others have what it needs."""
        if worker not in self._pool.idle or not self._capacity.took_again(task.resources, worker.kind[1]):
            return False
        self._pool.idle.remove(worker)
        self.busy[worker] = None
        self._places[task.task_id] = worker
        with suppress(BrokenPipeError):  # its death will be noticed, and the task be found unread
            worker.give(task)
        self._pool.watch_unsent(worker)
        return True

    def _give_followers(self, task: Task, worker: WorkerProcess) -> None:
        """Give a worker what waits for *task*, which it has now, and what waits for that."""
        given = deque([task.task_id]) if self._behind else deque()
        while given:
            for follower in self._behind.pop(given.popleft(), ()):
                del self._waiting[follower.task_id]
                if self._gave_behind(follower, worker):
                    given.append(follower.task_id)
                else:
                    self._drop(follower)

    def _let_wait(self, task: Task, before: str) -> None:
        self._waiting[task.task_id] = task
        self._behind.setdefault(before, []).append(task)

    def _place_anew(self, task: Task, *, is_lost: bool = False) -> None:
        """Find a place for a task that no worker has any more."""
        before = task.following and task.following.task_id
        if not before:
            self._queue.come_back(task)
        elif before in self._queue or before in self._waiting:
            self._let_wait(task, before)
        else:
            self._drop(task, is_lost=is_lost)

    def _drop(self, task: Task, *, is_lost: bool = False) -> None:
        self._started.discard(task.task_id)
        self.events.append(Dropped(task_id=task.task_id, is_lost=is_lost))
        self._drop_followers(task)

    def _drop_followers(self, task: Task) -> None:
        ended = [task.task_id] if self._behind else []
        while ended:
            for follower in self._behind.pop(ended.pop(), ()):
                del self._waiting[follower.task_id]
                self.events.append(Dropped(task_id=follower.task_id))
                ended.append(follower.task_id)

    def _take(self, worker: WorkerProcess, content: bytes) -> None:
        if not content:
            worker.is_ready = True
            worker.start_clock()
            return
        if not worker.tasks or worker.tasks[0].task_id == worker.doomed:
            return  # too late: it is being killed
        report = unpack_report(content, log_file=worker.log_path.name, log_start=worker.log_start)
        task = worker.tasks[0]
        if isinstance(report, Ended):
            if report.finished.task_id != task.task_id:
                raise ValueError(f"it answers {report.finished.task_id!r} and was asked {task.task_id!r}")
            self._ended(worker, report)
        elif report.task_id != task.task_id:
            raise ValueError(f"it is at {report.task_id!r} and was asked {task.task_id!r}")
        elif isinstance(report, Begun):
            worker.head_since = time.monotonic()
            worker.start_clock()
            self._tell_start(worker)
        else:
            worker.end_first()
            del self._places[task.task_id]
            self._drop(task)
            self._go_on(worker)

    def _ended(self, worker: WorkerProcess, report: Ended) -> None:
        finished, task_id = report.finished, report.finished.task_id
        assert finished.log is not None
        worker.close_log(finished.log.end)
        task = worker.end_first()
        worker.note_warm((*task.inputs, *finished.outputs))
        del self._places[task_id]
        self._started.discard(task_id)
        self._queue.has_left(task_id)
        self.pace.note(task.function, finished.duration_s)
        self.events.append(finished)
        if finished.failure is None and not finished.blocked:
            self._remembered[task_id] = worker
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        if report.is_spent:
            worker.kill()
            worker.is_spent = True
        self._go_on(worker)

    def _go_on(self, worker: WorkerProcess) -> None:
        """Take note that a worker is at its next task, or has none."""
        if not worker.tasks:
            self._release(worker)
            if worker.is_leaving:
                self._pool.bury(worker)
            elif not worker.is_spent and worker.verdict is None:
                self._pool.rest(worker)
        elif not worker.is_spent:
            task = worker.tasks[0]
            worker.ahead_s = max(worker.ahead_s - (self.pace.short_s(task) or AHEAD_S), 0.0)
            if task.following is None:
                worker.start_clock()
                self._tell_start(worker)
