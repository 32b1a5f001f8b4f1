"""Puts rows of requests that come together before a model together: as many as there are, without waiting for more."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from filiera.serving.batch import Batch, Outputs
from filiera.serving.course import NodeDown
from filiera.serving.predictor import PredictionFailed
from filiera.serving.served_model import Predictions, ServedModel
from filiera.serving.trail import UNWATCHED, Trail
from filiera.serving.waiting import Bounds, Job, Taken, Waiting

if TYPE_CHECKING:
    from filiera.ports import Clock

HERE_S = 0.002
"""A batch that takes less is predicted where requests are read: handing it to a thread would take a tenth of that."""


class TooLate(Exception):
    """The request's deadline passed while it waited."""


Question: TypeAlias = "tuple[Batch, asyncio.Future[Predictions], Trail]"
Fate: TypeAlias = "tuple[int, Outputs | Exception]"
"""How many batches, one after another, and what came of them together."""
Done: TypeAlias = "tuple[list[Fate], float]"
"""What came of batches, and the processor time that it took."""
InThread: TypeAlias = Callable[[Callable[[], Done]], Awaitable[Done]]
"""Runs something in a thread; raises whatever kept it from running."""


class Batcher:
    """Answers batches of many requests with one model, on one event loop.

    What comes while the model is free is predicted in the next turn of the loop, together with what else came in this
    one; what comes while it is busy, as soon as it is free: no row ever waits for others to come.
    """

    def __init__(
        self,
        model: ServedModel,
        *,
        in_thread: InThread,
        bounds: Bounds | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Prepare to ask *model*.

        Args:
            model: What predicts.
            in_thread: Runs what may take long.
            bounds: How much may wait.
            clock: Monotonic seconds.
        """
        self.counts: Counter[str] = Counter()  #: batches by reason, ``rows``; and ``queue_s``, which is a float
        self._model = model
        self._in_thread = in_thread
        self._bounds = bounds or Bounds()
        self._clock = clock
        self._waiting: Waiting[Question] = Waiting(self._bounds, model.cost)
        self._is_engaged = False
        self._running: asyncio.Future[None] | None = None

    @property
    def rows_waiting(self) -> int:
        """Return how many rows wait."""
        return self._waiting.rows

    async def predict(self, batch: Batch, *, timeout_s: float = math.inf, trail: Trail = UNWATCHED) -> Predictions:
        """Return what the model gives for *batch*, logged.

        Args:
            batch: Some rows.
            timeout_s: An answer that is begun later is of no use.
            trail: Takes note of the parts of the work.

        Raises:
            Busy: It cannot wait, or not be answered within *timeout_s*; told at once.
            TooLate: It was not begun within *timeout_s*.
            PredictionFailed: The model failed on these rows; of several requests predicted together only those that it
                fails on hear of it.
        """
        trail.mark("read")
        now_s = self._clock()
        self._waiting.check(batch.height, now_s, now_s + timeout_s)
        loop = asyncio.get_running_loop()
        size = self._bounds.batch_rows
        if batch.height <= size:
            return await self._enter(loop, (batch, trail), now_s, now_s + timeout_s)
        parts = [
            self._enter(loop, (batch.part(start, min(start + size, batch.height)), trail), now_s, now_s + timeout_s)
            for start in range(0, batch.height, size)
        ]
        return Predictions.joined(await asyncio.gather(*parts))

    def _enter(
        self, loop: asyncio.AbstractEventLoop, asked: tuple[Batch, Trail], now_s: float, deadline_s: float
    ) -> asyncio.Future[Predictions]:
        result: asyncio.Future[Predictions] = loop.create_future()
        batch, trail = asked
        batch.deadline_s = deadline_s
        self._waiting.add(Job(content=(batch, result, trail), rows=batch.height, since_s=now_s, deadline_s=deadline_s))
        if not self._is_engaged:
            self._is_engaged = True
            loop.call_soon(self._release, loop)
        return result

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        started_s = self._clock()
        taken = self._waiting.take(started_s)
        for job in taken.late:
            _fail(job, TooLate())
        jobs = [job for job in taken.jobs if not job.content[1].done()]  # who hung up needs no answer
        if not jobs:
            self._is_engaged = False
            return
        self._count(taken, started_s)
        batches = [job.content[0] for job in jobs]
        if self._is_here(sum(job.rows for job in jobs)):
            self._finish(loop, jobs, self._done_here(batches, started_s))
        else:
            self._running = asyncio.ensure_future(self._hand_over(loop, jobs, batches, started_s))

    def _is_here(self, rows: int) -> bool:
        return self._model.predictor.is_brief and 0 < self._model.effort.estimate_s(rows) <= HERE_S

    def _done_here(self, batches: list[Batch], started_s: float) -> list[Fate]:
        fates, effort_s = _done(self._model.predictor.predict, batches)
        self._learn(batches, started_s, effort_s)
        return fates

    async def _hand_over(
        self, loop: asyncio.AbstractEventLoop, jobs: list[Job[Question]], batches: list[Batch], started_s: float
    ) -> None:
        try:
            # Of the traces of several requests that of the first: what is asked elsewhere belongs to one.
            job = jobs[0].content[2].within(partial(_done, self._model.predictor.predict, batches))
            fates, effort_s = await self._in_thread(job)
            self._learn(batches, started_s, effort_s)
        except Exception as error:  # noqa: BLE001 - it is raised again where the answers were asked for
            fates = [(len(jobs), error)]
        self._finish(loop, jobs, fates)

    def _learn(self, batches: list[Batch], started_s: float, effort_s: float) -> None:
        rows = sum([batch.height for batch in batches])
        self._model.cost.observe(rows, self._clock() - started_s)
        self._model.effort.observe(rows, effort_s)

    def _finish(self, loop: asyncio.AbstractEventLoop, jobs: list[Job[Question]], fates: list[Fate]) -> None:
        start, rows = 0, sum([job.rows for job in jobs])
        for job in jobs:
            job.content[2].mark("predict", rows)
        for count, fate in fates:
            self._settle(jobs[start : start + count], fate)
            start += count
        if self._waiting:
            loop.call_soon(self._release, loop)
        else:
            self._is_engaged = False

    def _settle(self, jobs: Sequence[Job[Question]], fate: Outputs | Exception) -> None:
        try:
            if isinstance(fate, Exception):
                raise fate
            found = self._model.named([job.content[0] for job in jobs], fate)
        except Exception as error:  # noqa: BLE001 - it is raised again where the answers were asked for
            for job in jobs:
                _fail(job, error)
            return
        for job, predictions in zip(jobs, found, strict=True):
            job.content[2].mark("log")
            if not job.content[1].done():
                job.content[1].set_result(predictions)

    def _count(self, taken: Taken[Question], now_s: float) -> None:
        self.counts[taken.reason] += 1
        self.counts["rows"] += taken.rows
        self.counts["queue_s"] += sum([now_s - job.since_s for job in taken.jobs])  # type: ignore[assignment]


def _done(predict: Callable[[Batch], Outputs], batches: Sequence[Batch]) -> Done:
    # Not by the clock: on a machine that is busy with other things a model takes no more of the loop's time.
    started_s = time.thread_time()
    fates = _fates(predict, batches)
    return fates, time.thread_time() - started_s


def _fates(predict: Callable[[Batch], Outputs], batches: Sequence[Batch]) -> list[Fate]:
    """Return what *predict* gives for all batches together; of those on which it fails, for each half by itself."""
    try:
        return [(len(batches), predict(Batch.joined(batches)))]
    except PredictionFailed as error:
        if len(batches) == 1 or isinstance(error, NodeDown):  # a process that is gone says nothing of any half
            return [(len(batches), error)]
        middle = len(batches) // 2
        return _fates(predict, batches[:middle]) + _fates(predict, batches[middle:])


def _fail(job: Job[Question], error: Exception) -> None:
    if not job.content[1].done():
        job.content[1].set_exception(error)
