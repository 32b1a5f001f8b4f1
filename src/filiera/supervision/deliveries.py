"""Which messages of a queue are under way, and what becomes of each: what may be deadly is brought alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Literal

from filiera.core.message import Ending, Message, retry_delay_s
from filiera.core.value import dataclass
from filiera.supervision.queue import MessageQueue
from filiera.supervision.service import Service

_REFUSALS = {400, 413, 415, 422}
"""The service says that the message is wrong: it would be so every time."""
_BUSY = {408, 429, 503}
"""The service could not try."""
_ENDED = 502
"""A process behind the service has ended on this message, or on one beside it."""
_AGAIN_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of a request."""

    status: int  #: of HTTP; 0: no answer came
    why: str = ""  #: what was wrong, in words
    is_cut_off: bool = False  #: the connection broke: whoever had the request is gone


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What becomes of a message."""

    what: Literal["acknowledge", "retry", "bury"]
    why: str = ""
    after_s: float = 0.0
    ended: Ending = "failed"


def judge(answer: Answer, message: Message, attempts: int, chance: float) -> Verdict:
    """Return what becomes of a message after an attempt, of *attempts* that it has.

    One that is cut off for the first time was beside others: that says nothing against it. It becomes a suspect, which
    is brought alone.

    >>> message = Message(id="a", body=b"{}", origin="put", put_at=0.0, attempts=1, lease="b")
    >>> judge(Answer(status=200), message, 5, 0.0).what
    'acknowledge'
    >>> judge(Answer(status=422, why="no such field"), message, 5, 0.0)
    Verdict(what='bury', why='no such field', after_s=0.0, ended='failed')
    >>> judge(Answer(status=500), message, 5, 1.0).after_s, judge(Answer(status=0), message, 2, 1.0).what
    (2.0, 'bury')
    >>> judge(Answer(status=0, is_cut_off=True), message, 2, 1.0)
    Verdict(what='retry', why='', after_s=2.0, ended='cut off')
    """
    if 200 <= answer.status < 300:
        return Verdict(what="acknowledge")
    if answer.status in _REFUSALS:
        return Verdict(what="bury", why=answer.why)
    if answer.status in _BUSY:
        return Verdict(what="retry", why=answer.why, after_s=_AGAIN_S * (0.5 + 0.5 * chance), ended="untried")
    ended: Ending = "cut off" if answer.is_cut_off or answer.status == _ENDED else "failed"
    counts = message.is_suspect or ended == "failed"
    if counts and message.attempt >= attempts:
        return Verdict(what="bury", why=answer.why, ended=ended)
    return Verdict(what="retry", why=answer.why, after_s=retry_delay_s(message.attempt, chance), ended=ended)


class Deliveries:
    """The messages of one queue that are under way, each in a place of its own; may be used by several threads.

    A suspect is under way only when nothing else is.
    """

    def __init__(
        self, service: Service, queue: MessageQueue, *, chance: Callable[[], float], tell: Callable[[str], None]
    ) -> None:
        self._attempts, self._queue, self._chance, self._tell = service.attempts, queue, chance, tell
        self._lock = threading.Lock()
        self._places: dict[int, Message | None] = {}  # None: what comes there is being looked for
        self._count = 0
        self._is_alone = False  # the one place that is taken is for a suspect: no other may be
        self._is_stopped = False

    @property
    def under_way(self) -> int:
        """Return how many messages are being brought."""
        return len(self._places)

    def has_work(self) -> bool:
        """Tell whether there is something to bring. Raises StoreError."""
        return not self._is_stopped and self._queue.due() != "nothing"

    def take(self, most: int) -> Sequence[tuple[int, Message]]:
        """Return messages to bring, by place, so that no more than *most* are under way. Raises StoreError."""
        with self._lock:
            free = most - len(self._places)
            if free <= 0 or self._is_stopped or self._is_alone:
                return []
            looking = self._place(None)
        found: Sequence[Message] = ()
        try:
            found = self._fetch(free)
        finally:
            with self._lock:
                del self._places[looking]
                taken = [(self._place(message), message) for message in found]
        return taken

    def take_next(self, place: int) -> Message | None:
        """Return what to bring after the message of a place was settled; None: the place is free. Raises StoreError."""
        with self._lock:
            self._places[place] = None
            self._is_alone = False
        for message in () if self._is_stopped else self._fetch(1):
            with self._lock:
                self._places[place] = message
            return message
        self.leave(place)
        return None

    def leave(self, place: int) -> None:
        """Let a place be free, whatever became of its message."""
        with self._lock:
            if place in self._places:
                del self._places[place]
                self._is_alone = False  # if it was so, this was the only place

    def settle(self, message: Message, answer: Answer) -> None:
        """Do with a message what follows from the answer. Raises StoreError."""
        self._do(message, judge(answer, message, self._attempts, self._chance()))

    def refuse(self, message: Message, why: str) -> None:
        """Keep a message, which could not be brought, as a dead one. Raises StoreError."""
        self._do(message, Verdict(what="bury", why=why))

    def is_spent(self, message: Message) -> bool:
        """Tell whether a message has no attempt left, and settle it then: it was cut off, and so was this process."""
        if message.attempt <= self._attempts:
            return False
        why = f"It was tried {self._attempts} times, and cut off the last time."
        self._do(message, Verdict(what="bury", why=why, ended="untried"))
        return True

    def keep(self) -> None:
        """Hold on to what is under way. Raises StoreError."""
        for message in self._carried():
            self._queue.extend(message)

    def stop(self) -> None:
        """Take nothing more."""
        self._is_stopped = True

    def give_back(self) -> None:
        """Let others bring what is under way: this process ends. Raises StoreError."""
        for message in self._carried():
            self._queue.retry(message, after_s=0.0, why="the supervisor ended", ended="untried")

    def _place(self, message: Message | None) -> int:
        self._count += 1
        self._places[self._count] = message
        return self._count

    def _carried(self) -> list[Message]:
        with self._lock:
            return [message for message in self._places.values() if message is not None]

    def _fetch(self, most: int) -> Sequence[Message]:
        """Return what can be handed out, for who has a place. While suspects are due, nothing else is begun."""
        due = self._queue.due()
        if due != "suspects":
            return self._queue.receive(most) if due == "messages" else ()
        with self._lock:
            if len(self._places) > 1:
                return ()
            self._is_alone = True
        found: Sequence[Message] = ()
        try:
            found = self._queue.receive_suspect()
        finally:
            with self._lock:
                self._is_alone = bool(found)
        return found

    def _do(self, message: Message, verdict: Verdict) -> None:
        if verdict.what == "acknowledge":
            self._queue.acknowledge(message)
        elif verdict.what == "retry":
            self._queue.retry(message, after_s=verdict.after_s, why=verdict.why, ended=verdict.ended)
        elif self._queue.bury(message, why=verdict.why, ended=verdict.ended):
            tried = message.attempt - (verdict.ended == "untried")
            self._tell(f"message {message.id} is dead after {tried} attempt{'s' * (tried != 1)}: {verdict.why}")
