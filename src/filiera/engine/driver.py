"""The loop: submit what can run, wait, record; for one run or for thousands that share an executor and their commits.

What a run's steps are and what follows from their ends is its ``Course``, and who must wait is decided by
``Admission``. Here calls are executed: again after a failure, ahead of time where a worker can go on by itself.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import field, replace
from time import monotonic

from filiera.core.artifact import ArtifactRef
from filiera.core.events import StepStarted
from filiera.core.task import Dropped, ExecutorEvent, Failure, Finished, LogSpan, Started, Task
from filiera.core.value import dataclass
from filiera.engine.admission import Admission, Flights, Limits, Waiting
from filiera.engine.course import Course
from filiera.engine.journal import Journal
from filiera.engine.planner import Call, Skipped
from filiera.engine.tasks import task_ahead, task_id, task_of
from filiera.ports import Executor

HEARTBEAT_S = 5.0
STOP_NOTICED_WITHIN_S = 0.25
LONGEST_RETRY_DELAY_S = 60.0
AHEAD = 8
"""So many steps of a chain are given to a worker beyond the one that it runs."""
SHORT_S = 0.05
"""More are given only after steps that take no longer: then a worker that went on by itself has saved something."""
MOST_SUBMITTED = 4096
"""Calls that an executor has at once; further ones are made when some of them have ended."""
_NOT_RETRIED = frozenset({"codec", "input", "cancelled", "queue"})
_LOST = ("BlobCorrupted", "BlobMissing")
_NOT_RETRYABLE = "filiera.errors:NotRetryable"


@dataclass(slots=True)
class Running:
    """A call that an executor has."""

    course: Course
    call: Call
    task: Task
    attempt: int = 1
    tokens: tuple[str, ...] = ()  #: of the limits that it holds
    chain: deque[str] = field(default_factory=deque)  #: the tasks that its worker goes on with, in order
    is_begun: bool = True  #: False: its worker goes on with it as far as we know, and has not said so


@dataclass(kw_only=True)
class Driver:
    """Runs graphs to their ends."""

    make_executor: Callable[[], Executor]  #: called when the first step must run: a run of hits does without
    journal: Journal
    flights: Flights | None = None
    limits: Limits | None = None
    env_of: Callable[[str], str] = str  #: from a step's requirements file to the digest of its environment
    on_over: Callable[[Course], None] = lambda course: None  #: a run has no step left that can run
    heal: Callable[[Sequence[ArtifactRef]], Sequence[ArtifactRef]] | None = None
    """Sets damaged bytes of artifacts aside and returns those that cannot be read."""
    on_wait: Callable[[], None] | None = None  #: called a few times a second while steps run
    stop_asked: bool = False  #: set it, from a signal handler too, and all runs are cancelled
    is_waiting: bool = False  #: the executor is at work; KeyboardInterrupt now ends what it does here, and is a stop
    _load: dict[Course, int] = field(default_factory=dict)  #: per run that is not over, its calls under way
    _moved: dict[Course, None] = field(default_factory=dict)  #: runs to look at: steps may begin, or it may be over
    _deadlines: list[tuple[float, int, Course]] = field(default_factory=list)  #: heap: when, order, which run
    _running: dict[str, Running] = field(default_factory=dict)  #: by task id
    _ahead: dict[str, tuple[Course, Call, Task]] = field(default_factory=dict)  #: a worker's, which has not begun them
    _retries: list[tuple[float, str]] = field(default_factory=list)  #: heap: when, which task
    _retrying: dict[str, Running] = field(default_factory=dict)  #: by the id of the task to come
    _serial: Iterator[int] = field(default_factory=itertools.count)
    _beat_at: float = 0.0

    def __post_init__(self) -> None:
        self._admission = Admission(flights=self.flights, limits=self.limits)
        self.journal.on_written = self._admission.written

    @functools.cached_property
    def executor(self) -> Executor:
        """Return what runs the steps."""
        return self.make_executor()

    def close(self) -> None:
        """End the executor, if there is one."""
        if "executor" in self.__dict__:
            self.executor.close()

    def add(self, course: Course) -> None:
        """Have a run driven."""
        self._load[course] = 0
        self._moved[course] = None
        if course.graph.timeout_s is not None:
            heapq.heappush(self._deadlines, (monotonic() + course.graph.timeout_s, next(self._serial), course))

    def run(self) -> None:
        """Run every step that can run; afterwards all runs are over, cancelled when it was stopped."""
        self._beat_at = monotonic() + HEARTBEAT_S
        while self._load:
            if self.stop_asked:
                self._stop_all()
                break
            self._begin_calls()
            if not self._load:
                break
            if self.journal.due_in_s == 0.0:
                self.journal.flush()
            for event in self._wait():
                self._take(event)
            self._wake()
            self._beat()
            if self.on_wait is not None:
                self.on_wait()
        self.journal.flush()

    def _begin_calls(self) -> None:
        """Begin what can begin, a few calls of each run in turn."""
        for _ in range(len(self._moved)):
            course = next(iter(self._moved))
            del self._moved[course]
            while len(self._running) < MOST_SUBMITTED and not self.stop_asked:
                call = course.next_call()
                if call is None:
                    break
                self._begin(course, call)
            if course.stopping:
                self._end_calls({course})
            elif not course.is_idle:
                self._moved[course] = None
                if self.stop_asked or len(self._running) >= MOST_SUBMITTED:
                    return
            if self._load[course] == 0 and (course.is_idle or course.stopping):
                self._over(course)

    def _over(self, course: Course) -> None:
        if course.stopping:
            course.cancel()
        del self._load[course]
        self._moved.pop(course, None)
        self.on_over(course)

    def _begin(self, course: Course, call: Call) -> None:
        self._load[course] += 1
        tokens = self._admission.admit(course, call)
        if tokens is not None:
            env = call.node.step.options.env
            task = task_of(course, call, self.env_of(env) if env else "")
            self._submit(Running(course, call, task, tokens=tokens))

    def _submit(self, running: Running) -> None:
        self._running[running.task.task_id] = running
        self.executor.submit(running.task)
        self._look_ahead(running)

    def _look_ahead(self, running: Running) -> None:
        """Give the worker the steps that it can go on with by itself."""
        if not self.executor.follows:
            return
        course, chain = running.course, running.chain
        while chain and chain[-1] not in self._ahead:
            chain.pop()  # dropped by its worker
        before, node = running.task.task_id, running.call.node
        if chain:
            before, node = chain[-1], self._ahead[chain[-1]][1].node
        while len(chain) < AHEAD:
            follower = course.follower(node.name)
            if follower is None:
                return
            # A name of its own: the step may begin in the usual way before the worker has told that it dropped this.
            ids = before, f"{task_id(course, follower.name, 1)}.{next(self._serial)}"
            try:
                task, call = task_ahead(course, follower, node, running.task.env, ids=ids)
            except Skipped:
                return
            self._ahead[task.task_id] = (course, call, task)
            chain.append(task.task_id)
            self.executor.submit(task)
            before, node = task.task_id, follower

    def _wait(self) -> Sequence[ExecutorEvent]:
        try:
            self.is_waiting = True
            events = self.executor.wait(self._wait_s())
            self.is_waiting = False
        except KeyboardInterrupt:
            self.is_waiting = False
            self.stop_asked = True
            return ()
        return events

    def _wait_s(self) -> float:
        now = monotonic()
        waits = [STOP_NOTICED_WITHIN_S, self._beat_at - now, self._admission.due_in_s]
        due_in_s = self.journal.due_in_s
        if due_in_s is not None:
            waits.append(due_in_s)
        if self._moved and len(self._running) < MOST_SUBMITTED:
            waits.append(0.0)
        if self._retries:
            waits.append(self._retries[0][0] - now)
        if self._deadlines:
            waits.append(self._deadlines[0][0] - now)
        return max(0.0, min(waits))

    def _take(self, event: ExecutorEvent) -> None:
        if isinstance(event, Started):
            self._started(event)
        elif isinstance(event, Finished):
            self._finished(event)
        else:
            self._dropped(event)

    def _started(self, event: Started) -> None:
        running = self._running.get(event.task_id)
        if running is None:
            return  # a worker went on by itself with what is about to be cancelled
        if not running.is_begun:
            running.is_begun = True
            self._admission.begun(running.course, running.call)
        log = _log_of(running.course, event.log)
        running.course.recorder.record(
            StepStarted(step=running.call.node.name, attempt=running.attempt, pid=event.pid, log=log)
        )

    def _finished(self, event: Finished) -> None:
        running = self._running.pop(event.task_id, None)
        if running is None:
            self._forget_ahead(event.task_id)  # cancelled before we knew that its turn had come
            return
        course, call, name = running.course, running.call, running.call.node.name
        failure = event.failure
        if event.log is not None and course.log_prefix:
            event = replace(event, log=_log_of(course, event.log))
        if failure is None:
            course.succeeded(name, event, call.parts.key)
            self._ended(running, is_kept=True)
            self._follow(running, event)
        elif course.stopping or self._makes_again(running, event, failure):
            self._ended(running, is_kept=False)
        else:
            delay_s = self._retry_delay_s(running, failure)
            course.failed(name, running.attempt, event, delay_s)
            if delay_s is None:
                self._ended(running, is_kept=False)
            else:
                self._try_again(running, delay_s)

    def _makes_again(self, running: Running, event: Finished, failure: Failure) -> bool:
        """Have lost inputs made again, if that is why an attempt failed and if it is possible."""
        if failure.kind != "input" or failure.error not in _LOST or self.heal is None:
            return False
        lost = frozenset(self.heal(running.call.inputs))
        return running.course.make_again(running.call.node.name, running.attempt, event, lost)

    def _ended(self, running: Running, *, is_kept: bool) -> None:
        self._load[running.course] -= 1
        self._moved[running.course] = None
        if running.is_begun:
            self._put_back(self._admission.ended(running.call, running.tokens, is_kept=is_kept))
        else:
            self._admission.dropped(running.call)

    def _put_back(self, waiting: list[Waiting]) -> None:
        for course, name in waiting:
            self._load[course] -= 1
            self._moved[course] = None
            course.begin_again(name)

    def _follow(self, running: Running, event: Finished) -> None:
        """Take note that the worker has gone on with the next task of the chain."""
        chain = running.chain
        if not chain:
            return
        found = self._ahead.get(chain[0])
        if found is None:
            return  # it was dropped
        course, ahead, task = found
        call = course.take(ahead)
        if call is None:
            self.executor.cancel([task.task_id])  # it must not begin any more, and perhaps has
            return
        del self._ahead[chain.popleft()]
        self._load[course] += 1
        following = Running(course, call, task, chain=chain, is_begun=False)
        self._running[task.task_id] = following
        if event.duration_s < SHORT_S:
            self._look_ahead(following)

    def _dropped(self, event: Dropped) -> None:
        """Let a step whose worker did not go on with it begin in the usual way."""
        running = self._running.pop(event.task_id, None)
        if running is None:
            self._forget_ahead(event.task_id, may_have_key=event.is_lost)
            return
        if running.is_begun or event.is_lost:
            self._ended(running, is_kept=False)
        else:  # somebody else has its key, perhaps another worker of ours
            self._load[running.course] -= 1
            self._moved[running.course] = None
        running.course.give_back(running.call.node.name)

    def _forget_ahead(self, task_id: str, *, may_have_key: bool = True) -> None:
        """Forget a call that was made ahead and is not run there."""
        found = self._ahead.pop(task_id, None)
        if found is not None and may_have_key:
            course, ahead, _ = found
            with suppress(Skipped):  # what it follows has not succeeded, so that its worker did not know the key
                self._admission.dropped(course.planner.filled(ahead, course.outputs))

    def _retry_delay_s(self, running: Running, failure: Failure) -> float | None:
        options, attempt = running.call.node.step.options, running.attempt
        if attempt > options.retries or failure.kind in _NOT_RETRIED or _NOT_RETRYABLE in failure.bases:
            return None
        if any(f"{kind.__module__}:{kind.__qualname__}" in failure.bases for kind in options.never_retry):
            return None
        return min(options.retry_delay_s * 2.0 ** (attempt - 1), LONGEST_RETRY_DELAY_S)

    def _try_again(self, running: Running, delay_s: float) -> None:
        attempt = running.attempt + 1
        again = task_id(running.course, running.call.node.name, attempt)
        task = replace(
            running.task, task_id=again, following=None, key=running.call.parts.key, inputs=running.call.inputs
        )
        self._retrying[again] = replace(running, task=task, attempt=attempt, chain=deque())
        heapq.heappush(self._retries, (monotonic() + delay_s, again))

    def _wake(self) -> None:
        """Begin what has waited long enough; end the runs that take too long."""
        now = monotonic()
        while self._retries and self._retries[0][0] <= now:
            running = self._retrying.pop(heapq.heappop(self._retries)[1], None)
            if running is not None:
                self._submit(running)
        self._put_back(self._admission.again())
        while self._deadlines and self._deadlines[0][0] <= now:
            course = heapq.heappop(self._deadlines)[2]
            if course in self._load and not course.stopping:
                course.stopping = f"it ran longer than its timeout of {course.graph.timeout_s:g} s"
                self._moved[course] = None

    def _end_calls(self, courses: Set[Course]) -> None:
        """Have what still runs of these runs ended; nothing of them begins any more."""
        for course, _ in self._admission.forget(courses):
            self._load[course] -= 1
        for again, running in list(self._retrying.items()):
            if running.course in courses:
                del self._retrying[again]
                self._ended(running, is_kept=False)
        for course in courses:
            self._moved.pop(course, None)
        theirs = [found for found, running in self._running.items() if running.course in courses]
        theirs += [found for found, (course, *_) in self._ahead.items() if course in courses]
        if theirs:
            self.executor.cancel(theirs)

    def _stop_all(self) -> None:
        for course in self._load:
            course.stopping = course.stopping or "stopped by the user"
        self._end_calls(set(self._load))
        while any(self._load.values()):
            events = self.executor.wait(None)
            if not events:
                break  # what ran in this process was interrupted before it could say so
            for event in events:
                self._take(event)
        for course in list(self._load):
            self._over(course)

    def _beat(self) -> None:
        now = monotonic()
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT_S
            for course in self._load:
                course.recorder.beat()
            self.journal.flush()


def _log_of(course: Course, log: LogSpan) -> LogSpan:
    """Return where an attempt's output lies, as seen from the log folder of its own run."""
    return replace(log, file=course.log_prefix + log.file) if course.log_prefix else log
