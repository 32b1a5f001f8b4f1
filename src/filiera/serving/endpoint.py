"""Which version of a model answers a request; it can be replaced while requests come in."""

from __future__ import annotations

import threading
from types import TracebackType

from filiera.serving.served_model import ServedModel

_DRAIN_S = 30.0


class Endpoint:
    """The versions behind one address. Requests ask it from the event loop, another thread replaces what it holds."""

    def __init__(self, model: ServedModel) -> None:
        """Let *model* answer."""
        self.name = model.contract.address
        self._changed = threading.Condition()
        self._stable = _Held(model)

    @property
    def stable(self) -> ServedModel:
        """Return the version that answers whoever is not chosen for another."""
        return self._stable.model

    def answering(self) -> Answering:
        """Return what a request is answered within: ``with endpoint.answering() as model``."""
        with self._changed:
            held = self._stable
            held.requests += 1
        return Answering(self, held)

    def switch(self, model: ServedModel, *, drain_s: float = _DRAIN_S) -> bool:
        """Let *model*, which is warm, answer all requests from now on, and wait for those that the one before it has.

        Returns:
            Whether these are answered: after that no caller hears of the version before. False when some still are not
            after *drain_s*.
        """
        with self._changed:
            before, self._stable = self._stable, _Held(model)
            return self._changed.wait_for(lambda: before.requests == 0, drain_s)

    def let_go(self, held: _Held) -> None:
        """Note that a request has its answer."""
        with self._changed:
            held.requests -= 1
            if not held.requests and held is not self._stable:
                self._changed.notify_all()


class Answering:
    """One request and the version that answers it, which stays loaded as long."""

    __slots__ = ("_endpoint", "_held")

    def __init__(self, endpoint: Endpoint, held: _Held) -> None:
        self._endpoint = endpoint
        self._held = held

    def __enter__(self) -> ServedModel:
        return self._held.model

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._endpoint.let_go(self._held)


class _Held:
    """A version that is loaded, and how many requests it is answering."""

    __slots__ = ("model", "requests")

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self.requests = 0
