"""Tasks that wait for a place: the most urgent one that fits is found in time logarithmic in their number."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator

from filiera.core.task import Resources, Task

TaskClass = tuple[Resources, str]
"""What a task needs to start: resources and an environment. Tasks of one class fit at the same moments."""

_Rank = tuple[int, int]
"""Negated priority and order of submission: the smallest is first."""


class TaskQueue:
    """Waiting tasks by id, ordered by priority and then by submission.

    >>> queue = TaskQueue()
    >>> for number, priority in enumerate((0, 5)):
    ...     queue.add(Task(task_id=f"{number}", function="m:f", arguments=b"{}", priority=priority))
    >>> queue.first(lambda resources: True).task_id, len(queue)
    ('1', 2)
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Task, _Rank]] = {}
        self._classes: dict[TaskClass, list[tuple[_Rank, str]]] = {}  #: heaps; ids that have left are skipped
        self._order = itertools.count()
        self._ranks: dict[str, _Rank] = {}  #: of tasks that left to be run, and may come back

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._waiting

    def __iter__(self) -> Iterator[Task]:
        return (task for task, _ in self._waiting.values())

    def add(self, task: Task) -> None:
        """Put *task* behind those of its priority."""
        self._put(task, (-task.priority, next(self._order)))

    def take(self, task: Task) -> None:
        """Remove *task* to give it to a worker, from which it may come back."""
        self._ranks[task.task_id] = self._waiting.pop(task.task_id)[1]

    def come_back(self, task: Task) -> None:
        """Put a task that was taken in its former place."""
        self._put(task, self._ranks.pop(task.task_id))

    def has_left(self, task_id: str) -> None:
        """Forget a task that was taken: it will not come back."""
        self._ranks.pop(task_id, None)

    def remove(self, task_id: str) -> Task:
        """Return a waiting task and forget it."""
        return self._waiting.pop(task_id)[0]

    def first(self, fits: Callable[[Resources], bool]) -> Task | None:
        """Return the first task whose resources fit, or None."""
        best: tuple[_Rank, str] | None = None
        for kind in list(self._classes):
            if fits(kind[0]):
                head = self._head(kind)
                if head is not None and (best is None or head < best):
                    best = head
        return None if best is None else self._waiting[best[1]][0]

    def first_of(self, kind: TaskClass) -> Task | None:
        """Return the first task of a class, or None."""
        head = self._head(kind)
        return None if head is None else self._waiting[head[1]][0]

    def clear(self) -> None:
        """Forget all tasks."""
        self._waiting.clear()
        self._classes.clear()
        self._ranks.clear()

    def _put(self, task: Task, rank: _Rank) -> None:
        self._waiting[task.task_id] = task, rank
        heapq.heappush(self._classes.setdefault((task.resources, task.env), []), (rank, task.task_id))

    def _head(self, kind: TaskClass) -> tuple[_Rank, str] | None:
        heap = self._classes.get(kind)
        if heap is None:
            return None
        while heap:
            rank, task_id = heap[0]
            waiting = self._waiting.get(task_id)
            if waiting is not None and waiting[1] == rank:
                return heap[0]
            heapq.heappop(heap)
        del self._classes[kind]
        return None
