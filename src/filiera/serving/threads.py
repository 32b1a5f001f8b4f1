"""Threads that predict, so that the event loop keeps answering health checks meanwhile."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from filiera.serving.waiting import Busy

T = TypeVar("T")
_Job = tuple[Callable[[], Any], "Future[Any]"]


class Threads:
    """Runs jobs in the order they come, by default one after another in one thread, with a bounded queue.

    Daemon threads, not an executor: a model that never returns must not keep the process from ending.
    """

    def __init__(self, *, max_waiting: int, threads: int = 1) -> None:
        """Start *threads*; *max_waiting* jobs may wait, any number when it is 0."""
        self._jobs: queue.Queue[_Job | None] = queue.Queue(max_waiting)
        self._all = [threading.Thread(target=self._work, name="predict", daemon=True) for _ in range(threads)]
        for thread in self._all:
            thread.start()

    @property
    def waiting(self) -> int:
        """Return how many jobs have not started."""
        return self._jobs.qsize()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Return what will be the result of *job*; cancelled before it starts, it never does. Raises Busy."""
        result: Future[T] = Future()
        try:
            self._jobs.put_nowait((job, result))
        except queue.Full:
            raise Busy(1) from None
        return result

    async def run(self, job: Callable[[], T]) -> T:
        """Return what *job* returns, or raise what it raises. Raises Busy at once when the queue is full."""
        return await asyncio.wrap_future(self.submit(job))

    def stop(self) -> None:
        """Let the threads end after the jobs they have. Does not wait."""
        with suppress(queue.Full):
            for _ in self._all:
                self._jobs.put_nowait(None)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, result = item
            if not result.set_running_or_notify_cancel():
                continue
            try:
                value = job()
            except BaseException as error:  # noqa: BLE001 - it is raised again where the job was asked for
                result.set_exception(error)
            else:
                result.set_result(value)
