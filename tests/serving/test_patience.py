"""One timer for many limits."""

from __future__ import annotations

import asyncio

import pytest

from filiera.serving.patience import Patience


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time passes when there is nothing else to do."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._selector_select = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._jump  # type: ignore[attr-defined]

    def _jump(self, timeout: float | None = None) -> object:
        self.now_s += timeout or 0.0
        return self._selector_select(0)

    def time(self) -> float:
        return self.now_s


def run(act: object) -> float:
    """Return the time on the clock when *act* is over."""
    loop = Clock()
    try:
        loop.run_until_complete(act)  # type: ignore[arg-type]
        return loop.now_s
    finally:
        loop.close()


def test_what_takes_too_long_ends_in_time() -> None:
    """The limit holds, and is late by an eighth at most, for each of those that began at different times."""
    ended: list[float] = []

    async def one(patience: Patience, begin_s: float) -> None:
        await asyncio.sleep(begin_s)
        with pytest.raises(TimeoutError):
            await patience.wait(asyncio.Event().wait())
        ended.append(asyncio.get_running_loop().time() - begin_s)

    async def act() -> None:
        patience = Patience(8.0)
        await asyncio.gather(*(one(patience, 0.7 * number) for number in range(40)))

    run(act())
    assert len(ended) == 40
    assert all(8.0 <= took_s <= 9.01 for took_s in ended)


def test_what_ends_in_time_is_left_alone() -> None:
    """Results and errors come through, another patience can follow in the same task, and no timer is left running."""

    async def act() -> None:
        patience = Patience(8.0)
        assert await patience.wait(asyncio.sleep(7, "done")) == "done"
        assert await patience.wait(asyncio.sleep(7, "again")) == "again"
        with pytest.raises(KeyError):
            await patience.wait(failing())
        await asyncio.sleep(100)
        assert patience._timer is None

    async def failing() -> None:
        raise KeyError("x")

    assert run(act()) >= 100


def test_who_is_cancelled_is_cancelled() -> None:
    """A cancellation from elsewhere is not taken for impatience."""

    async def act() -> None:
        patience = Patience(8.0)
        task = asyncio.ensure_future(patience.wait(asyncio.Event().wait()))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(act())
