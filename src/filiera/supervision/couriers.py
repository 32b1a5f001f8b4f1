"""Bring the messages of a queue to its service, each as a request, and settle them by what it answers."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Literal

from filiera.core.message import Message, retry_delay_s
from filiera.core.value import dataclass
from filiera.errors import FilieraError
from filiera.supervision.queue import MessageQueue
from filiera.supervision.service import Service

_REFUSALS = {400, 413, 415, 422}
"""The service says that the message is wrong: it would be so every time."""
_BUSY = {408, 429, 503}
"""The service could not try."""
_LONGEST_ANSWER = 2_000
_AGAIN_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of a request."""

    status: int  #: of HTTP; 0: no answer came
    why: str = ""  #: what was wrong, in words


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What becomes of a message."""

    what: Literal["acknowledge", "retry", "bury"]
    why: str = ""
    after_s: float = 0.0
    is_tried: bool = True


def judge(answer: Answer, attempt: int, attempts: int, chance: float) -> Verdict:
    """Return what becomes of a message after an *attempt*, counted from 1, of *attempts* that it has.

    >>> judge(Answer(status=200), 1, 5, 0.0).what
    'acknowledge'
    >>> judge(Answer(status=422, why="no such field"), 1, 5, 0.0)
    Verdict(what='bury', why='no such field', after_s=0.0, is_tried=True)
    >>> judge(Answer(status=500), 2, 5, 1.0).after_s, judge(Answer(status=0), 5, 5, 1.0).what
    (2.0, 'bury')
    """
    if 200 <= answer.status < 300:
        return Verdict(what="acknowledge")
    if answer.status in _REFUSALS:
        return Verdict(what="bury", why=answer.why)
    if answer.status in _BUSY:
        return Verdict(what="retry", why=answer.why, after_s=_AGAIN_S * (0.5 + 0.5 * chance), is_tried=False)
    if attempt >= attempts:
        return Verdict(what="bury", why=answer.why)
    return Verdict(what="retry", why=answer.why, after_s=retry_delay_s(attempt, chance))


class Couriers:
    """Threads that bring messages, as many at once as they may; none while there is nothing to bring."""

    def __init__(
        self, service: Service, queue: MessageQueue, *, chance: Callable[[], float], tell: Callable[[str], None]
    ) -> None:
        self._service, self._queue, self._chance, self._tell = service, queue, chance, tell
        self._lock = threading.Lock()
        self._carried: dict[int, Message] = {}
        self._count = 0
        self._is_stopped = False
        self.address = ("", 0)  #: host and port of the service
        self.paths: Mapping[str, str] = {}  #: where it takes messages, by method, as its workers say
        self.token: str | None = None

    @property
    def under_way(self) -> int:
        """Return how many messages are being brought."""
        return len(self._carried)

    def has_work(self) -> bool:
        """Tell whether there is something to bring. Raises StoreError."""
        return not self._is_stopped and self._queue.is_due()

    def send_out(self, most: int) -> None:
        """Bring what is due, up to *most* messages at once. Does not wait. Raises StoreError."""
        with self._lock:
            free = 0 if self._is_stopped else most - len(self._carried)
        for message in self._queue.receive(free) if free > 0 else ():
            with self._lock:
                self._count += 1
                number = self._count
                self._carried[number] = message
            threading.Thread(target=self._carry, args=(number, message), name="courier", daemon=True).start()

    def keep(self) -> None:
        """Hold on to what is being brought. Raises StoreError."""
        for message in list(self._carried.values()):
            self._queue.extend(message)

    def stop(self) -> None:
        """Bring nothing more than what is under way."""
        self._is_stopped = True

    def give_back(self) -> None:
        """Let others bring what is under way: this process ends. Raises StoreError."""
        for message in list(self._carried.values()):
            self._queue.retry(message, after_s=0.0, why="the supervisor ended", is_tried=False)

    def _carry(self, number: int, message: Message | None) -> None:
        try:
            while message is not None:
                self._settle(message, self._judged(message))
                message = self._next(number)
        except FilieraError as error:  # the store refuses: what was not settled comes again when its lease ends
            self._tell(str(error))
        finally:
            with self._lock:
                self._carried.pop(number, None)

    def _next(self, number: int) -> Message | None:
        with self._lock:
            if self._is_stopped:
                return None
        found = self._queue.receive(1)
        with self._lock:
            if found:
                self._carried[number] = found[0]
        return found[0] if found else None

    def _judged(self, message: Message) -> Verdict:
        attempts = self._service.attempts
        if message.attempt > attempts:
            return Verdict(what="bury", why=f"It was tried {attempts} times, and cut off the last time.")
        if message.method not in self.paths:
            methods = ", ".join(filter(None, self.paths)) or "none"
            return Verdict(what="bury", why=f"There is no method {message.method!r} to call. There are: {methods}.")
        return judge(self._ask(message), message.attempt, attempts, self._chance())

    def _settle(self, message: Message, verdict: Verdict) -> None:
        if verdict.what == "acknowledge":
            self._queue.acknowledge(message)
        elif verdict.what == "retry":
            self._queue.retry(message, after_s=verdict.after_s, why=verdict.why, is_tried=verdict.is_tried)
        elif self._queue.bury(message, why=verdict.why):
            times = "1 attempt" if message.attempt == 1 else f"{message.attempt} attempts"
            self._tell(f"message {message.id} is dead after {times}: {verdict.why}")

    def _ask(self, message: Message) -> Answer:
        """Post a message on a connection of its own, so that a broken one says something about this request only."""
        connection = http.client.HTTPConnection(*self.address, timeout=self._service.timeout_s)
        try:
            with closing(connection):
                connection.request("POST", self.paths[message.method], message.body, headers=self._headers(message))
                response = connection.getresponse()
                return Answer(status=response.status, why=_why(response.status, response.read(_LONGEST_ANSWER)))
        except TimeoutError:
            return Answer(status=0, why=f"No answer came within {self._service.timeout_s:g} s.")
        except ConnectionRefusedError:
            return Answer(status=503, why="Nobody listens.")
        except (OSError, http.client.HTTPException) as error:
            return Answer(status=0, why=f"The connection broke: {error or type(error).__name__}.")

    def _headers(self, message: Message) -> Mapping[str, str]:
        secret = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {
            "Content-Type": "application/json",
            "Connection": "close",
            "Filiera-Message": message.id,
            "Filiera-Attempt": str(message.attempt),
            **secret,
        }


def _why(status: int, body: bytes) -> str:
    """Return what a problem says of itself."""
    if status < 400:
        return ""
    with suppress(ValueError, AttributeError, KeyError, TypeError):
        problem = json.loads(body)
        words = [str(problem[name]) for name in ("title", "detail") if problem.get(name)]
        words += [f"{error['at']} {error['rule']}" for error in problem.get("errors", ())]
        if words:
            return f"HTTP {status}: {'. '.join(word.rstrip('.') for word in words)}."
    return f"HTTP {status}."
