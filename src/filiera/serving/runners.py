"""Where functions run: plain ones in threads, asynchronous ones on an event loop that is theirs.

Neither is the event loop that answers requests, so that a function which blocks, by its nature or by mistake, keeps no
health check waiting and no other function.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from filiera.serving.threads import Threads

T = TypeVar("T")
Hand = Callable[[bytes], None]
"""Takes one item of a stream; may be called from any thread."""
AHEAD = 16
"""So many items of a stream may be made before the caller has taken the first of them."""


class Runner(Protocol):
    """Runs jobs of one kind: callables for threads, callables that return coroutines for a loop."""

    def run_now(self, job: Callable[[], Any]) -> Any:
        """Return what *job* gives, or raise what it raises; waits. For the start and the end of a service."""

    async def run(self, job: Callable[[], Any]) -> Any:
        """Return what *job* gives, or raise what it raises. Cancelled, a job that has not started never does."""

    def stop(self) -> None:
        """Take no more. Does not wait for what runs."""


class ThreadRunner:
    """Runs plain functions, at most so many at once."""

    def __init__(self, concurrency: int) -> None:
        self._threads = Threads(max_waiting=0, threads=concurrency)

    def run_now(self, job: Callable[[], T]) -> T:
        """Return what *job* returns; always in the same thread when there is one."""
        return self._threads.submit(job).result()

    async def run(self, job: Callable[[], T]) -> T:
        """Return what *job* returns."""
        return await self._threads.run(job)

    def stop(self) -> None:
        """Let the threads end after the jobs they have."""
        self._threads.stop()


class LoopRunner:
    """Runs asynchronous functions on one event loop in a thread of its own, at most so many at once."""

    def __init__(self, concurrency: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._places = asyncio.Semaphore(concurrency)
        threading.Thread(target=self._work, name="async-functions", daemon=True).start()

    def run_now(self, job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the coroutine returns."""
        return self._submit(job).result()

    async def run(self, job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the coroutine returns. Cancelled, the coroutine is cancelled."""
        return await asyncio.wrap_future(self._submit(job))

    def stop(self) -> None:
        """Cancel what runs and end the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _submit(self, job: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(self._placed(job), self._loop)

    async def _placed(self, job: Callable[[], Awaitable[T]]) -> T:
        async with self._places:
            return await job()

    def _work(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_cancelled(asyncio.all_tasks(self._loop)))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def items_of(
    runner: Runner,
    pull: Callable[[Hand, int], Any],
    close: Callable[[], Any],
    *,
    timeout_s: float,
) -> AsyncGenerator[bytes, None]:
    """Yield the items of a stream as they are made, at most AHEAD of them before they are taken.

    Args:
        runner: Where the stream runs. Between two pulls, while a caller is slow to take, others may run there.
        pull: A job that hands over up to so many items and returns whether the stream has ended.
        close: A job that closes the stream; run once, however it ends.
        timeout_s: How long the next item may take.

    Raises:
        TimeoutError: The next item took too long.
        Exception: What the stream raises.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[bytes | None] = asyncio.Queue()
    pulling: asyncio.Future[bool] | None = None
    try:
        while True:
            pulling = asyncio.ensure_future(runner.run(lambda: pull(lambda item: _hand(loop, arrived, item), AHEAD)))
            pulling.add_done_callback(lambda _: arrived.put_nowait(None))
            while (item := await _within(arrived, timeout_s)) is not None:
                yield item
            if pulling.result():
                return
    finally:
        if pulling is not None:
            pulling.cancel()
        closing = asyncio.ensure_future(runner.run(close))
        closing.add_done_callback(_seen)


async def _within(arrived: asyncio.Queue[bytes | None], timeout_s: float) -> bytes | None:
    if not arrived.empty():
        return arrived.get_nowait()
    async with asyncio.timeout(timeout_s):
        return await arrived.get()


def _hand(loop: asyncio.AbstractEventLoop, arrived: asyncio.Queue[bytes | None], item: bytes) -> None:
    loop.call_soon_threadsafe(arrived.put_nowait, item)


def _seen(done: asyncio.Future[Any]) -> None:
    """Take note of how closing ended: nobody waits for it, and a function that cannot end is no fault of a request."""
    if not done.cancelled():
        done.exception()
