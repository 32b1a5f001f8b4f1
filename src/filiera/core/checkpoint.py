"""Lets a step go on where its last attempt stopped: ``state = checkpoint.load(default)``, ``checkpoint.save(state)``.

What is saved is kept under the step's cache key until an attempt succeeds, so a retry finds it, and so does a resumed
run after its driver or worker was killed. Other code, parameters or inputs are another key: they start anew.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any, Protocol


class Keeper(Protocol):
    """Keeps one value for one step."""

    def load(self, default: Any) -> Any:
        """Return what was saved last, or *default*."""

    def save(self, value: Any) -> None:
        """Replace what was saved."""


def load(default: Any = None) -> Any:
    """Return what this attempt at the step or an earlier one saved last; *default* when nothing was, and outside runs.

    >>> load(0)
    0
    """
    keeper = _keeper()
    return default if keeper is None else keeper.load(default)


def save(value: Any) -> None:
    """Keep *value*, anything that a step may return, for the next attempt; outside a run nothing happens.

    Raises:
        CodecError: No codec can store the value.
        StoreError: It cannot be kept; StoreFull when no space is left.
    """
    keeper = _keeper()
    if keeper is not None:
        keeper.save(value)


def begin(keeper: Keeper) -> Token[Keeper | None]:
    """Let *keeper* keep what the step that runs now saves, until ``end`` is given what this returns."""
    _active.append(keeper)
    return _own.set(keeper)


def end(token: Token[Keeper | None]) -> None:
    """Note that the step has ended."""
    keeper = _own.get()
    _own.reset(token)
    if keeper is not None:
        _active.remove(keeper)


_own: ContextVar[Keeper | None] = ContextVar("filiera_checkpoint", default=None)
_active: list[Keeper] = []


def _keeper() -> Keeper | None:
    keeper = _own.get()
    if keeper is None and len(_active) == 1:
        return _active[0]  # in a thread that the step has started, which has a context of its own
    return keeper
