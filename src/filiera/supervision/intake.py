"""Bring the messages of a broker into the queue of a service: kept here first, then let go there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Literal

from filiera.core.message import retry_delay_s
from filiera.errors import FilieraError, SourceError
from filiera.ports import MessageSource
from filiera.supervision.queue import MessageQueue
from filiera.supervision.service import Service

MOST_AT_ONCE = 200
LEAST_ROOM = 100
"""With so many messages here, or four times what is handled at once, no more are taken: others may have them."""
FULL_S = 20.0
"""After so long without room the connection is given up: others get what the broker meant for this member."""
_WAIT_S = 1.0
_LOOK_S = 0.05
_LONGEST_PAUSE_S = 30.0
_MOURN_S = 60.0

State = Literal["connecting", "receiving", "full", "failing"]


class Intake:
    """A thread that carries messages over until it is stopped; a broker that is away hurts nobody else."""

    def __init__(
        self,
        service: Service,
        queue: MessageQueue,
        *,
        connect: Callable[[], MessageSource],
        chance: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        """Make one that does nothing yet.

        Args:
            service: Names the address that messages come from.
            queue: Where they go.
            connect: Returns a new source, which is closed here. Raises FilieraError.
            chance: Returns a number from 0 to 1.
            tell: Takes a line for people.
        """
        address = service.triggers.messages
        self._shown = address.shown if address is not None else ""
        self._room = max(LEAST_ROOM, 4 * service.workers.in_flight * service.workers.most)
        self._queue, self._connect, self._chance, self._tell = queue, connect, chance, tell
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0  # in a row
        self._silent_until = 0.0
        self.state: State = "connecting"
        self.has_come: Callable[[], None] = lambda: None  #: called when messages were put

    def see_to(self) -> None:
        """Begin, and begin again should the thread have broken."""
        if self._is_stopped.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        if self._thread is not None:
            self._tell(f"what takes messages from {self._shown} broke, as told above; it begins again")
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more; does not wait."""
        self._is_stopped.set()

    def join(self, timeout_s: float) -> None:
        """Wait until nothing is under way any more and the connection is closed; no longer than *timeout_s*."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._is_stopped.is_set():
            try:
                with closing(self._connect()) as source:
                    self._carry_over(source)
            except FilieraError as error:
                self._fail(error)

    def _carry_over(self, source: MessageSource) -> None:
        """Carry messages over until this is stopped, or has had no room for long."""
        full_since: float | None = None
        while not self._is_stopped.is_set():
            room = self._queue.has_room(self._room)
            if room > 0:
                full_since = None
                self._take(source, min(room, MOST_AT_ONCE))
                continue
            now = time.monotonic()
            full_since = now if full_since is None else full_since
            if now - full_since >= FULL_S:
                self.state = "full"
                return
            self._is_stopped.wait(_LOOK_S)

    def _take(self, source: MessageSource, most: int) -> None:
        messages = source.receive(most, _WAIT_S)
        if messages:
            self._queue.keep(messages, origin=self._shown)
            self.has_come()
        source.confirm()
        if self.state in ("connecting", "failing"):
            self._tell(f"takes messages from {self._shown}")
        self.state, self._failures, self._silent_until = "receiving", 0, 0.0

    def _fail(self, error: FilieraError) -> None:
        """Say what is wrong, once a minute, and wait longer each time."""
        self.state = "failing"
        self._failures += 1
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _MOURN_S
            # What a broker's error says first is what is said here.
            said = " ".join(filter(None, (error.why, error.do))) if isinstance(error, SourceError) else str(error)
            self._tell(f"no messages come from {self._shown} at the moment: {said}")
        self._is_stopped.wait(min(retry_delay_s(self._failures, self._chance()), _LONGEST_PAUSE_S))
