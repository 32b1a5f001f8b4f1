"""The queue before a model: what is taken, what is refused, how long it is thought to take."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from filiera.serving.waiting import Bounds, Busy, Cost, Job, Waiting

ROWS = st.integers(1, 50)
SECONDS = st.floats(0, 100)


@given(per_row=st.floats(0, 1), once=st.floats(0, 1), sizes=st.lists(ROWS, min_size=2, unique=True))
def test_the_cost_of_a_straight_line_is_found(per_row: float, once: float, sizes: list[int]) -> None:
    """What takes a·n + b is known after two sizes, for any other size."""
    cost = Cost()
    for rows in sizes * 3:
        cost.observe(rows, per_row * rows + once)
    assert cost.estimate_s(100) == pytest.approx(100 * per_row + once, rel=1e-6, abs=1e-6)


@given(seen=st.lists(st.tuples(ROWS, SECONDS), max_size=60), rows=ROWS)
def test_the_cost_is_never_negative_and_never_falls(seen: list[tuple[int, float]], rows: int) -> None:
    """Whatever was measured, more rows are not thought to take less."""
    cost = Cost()
    for size, took_s in seen:
        cost.observe(size, took_s)
    assert 0 <= cost.estimate_s(rows) <= cost.estimate_s(rows + 1)


@given(rows=ROWS, took_s=st.floats(1e-6, 10))
def test_one_size_is_all_per_row(rows: int, took_s: float) -> None:
    """While one size was seen only, twice the rows are thought to take twice the time."""
    cost = Cost()
    for _ in range(100):
        cost.observe(rows, took_s)
    assert cost.estimate_s(2 * rows) == pytest.approx(2 * took_s)


def test_old_times_are_forgotten() -> None:
    """A model that became ten times slower is known to be after some hundred batches."""
    cost = Cost()
    for took_s in [1.0] * 300 + [10.0] * 300:
        cost.observe(1, took_s)
    assert cost.estimate_s(1) == pytest.approx(10, rel=0.05)


def waiting(*, rows: int = 20, batch_rows: int = 8, per_row_s: float = 0.0) -> Waiting[int]:
    cost = Cost()
    if per_row_s:
        cost.observe(1, per_row_s)
    return Waiting(Bounds(waiting_rows=rows, batch_rows=batch_rows), cost)


def test_all_that_waits_is_taken_at_once() -> None:
    """A free model gets whatever there is, one row or many, without waiting for more."""
    queue = waiting()
    for number in range(3):
        queue.add(Job(content=number, rows=1, since_s=0))
        queue.add(Job(content=-number, rows=1, since_s=0))
        assert [job.content for job in queue.take(0).jobs] == [number, -number]
    assert queue.take(0).jobs == []


def test_a_batch_ends_where_its_tightest_deadline_does() -> None:
    """Rows that would make another request late wait for the next batch; the reason is told."""
    queue = waiting(per_row_s=1.0)
    for number, deadline_s in enumerate([math.inf, 3.5, math.inf, math.inf]):
        queue.add(Job(content=number, rows=1, since_s=0, deadline_s=deadline_s))
    first = queue.take(0)
    assert ([job.content for job in first.jobs], first.reason) == ([0, 1, 2], "deadline")
    assert ([job.content for job in queue.take(0).jobs], queue.rows) == ([3], 0)


def test_a_request_that_would_be_late_is_refused_at_once() -> None:
    """Behind 10 s of others a caller with 5 s is told when to come again; one with 20 s is taken."""
    queue = waiting(per_row_s=1.0)
    queue.add(Job(content=0, rows=10, since_s=0))
    with pytest.raises(Busy) as refused:
        queue.check(1, 0, 5)
    assert refused.value.retry_after_s == 10
    queue.check(1, 0, 20)


def test_what_nobody_waits_before_is_taken_however_large() -> None:
    """The bound is on what waits: a request beyond it would else never be answered."""
    waiting(rows=5).check(50, 0, math.inf)


class Queue(RuleBasedStateMachine):
    """Requests of any size and deadline come, and batches are taken, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = waiting(per_row_s=0.5)
        self.model: list[Job[int]] = []
        self.now_s = 0.0
        self.number = 0

    @rule(rows=ROWS, patience_s=st.floats(0, 50) | st.just(math.inf), wait_s=st.floats(0, 5))
    def come(self, rows: int, patience_s: float, wait_s: float) -> None:
        """A request is taken or refused; refused only if too many wait or it would be late."""
        self.now_s += wait_s
        before = sum(job.rows for job in self.model)
        try:
            self.queue.check(rows, self.now_s, self.now_s + patience_s)
        except Busy as busy:
            assert before > 0
            assert busy.retry_after_s >= 1
            assert before + rows > 20 or before * 0.5 > patience_s - 1e-9
            return
        assert not before or before + rows <= 20
        self.number += 1
        job = Job(content=self.number, rows=rows, since_s=self.now_s, deadline_s=self.now_s + patience_s)
        self.queue.add(job)
        self.model.append(job)

    @rule(wait_s=st.floats(0, 20))
    def take(self, wait_s: float) -> None:
        """A batch has the first that wait, in order, within its bounds; the late ones are told apart; none is lost."""
        self.now_s += wait_s
        taken = self.queue.take(self.now_s)
        gone = {job.content for job in (*taken.jobs, *taken.late)}
        assert [job.content for job in self.model[: len(gone)]] == sorted(gone)
        assert all(job.deadline_s <= self.now_s for job in taken.late)
        assert all(job.deadline_s > self.now_s for job in taken.jobs)
        assert taken.rows <= 8 or len(taken.jobs) == 1
        self.model = self.model[len(gone) :]
        if self.model:
            assert taken.jobs
            assert taken.reason != "idle"

    @invariant()
    def rows_are_counted(self) -> None:
        """What waits is what came and was not taken."""
        assert (self.queue.rows, len(self.queue)) == (sum(job.rows for job in self.model), len(self.model))


TestQueue = Queue.TestCase
