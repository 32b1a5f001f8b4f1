"""What waits for a model, and how much of it is taken at once: values in, decisions out, the clock given."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import field
from typing import Generic, Literal, TypeVar, get_args

from filiera.core.value import dataclass

T = TypeVar("T")
Reason = Literal["idle", "full", "deadline"]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""Why a batch has the rows it has: nothing else waited; no more fit; more would have been too late for one of them."""

_MEMORY = 0.98
"""How much an observation weighs against the next: the last fifty count."""


class Busy(Exception):
    """More rows wait than may wait, or the last of them would be too late."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s  #: whole seconds, at least 1
        super().__init__(retry_after_s)


class Cost:
    """How long a model takes for n rows, learnt while it predicts: ``t(n) = per_row_s * n + once_s``.

    Least squares over what was seen, the past forgotten geometrically, neither part below 0. While only one size was
    seen, all of the time counts as time per row, which is the cautious guess for more rows.

    Source:
        Recursive least squares with exponential forgetting (Ljung, System Identification, 1999, section 11.2), in the
        form that keeps the weighted sums, which nothing can make unstable.
    """

    __slots__ = ("_n", "_nn", "_nt", "_t", "_w")

    def __init__(self) -> None:
        self._w = self._n = self._nn = self._t = self._nt = 0.0

    def observe(self, rows: int, took_s: float) -> None:
        """Learn that *rows* took *took_s*."""
        self._w = self._w * _MEMORY + 1
        self._n = self._n * _MEMORY + rows
        self._nn = self._nn * _MEMORY + rows * rows
        self._t = self._t * _MEMORY + took_s
        self._nt = self._nt * _MEMORY + rows * took_s

    @property
    def parts(self) -> tuple[float, float]:
        """Return the seconds per row and once per batch; both 0 before anything was seen."""
        if not self._w:
            return 0.0, 0.0
        spread = self._w * self._nn - self._n * self._n
        if spread <= 1e-9 * self._w * self._nn:
            return self._t / self._n, 0.0
        per_row_s = max(0.0, (self._w * self._nt - self._n * self._t) / spread)
        once_s = (self._t - per_row_s * self._n) / self._w
        return (per_row_s, once_s) if once_s >= 0 else (self._nt / self._nn, 0.0)

    def estimate_s(self, rows: int) -> float:
        """Return how long *rows* will take.

        >>> cost = Cost()
        >>> for rows in (1, 2, 10): cost.observe(rows, 0.5 + 0.25 * rows)
        >>> round(cost.estimate_s(4), 6)
        1.5
        """
        per_row_s, once_s = self.parts
        return per_row_s * rows + once_s


@dataclass(kw_only=True, slots=True)
class Job(Generic[T]):
    """Some rows that wait."""

    content: T
    rows: int
    since_s: float  #: when it came
    deadline_s: float = math.inf  #: an answer after that is of no use


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How much may wait, and be predicted at once."""

    waiting_rows: int = 4096
    batch_rows: int = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken(Generic[T]):
    """What is predicted next."""

    jobs: list[Job[T]]  #: in the order in which they came; none when nothing waits
    late: list[Job[T]] = field(default_factory=list)  #: too late to begin with
    reason: Reason = "idle"

    @property
    def rows(self) -> int:
        """Return how many rows they have together."""
        return sum(job.rows for job in self.jobs)


class Waiting(Generic[T]):
    """A queue bounded in rows, first come, first served."""

    def __init__(self, bounds: Bounds, cost: Cost) -> None:
        self.rows = 0  #: that wait
        self._bounds = bounds
        self._cost = cost
        self._jobs: deque[Job[T]] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def check(self, rows: int, now_s: float, deadline_s: float) -> None:
        """Raise Busy when *rows* more cannot wait, or could not be answered by *deadline_s* behind those that do.

        Rows that nobody waits before are always taken: a request that is larger than the bound is bounded elsewhere.
        """
        if not self.rows:
            return
        wait_s = self._batches_s(self.rows)
        if self.rows + rows > self._bounds.waiting_rows or now_s + wait_s > deadline_s:
            raise Busy(max(1, math.ceil(wait_s)))

    def add(self, job: Job[T]) -> None:
        """Let *job* wait."""
        self.rows += job.rows
        self._jobs.append(job)

    def take(self, now_s: float) -> Taken[T]:
        """Return what to predict now that the model is free, and what is too late for that.

        All that waits, as long as it fits the bound on rows and none of it is made late by those taken with it.
        """
        jobs: list[Job[T]] = []
        late: list[Job[T]] = []
        rows, until_s = 0, math.inf
        reason: Reason = "idle"
        while self._jobs:
            job = self._jobs[0]
            if job.deadline_s <= now_s:
                late.append(job)
            elif jobs and rows + job.rows > self._bounds.batch_rows:
                reason = "full"
                break
            elif jobs and now_s + self._cost.estimate_s(rows + job.rows) > min(until_s, job.deadline_s):
                reason = "deadline"
                break
            else:
                jobs.append(job)
                rows += job.rows
                until_s = min(until_s, job.deadline_s)
            self._jobs.popleft()
            self.rows -= job.rows
        return Taken(jobs=jobs, late=late, reason=reason)

    def _batches_s(self, rows: int) -> float:
        per_row_s, once_s = self._cost.parts
        return per_row_s * rows + once_s * math.ceil(rows / self._bounds.batch_rows)
