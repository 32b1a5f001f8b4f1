"""Rows of many requests before one model: together, without waiting, and each with its own fate."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.signature import Field, Output, Signature
from filiera.serving.batch import Batch, Outputs
from filiera.serving.batcher import Batcher, TooLate
from filiera.serving.course import NodeDied
from filiera.serving.predictor import PredictionFailed
from filiera.serving.served_model import Predictions, ServedModel
from filiera.serving.waiting import Bounds, Busy, Cost

FIELDS = (Field(name="x", type="float64"),)
SIGNATURE = Signature(
    task="regression",
    inputs=FIELDS,
    outputs=(
        Output(name="value", type="float64", semantics="value"),
        Output(name="p", type="float64", semantics="probability", labels=("a", "b")),
    ),
)


class Doubling:
    """Doubles numbers, and fails on 13 with all that it is given beside it; notes the batches it sees."""

    runtime = "none"

    def __init__(self, *, is_brief: bool = False) -> None:
        self.is_brief = is_brief
        self.seen: list[list[float]] = []

    def predict(self, batch: Batch) -> Outputs:
        numbers = [float(value) for value in batch.column(0)]
        self.seen.append(numbers)
        if 13 in numbers:
            raise PredictionFailed("The model failed to predict.")
        if 14 in numbers:
            raise NodeDied("scaler", "Its process has ended.")
        return (np.array(numbers) * 2, np.column_stack([numbers, numbers]))


class Gate:
    """Runs jobs when it is open, as a thread does that is busy now and then."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def run(self, job: Callable[[], Any]) -> Any:
        await self.open.wait()
        return job()


def batcher_of(model: Doubling, *, cost: Cost | None = None, in_thread: Any = None, **options: Any) -> Batcher:
    served = ServedModel("m", model, version=1, signature=SIGNATURE)
    served.effort = cost or Cost()
    served.cost = Cost()
    return Batcher(served, in_thread=in_thread or here, **options)


def values(predictions: Predictions) -> list[float]:
    found: list[float] = predictions.outputs[0].tolist()
    return found


def rows(*numbers: float) -> Batch:
    return Batch.of_rows(FIELDS, [(number,) for number in numbers])


def brief(rows: int = 1, took_s: float = 1e-6) -> Cost:
    cost = Cost()
    cost.observe(rows, took_s)
    return cost


async def here(job: Callable[[], Any]) -> Any:
    return job()


def asked(batcher: Batcher, batches: Sequence[Batch]) -> list[Any]:
    """Return what came of *batches* that were asked in one turn."""

    async def ask() -> list[Any]:
        return await asyncio.gather(*map(batcher.predict, batches), return_exceptions=True)

    return asyncio.run(ask())


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=12),
    bad=st.sets(st.integers(0, 11)),
    batch_rows=st.integers(1, 20),
    is_brief=st.booleans(),
)
def test_each_request_has_its_own_rows_back(sizes: list[int], bad: set[int], batch_rows: int, is_brief: bool) -> None:
    """However requests are put together, split or fail, each hears of its own rows, and only bad ones fail."""
    contents = [[100.0 * number + row for row in range(size)] for number, size in enumerate(sizes)]
    for number in bad & set(range(len(contents))):
        contents[number][-1] = 13
    model = Doubling(is_brief=is_brief)
    batcher = batcher_of(model, cost=brief(), bounds=Bounds(batch_rows=batch_rows, waiting_rows=10**6))
    answers = asked(batcher, [rows(*content) for content in contents])
    for number, (content, answer) in enumerate(zip(contents, answers, strict=True)):
        if number in bad:
            assert isinstance(answer, PredictionFailed)
        else:
            assert values(answer) == [2 * value for value in content]
            assert answer.outputs[1].shape == (len(content), 2)
            assert len(set(answer.ids)) == len(content)
    assert all(len(numbers) <= max(batch_rows, 1) for numbers in model.seen)
    assert batcher.rows_waiting == 0


def test_a_process_that_ended_is_not_asked_by_halves() -> None:
    """Nobody knows which rows it was, and there is no process to ask: all hear that theirs were with it."""
    model = Doubling(is_brief=True)
    answers = asked(batcher_of(model, cost=brief()), [rows(1), rows(14), rows(2)])
    assert [type(answer) for answer in answers] == [NodeDied] * 3
    assert model.seen == [[1, 14, 2]]


