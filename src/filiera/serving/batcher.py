"""Puts rows of requests that come together before a model together: as many as there are, without waiting for more."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

from filiera.serving.batch import Batch, Outputs
from filiera.serving.predictor import PredictionFailed
from filiera.serving.waiting import Bounds, Cost, Job, Taken, Waiting

if TYPE_CHECKING:
    from filiera.ports import Clock

HERE_S = 0.002
"""A batch that takes less is predicted where requests are read: handing it to a thread would take a tenth of that."""


class TooLate(Exception):
    """The request's deadline passed while it waited."""


class Predicts(Protocol):
    """Answers batches; one call at a time."""

    is_brief: bool  #: does nothing but compute, so that how long it took says how long it will take

    def predict(self, batch: Batch) -> Outputs:
        """Return one array per output, with an entry per row. Raises PredictionFailed."""


Question = tuple[Batch, "asyncio.Future[Outputs]"]
Settled: TypeAlias = "list[Outputs | Exception]"
InThread = Callable[[Callable[[], "Settled"]], Awaitable["Settled"]]
"""Runs something in a thread; raises whatever kept it from running."""


class Batcher:
    """Answers batches of many requests with one model, on one event loop.

    What comes while the model is free is predicted in the next turn of the loop, together with what else came in this
    one; what comes while it is busy, as soon as it is free: no row ever waits for others to come.
    """

    def __init__(
        self,
        model: Predicts,
        *,
        in_thread: InThread,
        cost: Cost | None = None,
        bounds: Bounds | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Prepare to ask *model*.

        Args:
            model: What predicts.
            in_thread: Runs what may take long.
            cost: What is known of how long the model takes.
            bounds: How much may wait.
            clock: Monotonic seconds.
        """
        self.counts: Counter[str] = Counter()  #: batches by reason, ``rows``; and ``queue_s``, which is a float
        self._model = model
        self._in_thread = in_thread
        self._cost = cost or Cost()
        self._bounds = bounds or Bounds()
        self._clock = clock
        self._waiting: Waiting[Question] = Waiting(self._bounds, self._cost)
        self._is_engaged = False
        self._running: asyncio.Future[None] | None = None

    @property
    def rows_waiting(self) -> int:
        """Return how many rows wait."""
        return self._waiting.rows

    async def predict(self, batch: Batch, *, timeout_s: float = math.inf) -> Outputs:
        """Return what the model gives for *batch*.

        Raises:
            Busy: It cannot wait, or not be answered within *timeout_s*; told at once.
            TooLate: It was not begun within *timeout_s*.
            PredictionFailed: The model failed on these rows; of several requests predicted together only those that it
                fails on hear of it.
        """
        now_s = self._clock()
        self._waiting.check(batch.height, now_s, now_s + timeout_s)
        loop = asyncio.get_running_loop()
        size = self._bounds.batch_rows
        if batch.height <= size:
            return await self._enter(loop, batch, now_s, now_s + timeout_s)
        starts = range(0, batch.height, size)
        parts = [
            self._enter(loop, batch.part(start, min(start + size, batch.height)), now_s, now_s + timeout_s)
            for start in starts
        ]
        return _together(await asyncio.gather(*parts))

    def _enter(
        self, loop: asyncio.AbstractEventLoop, batch: Batch, now_s: float, deadline_s: float
    ) -> asyncio.Future[Outputs]:
        result: asyncio.Future[Outputs] = loop.create_future()
        self._waiting.add(Job(content=(batch, result), rows=batch.height, since_s=now_s, deadline_s=deadline_s))
        if not self._is_engaged:
            self._is_engaged = True
            loop.call_soon(self._release, loop)
        return result

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        taken = self._waiting.take(self._clock())
        for job in taken.late:
            _settle(job.content[1], TooLate())
        jobs = [job for job in taken.jobs if not job.content[1].done()]  # who hung up needs no answer
        if not jobs:
            self._is_engaged = False
            return
        started_s = self._clock()
        self._count(taken, started_s)
        rows = sum(job.rows for job in jobs)
        act = partial(_answers, self._model.predict, [job.content[0] for job in jobs])
        if self._model.is_brief and 0 < self._cost.estimate_s(rows) <= HERE_S:
            self._finish(loop, jobs, act(), started_s)
        else:
            self._running = asyncio.ensure_future(self._hand_over(loop, jobs, act, started_s))

    async def _hand_over(
        self, loop: asyncio.AbstractEventLoop, jobs: list[Job[Question]], act: Callable[[], Settled], started_s: float
    ) -> None:
        try:
            answers = await self._in_thread(act)
        except Exception as error:  # noqa: BLE001 - it is raised again where the answers were asked for
            answers = [error for _ in jobs]
        self._finish(loop, jobs, answers, started_s)

    def _finish(
        self, loop: asyncio.AbstractEventLoop, jobs: list[Job[Question]], answers: Settled, started_s: float
    ) -> None:
        self._cost.observe(sum(job.rows for job in jobs), self._clock() - started_s)
        for job, answer in zip(jobs, answers, strict=True):
            _settle(job.content[1], answer)
        if self._waiting:
            loop.call_soon(self._release, loop)
        else:
            self._is_engaged = False

    def _count(self, taken: Taken[Question], now_s: float) -> None:
        self.counts[taken.reason] += 1
        self.counts["rows"] += taken.rows
        self.counts["queue_s"] += sum(now_s - job.since_s for job in taken.jobs)  # type: ignore[assignment]


def _answers(predict: Callable[[Batch], Outputs], batches: Sequence[Batch]) -> Settled:
    """Return what *predict* gives for each batch, or raises for it: what fails is asked again in halves."""
    try:
        outputs = predict(Batch.joined(batches))
    except PredictionFailed as error:
        if len(batches) == 1:
            return [error]
        middle = len(batches) // 2
        return _answers(predict, batches[:middle]) + _answers(predict, batches[middle:])
    except Exception as error:  # noqa: BLE001 - it is raised again where the answers were asked for
        return [error for _ in batches]
    if len(batches) == 1:
        return [outputs]
    found: Settled = []
    start = 0
    for batch in batches:
        stop = start + batch.height
        found.append(tuple(values[start:stop] for values in outputs))
        start = stop
    return found


def _together(parts: Sequence[Outputs]) -> Outputs:
    import numpy as np

    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def _settle(result: asyncio.Future[Outputs], answer: Outputs | Exception) -> None:
    if result.done():
        return
    if isinstance(answer, Exception):
        result.set_exception(answer)
    else:
        result.set_result(answer)
