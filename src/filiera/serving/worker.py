"""One thread that predicts, so that the event loop keeps answering health checks meanwhile."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from filiera.serving.waiting import Busy

T = TypeVar("T")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Worker:
    """Runs jobs one after another in a thread of its own, with a bounded queue.

    A daemon thread, not an executor: a model that never returns must not keep the process from ending.
    """

    def __init__(self, *, max_waiting: int) -> None:
        self._jobs: queue.Queue[_Job | None] = queue.Queue(max_waiting)
        self._thread = threading.Thread(target=self._work, name="predict", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Return how many jobs have not started."""
        return self._jobs.qsize()

    async def run(self, job: Callable[[], T]) -> T:
        """Return what *job* returns, or raise what it raises. Raises Busy at once when the queue is full."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        try:
            self._jobs.put_nowait((job, result, loop))
        except queue.Full:
            raise Busy(1) from None
        return await result

    def stop(self) -> None:
        """Let the thread end after the jobs it has. Does not wait."""
        with suppress(queue.Full):
            self._jobs.put_nowait(None)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, result, loop = item
            try:
                value, error = job(), None
            except BaseException as caught:  # noqa: BLE001 - it is raised again where the job was asked for
                value, error = None, caught
            with suppress(RuntimeError):  # the loop is closed: nobody waits for this any more
                loop.call_soon_threadsafe(_settle, result, value, error)


def _settle(result: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if result.cancelled():
        return
    if error is None:
        result.set_result(value)
    else:
        result.set_exception(error)
