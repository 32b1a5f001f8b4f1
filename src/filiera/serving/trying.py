"""A candidate in one stage of its deployment: whom it answers, and what is counted of it."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from filiera.core.delivery import SHADOW, Tally, Trial
from filiera.serving.agreement import compared
from filiera.serving.batch import Batch
from filiera.serving.predictor import PredictionFailed
from filiera.serving.problem import RequestRefused
from filiera.serving.served_model import Predictions, ServedModel

_log = logging.getLogger("filiera.serving")
_MAX_BEHIND = 64
_TIMED_FIRST = 100
"""So many answers of the version before are timed, before it is said what is slow."""
_SLOWER = 2.0
_NEVER_SLOW_S = 0.01
Read = Callable[[ServedModel], tuple[Batch, Any]]
"""Reads the rows of one request, as a version takes them."""


class Trying:
    """A candidate that is being tried. The event loop notes what becomes of requests; a follower reads the counts.

    In shadow it is asked behind each answer, from a thread of its own: when that cannot keep up, requests are left out
    and counted, so no caller ever waits for it.
    """

    def __init__(self, trial: Trial, model: ServedModel, *, draw: Callable[[], float] = random.random) -> None:
        """Try *model*, which is warm, as *trial* says; *draw* chooses among requests without a key."""
        self.trial = trial
        self.model = model
        self.left_out = 0  #: requests that were not shadowed since too many waited
        self._draw = draw
        self._lock = threading.Lock()
        self._tried = self._usual = Tally()
        self._first_s: list[float] = []
        self._slow_s: float | None = None
        self._behind: queue.Queue[tuple[Read, Predictions] | None] = queue.Queue(_MAX_BEHIND)
        self._thread: threading.Thread | None = None
        if trial.share == SHADOW:
            self._thread = threading.Thread(target=self._shadow, name="shadow", daemon=True)
            self._thread.start()

    def is_for(self, key: str, version: str) -> bool:
        """Tell whether the candidate answers a request: by the *version* that it names, its *key*, or by chance."""
        if version:
            return self.trial.share > SHADOW and version == str(self.trial.candidate)
        return self.trial.takes(key) if key else self._draw() < self.trial.share

    def counted(self) -> tuple[Tally, Tally]:
        """Return what was counted so far: of the candidate, and of the version before."""
        with self._lock:
            return self._tried, self._usual

    def note(self, *, is_candidate: bool, problem: str, took_s: float) -> None:
        """Count a request that a version has answered, or refused with the kind of *problem*."""
        with self._lock:
            found = self._outcome(problem, took_s)
            if is_candidate:
                self._tried += found
            else:
                self._usual += found
                self._learn(took_s)

    def ask_too(self, read: Read, predictions: Predictions) -> None:
        """Let the candidate answer, behind the caller's back, what the version before has answered. Never waits."""
        try:
            self._behind.put_nowait((read, predictions))
        except queue.Full:
            self.left_out += 1

    def stop(self) -> None:
        """Come back when the candidate is asked nothing more behind anybody's back."""
        if self._thread is not None:
            with suppress(queue.Empty):
                while True:
                    self._behind.get_nowait()
            self._behind.put(None)
            self._thread.join()

    def _outcome(self, problem: str, took_s: float) -> Tally:
        if problem:
            is_failed = problem == "prediction-failed"
            return Tally(requests=1, failed=int(is_failed), refused=int(not is_failed))
        if self._slow_s is None:
            return Tally(requests=1)
        return Tally(requests=1, timed=1, slow=int(took_s > self._slow_s))

    def _learn(self, took_s: float) -> None:
        """Settle what is slow, before anything is counted as such: twice the 95th percentile of the version before."""
        if self._slow_s is None:
            self._first_s.append(took_s)
            if len(self._first_s) == _TIMED_FIRST:
                percentile_s = sorted(self._first_s)[int(0.95 * _TIMED_FIRST)]
                self._slow_s = max(_NEVER_SLOW_S, _SLOWER * percentile_s)

    def _shadow(self) -> None:
        while (asked := self._behind.get()) is not None:
            read, predictions = asked
            began_s = time.perf_counter()
            problem, agreement = "", Tally()
            try:
                outputs = self.model.predictor.predict(read(self.model)[0])
                agreement = compared(
                    predictions.promised, predictions.outputs, self.model.contract.signature.outputs, outputs
                )
            except RequestRefused as refusal:
                problem = refusal.problem.kind
            except PredictionFailed:
                problem = "prediction-failed"
            except Exception:  # noqa: BLE001 - nobody else hears of it
                _log.exception("shadowing failed")
                problem = "prediction-failed"
            found = self._outcome(problem, time.perf_counter() - began_s)
            with self._lock:
                self._tried += found + agreement
