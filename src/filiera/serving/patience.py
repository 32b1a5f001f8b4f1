"""A limit on how long each of many things may take, with one timer for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")
_SLICES = 8


class Patience:
    """Lets awaitables take a time, at most an eighth more than asked for.

    ``asyncio.timeout`` has the loop keep a timer for each of them, nearly all of which are never used; that costs ten
    times as much as a name in a set. For one event loop.
    """

    def __init__(self, limit_s: float) -> None:
        """Let each take *limit_s*."""
        self.limit_s = limit_s
        self._slices: deque[set[asyncio.Task[Any]]] = deque(set() for _ in range(_SLICES + 1))
        self._given_up: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, act: Awaitable[T]) -> T:
        """Return what *act* does. Raises TimeoutError when it takes too long."""
        task = asyncio.current_task()
        assert task is not None
        mine = self._slices[-1]
        mine.add(task)
        if self._timer is None:
            self._set_timer(task.get_loop())
        try:
            return await act
        except asyncio.CancelledError:
            if task in self._given_up and not task.uncancel():
                raise TimeoutError from None
            raise
        finally:
            mine.discard(task)
            self._given_up.discard(task)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self.limit_s / _SLICES, self._pass, loop)

    def _pass(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let an eighth of the time be over for all that wait."""
        oldest = self._slices.popleft()
        self._slices.append(set())
        for task in oldest:
            self._given_up.add(task)
            task.cancel()
        self._timer = None
        if any(self._slices):
            self._set_timer(loop)
