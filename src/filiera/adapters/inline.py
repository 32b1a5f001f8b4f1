"""Runs tasks in this process, one at a time: for debuggers, notebooks and tests.

What a separate process gives is missing: a task's timeout and resources are not enforced, one that crashes takes
this process along, only one that has not begun can be cancelled, except by Ctrl-C, and what programs that it starts
print reaches the terminal but not the log.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

from filiera.adapters._task_queue import TaskQueue
from filiera.core.task import Dropped, ExecutorEvent, Failure, Finished, LogSpan, Started, Task

_LOG_NAME = "inline.log"
_FORMAT = logging.Formatter("%(levelname)s %(name)s: %(message)s")
_NO_ENVIRONMENTS = (
    "a step with an environment of its own needs a process of its own, and the executor 'inline' has none; "
    "choose a profile with executor = 'processes'"
)


class InlineExecutor:
    """The executor ``inline``. A task runs inside ``wait``.

    What it prints goes to ``sys.stdout`` and ``sys.stderr``, as they are then, and to the log. With the log alone a
    debugger or ``input`` would wait for an answer to a question that nobody sees. So whoever runs tasks here need not
    show the log, and redirects the streams to keep standard output for something else.
    """

    follows = False  #: nothing is gained: there is no way to and fro
    slots = 1  #: how many tasks can run at once

    def __init__(self, execute: Callable[[Task], Finished], *, log_dir: Path) -> None:
        """Make an executor that calls *execute*, and appends what tasks print to ``inline.log`` in *log_dir*."""
        self._execute = execute
        self._log = _Log(log_dir / _LOG_NAME)
        self._queue = TaskQueue()
        self._deadlines: dict[str, float] = {}  #: of tasks in the queue, on the monotonic clock
        self._next: tuple[Task, LogSpan] | None = None
        self._events: list[ExecutorEvent] = []

    def submit(self, task: Task) -> None:
        """Take a task; a later ``wait`` runs it. Raises ValueError when its id is in use.

        One that follows another is dropped: there is no way to the driver here that it could save.
        """
        if task.task_id in self._queue or (self._next and self._next[0].task_id == task.task_id):
            raise ValueError(f"task {task.task_id!r} was submitted twice")
        if task.following is not None:
            self._events.append(Dropped(task_id=task.task_id))
            return
        self._queue.add(task)
        if task.queue_timeout_s is not None:
            self._deadlines[task.task_id] = time.monotonic() + task.queue_timeout_s

    def wait(self, timeout_s: float | None) -> Sequence[ExecutorEvent]:
        """Tell that the next task starts, or run it and tell how it ended: one of the two in each call.

        Without a task, sleeps for *timeout_s*; without that too, returns an empty sequence at once.

        Raises:
            KeyboardInterrupt: The user pressed Ctrl-C. The running task has ended as "cancelled", see the next call.
        """
        if self._events:
            events, self._events = self._events, []
            return events
        if self._next:
            (task, log), self._next = self._next, None
            return [self._run(task, log)]
        following = self._queue.first(lambda resources: True)
        if following is not None:
            self._queue.remove(following.task_id)
            is_late = time.monotonic() >= self._deadline(following)
            return [_overdue(following) if is_late else self._announce(following)]
        time.sleep(timeout_s or 0)
        return []

    def cancel(self, task_ids: Collection[str]) -> None:
        """Stop these tasks, none of which is running; each ends in one Finished with a failure of kind "cancelled"."""
        for task_id in task_ids:
            if self._next and self._next[0].task_id == task_id:
                self._next = None
            elif task_id in self._queue:
                self._queue.remove(task_id)
                self._deadlines.pop(task_id, None)
            else:
                continue
            failure = Failure(kind="cancelled", error="Cancelled", message="cancelled before it started")
            self._events.append(Finished(task_id=task_id, failure=failure, started_at=time.time()))

    def close(self) -> None:
        """Forget the tasks that have not run."""
        self._queue.clear()
        self._deadlines.clear()
        self._next = None
        self._log.close()

    def _deadline(self, task: Task) -> float:
        return math.inf if task.queue_timeout_s is None else self._deadlines.pop(task.task_id)

    def _announce(self, task: Task) -> Started:
        log = LogSpan(file=_LOG_NAME, start=self._log.size)
        self._next = task, log
        return Started(task_id=task.task_id, pid=os.getpid(), log=log)

    def _run(self, task: Task, log: LogSpan) -> Finished:
        started_at, start = time.time(), time.monotonic()
        if task.env:
            failure = Failure(kind="raised", error="StepFailed", message=_NO_ENVIRONMENTS)
            return Finished(task_id=task.task_id, failure=failure, started_at=started_at, log=log)
        try:
            with _copying_output_to(self._log):
                finished = self._execute(task)
        except KeyboardInterrupt:
            failure = Failure(kind="cancelled", error="KeyboardInterrupt", message="cancelled by Ctrl-C while it ran")
            duration_s = time.monotonic() - start
            finished = Finished(task_id=task.task_id, failure=failure, started_at=started_at, duration_s=duration_s)
            self._events.append(replace(finished, log=self._log.span(log.start)))
            raise
        return replace(finished, log=self._log.span(log.start))


class _Log:
    """The file that what tasks print is appended to: opened when the first of them prints something."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self.size = path.stat().st_size if path.exists() else 0  #: in bytes

    def write(self, text: str) -> int:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        return self._file.write(text)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def span(self, start: int) -> LogSpan:
        """Return what was written from *start* to now."""
        if self._file is not None:
            self._file.flush()
            self.size = os.fstat(self._file.fileno()).st_size
        return LogSpan(file=_LOG_NAME, start=start, end=self.size)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _overdue(task: Task) -> Finished:
    message = f"it waited longer than its queue timeout of {task.queue_timeout_s:g} s for its turn"
    failure = Failure(kind="queue", error="QueueTimeout", message=message)
    return Finished(task_id=task.task_id, failure=failure, started_at=time.time())


@contextmanager
def _copying_output_to(log: _Log) -> Iterator[None]:
    """Let what is printed, and what ``logging`` shows, also go to *log*."""
    former = sys.stdout, sys.stderr
    out, err = _Tee(sys.stdout, log), _Tee(sys.stderr, log)
    sys.stdout, sys.stderr = cast(IO[str], out), cast(IO[str], err)
    # Handlers hold on to the stream they were made with, so the file needs one of its own beside them; where nobody
    # configured any, one for both, showing what a worker process would show.
    root, level = logging.root, logging.root.level
    handler: logging.Handler = logging.StreamHandler(log if root.handlers else err)
    handler.setFormatter(_FORMAT)
    if not root.handlers:
        root.setLevel(logging.INFO)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        sys.stdout, sys.stderr = former
        out.log = err.log = None


class _Tee:
    """A text stream that also writes to a log, and is in all else (debuggers ask a lot) the stream it stands for."""

    def __init__(self, stream: IO[str], log: _Log) -> None:
        self._stream = stream
        self.log: _Log | None = log  #: None after the step: a handler or thread made in it may keep this stream

    def write(self, text: str) -> int:
        if self.log is not None:
            self.log.write(text)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
