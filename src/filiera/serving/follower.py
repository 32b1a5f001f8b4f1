"""Keeps an endpoint at what it shall serve: looks, loads beside, switches between two requests, tells its counts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from filiera.core.delivery import Lineup, Report, Trial, stage_name
from filiera.errors import FilieraError
from filiera.ports import Clock
from filiera.serving.endpoint import Endpoint
from filiera.serving.served_model import ServedModel
from filiera.serving.trying import Trying

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

    def shown(self, number: int) -> str:
        """Return what a version is called, for people."""

    def report(self, report: Report) -> bool:
        """Take note of what a service does; tell whether the lineup is another one now. Raises FilieraError."""

    def refuse(self, trial: Trial, why: str) -> None:
        """Take note that a candidate cannot be served. Raises FilieraError."""

    def leave(self) -> None:
        """Take note that the service ends. Raises FilieraError."""


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
        self._attempts: dict[int, _Attempts] = {}
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow. Doing it twice is harmless."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="follow", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Follow no more, and tell the desk; come back when that is done, or a version takes long to load."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(2 * self._look_every_s)

    def look(self) -> None:
        """Look what shall be served, serve that, and tell what was counted; come back when nothing is left to do."""
        try:
            while True:
                self._serve(self._desk.lineup())
                if not self._desk.report(self._report()):
                    return
        except FilieraError as error:  # the store is busy or away: what is served goes on
            self._complain(f"cannot see what shall be served: {error.what} {error.why}".strip())

    def _serve(self, lineup: Lineup) -> None:
        trial = lineup.trial
        wanted = {lineup.stable, *([trial.candidate] if trial is not None else [])}
        self._attempts = {number: tried for number, tried in self._attempts.items() if number in wanted}
        if not self._attempts:
            self.trouble = ""
        if lineup.stable != self._endpoint.stable.edition:
            self._replace(lineup.stable)
        trying = self._endpoint.trying
        if (trying.trial if trying is not None else None) != trial:
            self._try_out(trial, trying)

    def _replace(self, number: int) -> None:
        before = self._desk.shown(self._endpoint.stable.edition)
        model = self._model(number, f"Still serving {before}")
        if model is None:
            return
        is_drained = self._endpoint.switch(model)
        left = "" if is_drained else f"; some requests to {before} are not answered yet"
        self._tell(f"now serving {self._desk.shown(number)}, no longer {before}{left}")

    def _try_out(self, trial: Trial | None, trying: Trying | None) -> None:
        if trial is None:
            self._endpoint.try_out(None)
            if trying is not None and trying.trial.candidate != self._endpoint.stable.edition:
                self._tell(f"no longer trying {self._desk.shown(trying.trial.candidate)}")
            return
        model = self._model(trial.candidate, f"All requests go to {self._desk.shown(self._endpoint.stable.edition)}")
        if model is not None:
            self._endpoint.try_out(Trying(trial, model))
            self._tell(f"trying {self._desk.shown(trial.candidate)}: {stage_name(trial.share)}")
        elif self._attempts[trial.candidate].are_over:
            self._desk.refuse(trial, self.trouble)

    def _model(self, number: int, meanwhile: str) -> ServedModel | None:
        """Return a version, warm; None when it cannot be loaded, or was tried in vain just now."""
        trying = self._endpoint.trying
        if trying is not None and trying.trial.candidate == number:
            return trying.model
        attempts = self._attempts.setdefault(number, _Attempts())
        if not attempts.may_try(self._clock()):
            return None
        try:
            model = self._desk.load(number)
            model.warm_up()
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the one that answers goes on
            self.failures += 1
            attempts.note(self._clock())
            why = error.what if isinstance(error, FilieraError) else f"{type(error).__name__}: {error}"
            then = f"given up after {_ATTEMPTS} attempts" if attempts.are_over else "it is tried again"
            self._complain(f"{self._desk.shown(number)} cannot be served: {why} {meanwhile}; {then}.")
            return None
        del self._attempts[number]
        self.trouble = ""
        return model

    def _report(self) -> Report:
        trying, stable = self._endpoint.trying, self._endpoint.stable.edition
        if trying is None:
            return Report(stable=stable, trouble=self.trouble)
        tried, usual = trying.counted()
        return Report(stable=stable, trouble=self.trouble, trial=trying.trial, tried=tried, usual=usual)

    def _complain(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._tell(trouble)

    def _work(self) -> None:
        self.look()
        while not self._is_over.wait(self._look_every_s):
            self.look()
        try:
            self._desk.report(self._report())
            self._desk.leave()
        except FilieraError as error:
            _log.warning("cannot tell the store that the service ends: %s", error.what)


class _Attempts:
    """How often a version could not be loaded, and when it may be tried again."""

    def __init__(self) -> None:
        self._count = 0
        self._not_before = 0.0

    @property
    def are_over(self) -> bool:
        return self._count >= _ATTEMPTS

    def may_try(self, now: float) -> bool:
        return not self.are_over and (not self._count or now >= self._not_before)

    def note(self, now: float) -> None:
        """Note an attempt that failed."""
        self._not_before = now + _FIRST_PAUSE_S * 2**self._count
        self._count += 1