def test_what_comes_in_one_turn_is_predicted_together() -> None:
    """Ten requests at once are one batch; one by itself is a batch of one row, at once."""
    model = Doubling(is_brief=True)
    batcher = batcher_of(model, cost=brief())
    asked(batcher, [rows(number) for number in range(10)])
    asked(batcher, [rows(10)])
    assert [len(numbers) for numbers in model.seen] == [10, 1]
    assert batcher.counts["idle"] == 2
    assert batcher.counts["rows"] == 11


def test_a_busy_model_takes_all_that_came_meanwhile() -> None:
    """While a batch is predicted requests wait; the next batch has all of them."""
    model = Doubling()

    async def ask() -> list[Any]:
        gate = Gate()
        batcher = batcher_of(model, in_thread=gate.run)
        first = asyncio.ensure_future(batcher.predict(rows(1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rest = [asyncio.ensure_future(batcher.predict(rows(number))) for number in (2, 3, 4)]
        await asyncio.sleep(0)
        assert batcher.rows_waiting == 3
        gate.open.set()
        return [values(await task) for task in (first, *rest)]

    assert asyncio.run(ask()) == [[2], [4], [6], [8]]
    assert model.seen == [[1], [2, 3, 4]]


def test_more_than_may_wait_is_refused_at_once() -> None:
    """Beyond the bound in rows a request hears so before anything is done for it; later ones are taken again."""

    async def ask() -> None:
        gate = Gate()
        batcher = batcher_of(Doubling(), in_thread=gate.run, bounds=Bounds(waiting_rows=3))
        tasks = [asyncio.ensure_future(batcher.predict(rows(1)))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks += [asyncio.ensure_future(batcher.predict(rows(number, number))) for number in (2, 3)]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert [type(task.exception()) for task in done] == [Busy]
        gate.open.set()
        assert [len((await task).ids) for task in tasks[:2]] == [1, 2]
        assert values(await batcher.predict(rows(5))) == [10]

    asyncio.run(ask())


def test_who_waited_too_long_is_told_and_not_predicted() -> None:
    """A request whose deadline passes while it waits costs the model nothing."""
    model, now = Doubling(), [0.0]

    async def ask() -> None:
        gate = Gate()
        batcher = batcher_of(model, in_thread=gate.run, clock=lambda: now[0])
        first = asyncio.ensure_future(batcher.predict(rows(1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        late = asyncio.ensure_future(batcher.predict(rows(2), timeout_s=5))
        patient = asyncio.ensure_future(batcher.predict(rows(3), timeout_s=math.inf))
        await asyncio.sleep(0)
        now[0] = 6.0
        gate.open.set()
        await first
        with pytest.raises(TooLate):
            await late
        await patient

    asyncio.run(ask())
    assert model.seen == [[1], [3]]


def test_who_hung_up_is_not_predicted() -> None:
    """A request that is cancelled while it waits costs the model nothing, and harms no other."""
    model = Doubling()

    async def ask() -> None:
        gate = Gate()
        batcher = batcher_of(model, in_thread=gate.run)
        first = asyncio.ensure_future(batcher.predict(rows(1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gone = asyncio.ensure_future(batcher.predict(rows(2)))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        await first
        assert values(await batcher.predict(rows(3))) == [6]

    asyncio.run(ask())
    assert model.seen == [[1], [3]]


@pytest.mark.parametrize(
    ("is_brief", "cost", "size", "is_here"),
    [
        (True, brief(), 1, True),
        (True, brief(), 10**4, False),
        (True, Cost(), 1, False),
        (False, brief(), 1, False),
    ],
    ids=["quick", "many rows", "not known", "anybody's code"],
)
def test_only_what_is_known_to_be_quick_is_predicted_on_the_loop(
    is_brief: bool, cost: Cost, size: int, is_here: bool
) -> None:
    """Anything else goes to the thread, so that health is answered meanwhile."""
    handed: list[int] = []

    async def in_thread(job: Callable[[], Any]) -> Any:
        handed.append(1)
        return job()

    batcher = batcher_of(Doubling(is_brief=is_brief), in_thread=in_thread, cost=cost, bounds=Bounds(batch_rows=10**5))
    asked(batcher, [rows(*range(20, 20 + size))])
    assert (not handed) == is_here


def test_a_thread_that_takes_nothing_more_refuses_the_batch() -> None:
    """What keeps a job from running reaches whoever asked, and the next is taken again."""
    calls: list[int] = []

    async def in_thread(job: Callable[[], Any]) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise Busy(1)
        return job()

    batcher = batcher_of(Doubling(), in_thread=in_thread)
    assert isinstance(asked(batcher, [rows(1)])[0], Busy)
    assert values(asked(batcher, [rows(2)])[0]) == [4]
