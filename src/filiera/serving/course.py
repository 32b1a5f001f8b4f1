"""The course of one batch through a serving graph: until when an answer is of use, and what its nodes answered."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from filiera.core.value import dataclass
from filiera.serving.batch import Batch, Outputs
from filiera.serving.predictor import PredictionFailed
from filiera.serving.threads import Threads
from filiera.serving.tracing import inside

if TYPE_CHECKING:
    from filiera.serving.graph_parts import Part

T = TypeVar("T")


class NodeDown(PredictionFailed):
    """A node's process is not there, so that it says nothing of the rows."""

    def __init__(self, node: str, why: str) -> None:
        self.node = node
        super().__init__(f"The node {node!r} of the graph is not there.", why=why, do="Ask again: it is started again.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.node, self.why)


class NodeDied(NodeDown):
    """A node's process has ended while it was asked: perhaps the rows did it."""


class NodeLate(PredictionFailed):
    """A node has not answered by the time that an answer is of use."""

    def __init__(self, node: str) -> None:
        self.node = node
        super().__init__(f"The node {node!r} of the graph did not answer in time.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.node,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What a model of the graph was asked and has answered, or will have."""

    node: str
    places: Sequence[int] | None  #: the rows of the batch that it was asked; None: all
    batch: Batch
    outputs: Outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What parts of a graph know of the batch that they are asked about."""

    deadline_s: float = math.inf  #: of ``time.perf_counter``
    places: Sequence[int] | None = None  #: which rows of the batch come to the part; None: all
    notes: list[Note | Future[list[Note]]] | None = None  #: None: nobody reads them

    @property
    def left_s(self) -> float | None:
        """Return how many seconds are left, at least 0; None for any number."""
        return None if self.deadline_s == math.inf else max(0.0, self.deadline_s - time.perf_counter())


_NOWHERE = Course()
_course: ContextVar[Course] = ContextVar("course", default=_NOWHERE)


def course() -> Course:
    """Return the course of the batch that this thread works on."""
    return _course.get()


def within(course: Course, job: Callable[[], T]) -> T:
    """Return what *job* returns, on a course."""
    token = _course.set(course)
    try:
        return job()
    finally:
        _course.reset(token)


def at_rows(rows: Sequence[int], job: Callable[[], T]) -> T:
    """Return what *job* returns for some of the rows that this part was given."""
    now = _course.get()
    if now.notes is None:
        return job()
    places = rows if now.places is None else [now.places[row] for row in rows]
    return within(Course(deadline_s=now.deadline_s, places=places, notes=now.notes), job)


def note(node: str, batch: Batch, outputs: Outputs) -> None:
    """Note what a model has answered, if anybody reads it."""
    now = _course.get()
    if now.notes is not None:
        now.notes.append(Note(node=node, places=now.places, batch=batch, outputs=outputs))


class GraphOutputs(tuple[Any, ...]):
    """The answers of a graph, with what its models answered on the way."""

    notes: Sequence[Note | Future[list[Note]]] = ()


class Together:
    """Asks several parts at once, each in a thread of its own, but for those that only compute, and one more."""

    def __init__(self, parts: Sequence[Part]) -> None:
        slow = [place for place, part in enumerate(parts) if not part.is_brief]
        self._threads = {place: Threads(max_waiting=0) for place in slow[:-1]}
        self._names = [part.name for part in parts]

    def ask(self, jobs: Mapping[int, Callable[[], T]]) -> dict[int, T]:
        """Return what each job returns, by the place of its part. Raises what one raises, NodeLate."""
        begun = {
            place: self._threads[place].submit(_carried(job)) for place, job in jobs.items() if place in self._threads
        }
        found = {place: job() for place, job in jobs.items() if place not in begun}
        for place, future in begun.items():
            try:
                found[place] = future.result(course().left_s)
            except TimeoutError:
                future.cancel()
                raise NodeLate(self._names[place]) from None
        return found


def _carried(job: Callable[[], T]) -> Callable[[], T]:
    context = copy_context()
    return lambda: context.run(job)


def in_background(threads: Threads, job: Callable[[], Any]) -> None:
    """Let *job* be done by *threads*, noted for whoever reads this batch's notes, waited for by nobody. Raises Busy."""
    now = course()
    own: list[Note | Future[list[Note]]] = []
    later = Course(places=now.places, notes=None if now.notes is None else own)

    def noted() -> list[Note]:
        within(later, job)
        return [each for each in own if isinstance(each, Note)]

    future = threads.submit(noted)
    if now.notes is not None:
        now.notes.append(future)


class Watched:
    """A part that counts what it is asked, and says who it was that failed."""

    def __init__(self, name: str, part: Part, *, is_noted: bool) -> None:
        """Watch *part*, of the node *name*; what it answers goes to the notes where *is_noted*."""
        self.name = name
        self.inputs, self.outputs, self.examples = part.inputs, part.outputs, part.examples
        self.is_brief = part.is_brief
        self.part = part
        self.counts: Counter[str] = Counter()  #: ``requests``, ``rows``, ``failures``; ``seconds`` is a float
        self._is_noted = is_noted
        self._lock = threading.Lock()

    def predict(self, batch: Batch) -> Outputs:
        """Return what the part says. Raises PredictionFailed, with the node's name."""
        if course().deadline_s < time.perf_counter():
            raise NodeLate(self.name)
        began_s, failures = time.perf_counter(), 1
        try:
            with inside(self.name):
                outputs = self.part.predict(batch)
            failures = 0
        except PredictionFailed as error:
            if not getattr(error, "node", ""):
                error.node = self.name  # type: ignore[attr-defined]
            raise
        finally:
            with self._lock:
                self.counts["requests"] += 1
                self.counts["rows"] += batch.height
                self.counts["failures"] += failures
                self.counts["seconds"] += time.perf_counter() - began_s  # type: ignore[assignment]
        if self._is_noted:
            note(self.name, batch, outputs)
        return outputs
