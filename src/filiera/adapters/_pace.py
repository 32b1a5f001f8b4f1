"""How long tasks are likely to take, and so how many of them a worker may be given ahead of time."""

from __future__ import annotations

import time

from filiera.adapters._worker_process import WorkerProcess
from filiera.core.task import Task

SHORT_S = 0.005
"""Only tasks that are likely to take no longer are given ahead."""
AHEAD_S = 0.01
"""How much work lies ahead of a worker at most: so long another one may be idle in the end."""
MOST_AHEAD = 64
"""How many tasks lie ahead of a worker at most, however short they are."""
HEAD_IS_LONG_S = 0.01
"""When a task runs for longer, those behind it are taken back for workers that are idle."""
_LEAST_S = 0.00005  # what a task costs beside its function
_MOST_FUNCTIONS = 10_000


class Pace:
    """What the last calls of each function took."""

    def __init__(self) -> None:
        self._typical_s: dict[str, float] = {}

    def note(self, function: str, duration_s: float) -> None:
        """Take note of one call: the last few count most."""
        before = self._typical_s.get(function)
        if before is None and len(self._typical_s) >= _MOST_FUNCTIONS:
            self._typical_s.clear()
        self._typical_s[function] = duration_s if before is None else 0.75 * before + 0.25 * duration_s

    def short_s(self, task: Task) -> float | None:
        """Return how long *task* is likely to take when that is short, else None, as when nobody knows."""
        typical_s = self._typical_s.get(task.function)
        return None if typical_s is None or typical_s > SHORT_S else max(typical_s, _LEAST_S)

    def has_room(self, worker: WorkerProcess) -> bool:
        """Tell whether a busy *worker* may get a further task behind those it has."""
        return (
            worker.ahead_s < AHEAD_S
            and len(worker.tasks) <= MOST_AHEAD
            and worker.can_give_ahead()
            and worker.is_ready
            and self.short_s(worker.tasks[0]) is not None
            and time.monotonic() - worker.head_since < SHORT_S
        )
