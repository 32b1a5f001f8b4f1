"""Which version of a model answers a request; it can be replaced while requests come in."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import field
from types import TracebackType

from filiera.core.delivery import SHADOW
from filiera.core.value import dataclass
from filiera.serving.http import Request
from filiera.serving.problem import RequestRefused
from filiera.serving.served_model import Predictions, ServedModel
from filiera.serving.trail import UNWATCHED, Trail
from filiera.serving.trying import Read, Trying

_DRAIN_S = 30.0
_NOBODYS = ("busy", "too-late", "not-ready", "not-logged")
"""Problems that say nothing of the version that would have answered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """What is known of a request besides its rows."""

    size_bytes: int  #: how large the question is
    timeout_s: float = math.inf  #: an answer that is begun later is of no use
    key: str = ""  #: who asks, or about whom: one version answers all who have it while another is being tried
    version: str = ""  #: the version that shall answer; '' leaves that to the endpoint
    headers: Mapping[str, str] = field(default_factory=dict)  #: from which a graph may take inputs
    trail: Trail = UNWATCHED  #: takes note of how it is answered

    @classmethod
    def of(cls, request: Request, *, size_bytes: int, version: str = "") -> Asking:
        """Return what an HTTP request says. Raises RequestRefused when its header of a timeout is none."""
        return cls(
            size_bytes=size_bytes,
            timeout_s=request.timeout_s,
            key=request.key,
            version=version,
            headers=request.headers,
            trail=request.trail,
        )


class Endpoint:
    """The versions behind one address. Requests ask it from the event loop, another thread replaces what it holds."""

    def __init__(self, model: ServedModel) -> None:
        """Let *model* answer."""
        self.name = model.contract.address
        self._changed = threading.Condition()
        self._stable = _Held(model)
        self._candidate: _Held | None = None
        self._trying: Trying | None = None

    @property
    def stable(self) -> ServedModel:
        """Return the version that answers whoever is not chosen for another."""
        return self._stable.model

    @property
    def trying(self) -> Trying | None:
        """Return what is being tried, or None."""
        return self._trying

    def answering(self, key: str = "", version: str = "") -> Answering:
        """Return what a request is answered within: ``with endpoint.answering(key) as asked``.

        Args:
            key: Those with one key are answered by one version while another is being tried.
            version: Whoever names the candidate gets it once it answers at all; that does not count as a trial.
        """
        with self._changed:
            held, trying = self._stable, self._trying
            if self._candidate is not None and trying is not None and trying.is_for(key, version):
                held = self._candidate
            if version:
                trying = None
            held.requests += 1
        return Answering(self, held, trying)

    def switch(self, model: ServedModel, *, drain_s: float = _DRAIN_S) -> bool:
        """Let *model*, which is warm, answer all requests from now on, and wait for those that the one before it has.

        Returns:
            Whether these are answered: after that no caller hears of the version before. False when some still are not
            after *drain_s*.
        """
        with self._changed:
            before, self._stable = self._stable, _Held(model)
            is_drained = self._changed.wait_for(lambda: before.requests == 0, drain_s)
        if is_drained and before.model is not model:
            before.model.let_go()
        return is_drained

    def try_out(self, trying: Trying | None, *, drain_s: float = _DRAIN_S) -> bool:
        """Let a candidate have its share from now on, or none any more, in place of the one before; as ``switch``."""
        with self._changed:
            before, self._candidate = self._candidate, _Held(trying.model) if trying is not None else None
            last, self._trying = self._trying, trying
            is_drained = before is None or self._changed.wait_for(lambda: before.requests == 0, drain_s)
        if last is not None:
            last.stop()
        if before is not None and is_drained and before.model not in (self.stable, trying.model if trying else None):
            before.model.let_go()
        return is_drained

    def let_all_go(self) -> None:
        """End what the versions have started that are held; nobody asks them any more."""
        for held in (self._stable, self._candidate):
            if held is not None:
                held.model.let_go()

    def let_go(self, held: _Held) -> None:
        """Note that a request has its answer."""
        with self._changed:
            held.requests -= 1
            if not held.requests and held is not self._stable:
                self._changed.notify_all()


class Answering:
    """One request and the version that answers it, which stays loaded as long."""

    __slots__ = ("_began_s", "_endpoint", "_held", "_trying", "model")

    def __init__(self, endpoint: Endpoint, held: _Held, trying: Trying | None) -> None:
        self.model = held.model
        self._endpoint = endpoint
        self._held = held
        self._trying = trying
        self._began_s = time.perf_counter() if trying is not None else 0.0

    def __enter__(self) -> Answering:
        return self

    def answered(self, read: Read, predictions: Predictions) -> None:
        """Note what the caller was told, so that a candidate in shadow is asked too."""
        if self._trying is not None and self._trying.trial.share == SHADOW:
            self._trying.ask_too(read, predictions)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._endpoint.let_go(self._held)
        if self._trying is None or (error is not None and not isinstance(error, RequestRefused)):
            return
        problem = error.problem.kind if isinstance(error, RequestRefused) else ""
        if problem not in _NOBODYS:
            took_s = time.perf_counter() - self._began_s
            self._trying.note(is_candidate=self.model is self._trying.model, problem=problem, took_s=took_s)


class _Held:
    """A version that is loaded, and how many requests it is answering."""

    __slots__ = ("model", "requests")

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self.requests = 0
