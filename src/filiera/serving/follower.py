"""Keeps an endpoint at what shall be served: looks, loads beside, switches between two requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from filiera.core.delivery import Lineup
from filiera.errors import FilieraError
from filiera.ports import Clock
from filiera.serving.endpoint import Endpoint
from filiera.serving.served_model import ServedModel

_log = logging.getLogger("filiera.serving")
_LOOK_EVERY_S = 0.5
_ATTEMPTS = 5
"""So often a version is loaded that cannot be; then not again until another is wanted."""
_FIRST_PAUSE_S = 1.0
"""After the first failure; it doubles with each."""


class Desk(Protocol):
    """Knows what an endpoint shall serve, and where versions come from."""

    def lineup(self) -> Lineup:
        """Return what shall be served now; asked twice a second. Raises FilieraError."""

    def load(self, number: int) -> ServedModel:
        """Return a version, ready to be warmed up. Raises FilieraError."""


class Follower:
    """Makes an endpoint serve what its desk says, from a thread of its own.

    A version that does not load, or does not answer its own examples, is never switched to: the one before it goes on
    answering, and ``trouble`` says why.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        desk: Desk,
        *,
        tell: Callable[[str], None] = _log.info,
        look_every_s: float = _LOOK_EVERY_S,
        clock: Clock = time.monotonic,
    ) -> None:
        """Prepare to follow *desk*; *tell* is given one line for whatever changes."""
        self.failures = 0  #: how often a version could not be loaded
        self.trouble = ""  #: why what is served is not what shall be; '' when it is
        self._endpoint = endpoint
        self._desk = desk
        self._tell = tell
        self._look_every_s = look_every_s
        self._clock = clock
        self._refused = _Refused(number=0)
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow. Doing it twice is harmless."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="follow", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Follow no more. Does not wait for a version that is being loaded."""
        self._is_over.set()

    def look(self) -> None:
        """Look once what shall be served, and serve that; come back when it answers, or cannot."""
        try:
            wanted = self._desk.lineup().stable
        except FilieraError as error:  # the store is busy or away: what is served goes on
            self._report(f"cannot see what shall be served: {error.what} {error.why}".strip())
            return
        serving = self._endpoint.stable.contract.version
        if wanted == serving:
            self.trouble, self._refused = "", _Refused(number=0)
            return
        if self._refused.number != wanted:
            self._refused = _Refused(number=wanted)
        if self._refused.may_try(self._clock()):
            self._replace(serving, wanted)

    def _replace(self, serving: int, wanted: int) -> None:
        name = self._endpoint.name
        try:
            model = self._desk.load(wanted)
            model.warm_up()
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the one that answers goes on
            self.failures += 1
            again = self._refused.note(self._clock())
            why = error.what if isinstance(error, FilieraError) else f"{type(error).__name__}: {error}"
            then = "it is tried again" if again else f"given up after {_ATTEMPTS} attempts"
            self._report(f"{name}@{wanted} cannot be served: {why} Still serving {name}@{serving}; {then}.")
            return
        is_drained = self._endpoint.switch(model)
        self.trouble, self._refused = "", _Refused(number=0)
        left = "" if is_drained else f"; some requests to {name}@{serving} are not answered yet"
        self._tell(f"now serving {name}@{wanted}, no longer {name}@{serving}{left}")

    def _report(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._tell(trouble)

    def _work(self) -> None:
        while not self._is_over.wait(self._look_every_s):
            self.look()


class _Refused:
    """A version that could not be loaded: how often, and when it may be tried again."""

    def __init__(self, *, number: int) -> None:
        self.number = number
        self._attempts = 0
        self._not_before = 0.0

    def may_try(self, now: float) -> bool:
        return self._attempts < _ATTEMPTS and (not self._attempts or now >= self._not_before)

    def note(self, now: float) -> bool:
        """Note an attempt that failed; return whether there will be another."""
        self._not_before = now + _FIRST_PAUSE_S * 2**self._attempts
        self._attempts += 1
        return self._attempts < _ATTEMPTS
