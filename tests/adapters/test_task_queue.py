from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from filiera.adapters._task_queue import TaskQueue
from filiera.core.task import Resources, Task

SIZES = (Resources(), Resources(cpu=2), Resources(memory_mib=5))


class Queue(RuleBasedStateMachine):
    """A queue knows what a sorted list would."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = TaskQueue()
        self.waiting: list[tuple[int, int, Task]] = []
        self.taken: list[tuple[int, int, Task]] = []
        self.count = 0

    @rule(priority=st.integers(-1, 1), size=st.sampled_from(SIZES), env=st.sampled_from(["", "e"]))
    def add(self, priority: int, size: Resources, env: str) -> None:
        self.count += 1
        task = Task(task_id=f"{self.count}", function="m:f", arguments=b"", priority=priority, resources=size, env=env)
        self.queue.add(task)
        self.waiting.append((-priority, self.count, task))
        self.waiting.sort(key=lambda entry: entry[:2])

    @precondition(lambda self: self.waiting)
    @rule(place=st.integers(0, 50), returns=st.booleans())
    def take(self, place: int, returns: bool) -> None:
        entry = self.waiting.pop(place % len(self.waiting))
        self.queue.take(entry[2])
        if returns:
            self.taken.append(entry)
        else:
            self.queue.has_left(entry[2].task_id)

    @precondition(lambda self: self.taken)
    @rule()
    def come_back(self) -> None:
        entry = self.taken.pop(0)
        self.queue.come_back(entry[2])
        self.waiting.append(entry)
        self.waiting.sort(key=lambda entry: entry[:2])

    @precondition(lambda self: self.waiting)
    @rule()
    def remove(self) -> None:
        entry = self.waiting.pop()
        assert self.queue.remove(entry[2].task_id) is entry[2]

    @invariant()
    def the_first_that_fits_is_found(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert {task.task_id for task in self.queue} == {task.task_id for _, _, task in self.waiting}
        for fitting in (SIZES, SIZES[1:], ()):
            expected = next((task for _, _, task in self.waiting if task.resources in fitting), None)
            assert self.queue.first(lambda size, fitting=fitting: size in fitting) is expected  # type: ignore[misc]
        for size in SIZES:
            of_class = [task for _, _, task in self.waiting if (task.resources, task.env) == (size, "e")]
            assert self.queue.first_of((size, "e")) is (of_class[0] if of_class else None)


TestQueue = Queue.TestCase
