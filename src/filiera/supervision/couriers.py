"""Bring the messages of a queue to its service, each as a request, and say what it answered."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress

from filiera.core.message import Message
from filiera.errors import FilieraError
from filiera.supervision.deliveries import Answer, Deliveries
from filiera.supervision.queue import MessageQueue
from filiera.supervision.service import Service

_LONGEST_ANSWER = 2_000


class Couriers:
    """Threads that bring messages, as many at once as they may; none while there is nothing to bring."""

    def __init__(
        self, service: Service, queue: MessageQueue, *, chance: Callable[[], float], tell: Callable[[str], None]
    ) -> None:
        self._service, self._tell = service, tell
        self.deliveries = Deliveries(service, queue, chance=chance, tell=tell)
        self.address = ("", 0)  #: host and port of the service
        self.paths: Mapping[str, str] = {}  #: where it takes messages, by method, as its workers say
        self.token: str | None = None

    def send_out(self, most: int) -> None:
        """Bring what is due, up to *most* messages at once. Does not wait. Raises StoreError."""
        for place, message in self.deliveries.take(most):
            threading.Thread(target=self._carry, args=(place, message), name="courier", daemon=True).start()

    def _carry(self, place: int, message: Message | None) -> None:
        try:
            while message is not None:
                self._bring(message)
                message = self.deliveries.take_next(place)
        except FilieraError as error:  # the store refuses: what was not settled comes again when its lease ends
            self._tell(str(error))
        finally:
            self.deliveries.leave(place)

    def _bring(self, message: Message) -> None:
        if self.deliveries.is_spent(message):
            return
        if message.method not in self.paths:
            methods = ", ".join(filter(None, self.paths)) or "none"
            self.deliveries.refuse(message, f"There is no method {message.method!r} to call. There are: {methods}.")
            return
        self.deliveries.settle(message, self._ask(message))

    def _ask(self, message: Message) -> Answer:
        """Post a message on a connection of its own, so that a broken one says something about this request only."""
        connection = http.client.HTTPConnection(*self.address, timeout=self._service.timeout_s)
        try:
            connection.connect()
        except OSError as error:
            return Answer(status=503, why=f"Nobody takes the call: {error.strerror or 'no answer'}.")
        try:
            with closing(connection):
                connection.request("POST", self.paths[message.method], message.body, headers=self._headers(message))
                response = connection.getresponse()
                return Answer(status=response.status, why=_why(response.status, response.read(_LONGEST_ANSWER)))
        except TimeoutError:
            return Answer(status=0, why=f"No answer came within {self._service.timeout_s:g} s.")
        except (OSError, http.client.HTTPException) as error:
            why = f"The connection broke: {error or type(error).__name__}."
            return Answer(status=0, why=why, is_cut_off=True)

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
