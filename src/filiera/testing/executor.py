"""What every executor promises, as tests to inherit.

Provide the fixtures ``executor`` (fresh, closed afterwards; it keeps checkpoints, and takes every cache key for free),
``log_dir`` and ``load`` (from a reference of an output to its value), and inherit ``ExecutorContract``, or
``IsolatingExecutorContract`` if tasks run in processes of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.key import KeyParts
from filiera.core.task import Dropped, ExecutorEvent, Failure, Finished, Following, Resources, Started, Task
from filiera.engine.logs import read_log
from filiera.ports import Executor

Load = Callable[[ArtifactRef], Any]
_PATIENCE_S = 60.0


def make_task(task_id: str, function: str, arguments: dict[str, Any] | None = None, **options: Any) -> Task:
    """Return a task for *function* of ``filiera.testing.executor_steps``, or of any module as "module:name"."""
    name = function if ":" in function else f"filiera.testing.executor_steps:{function}"
    return Task(task_id=task_id, function=name, arguments=plain.encode(arguments or {}), **options)


def following(task_id: str, before: str) -> Task:
    """Return a task that adds one to what the task *before* returns."""
    nothing = ArtifactRef(digest="0" * 64, codec="unknown/0", size_bytes=0)
    arguments = {"a": plain.Placeholder(0), "b": 1}
    parts = KeyParts(closure=task_id, arguments={}, inputs=((before, ""),))
    ahead = Following(task_id=before, inputs=((0, 0),), parts=parts)
    return make_task(task_id, "add", arguments, inputs=(nothing,), following=ahead)


def events_of(executor: Executor, *tasks: Task) -> list[ExecutorEvent]:
    """Submit *tasks* and return all events until each of them has ended."""
    for task in tasks:
        executor.submit(task)
    return events_until(executor, {task.task_id for task in tasks})


def events_until(executor: Executor, task_ids: set[str]) -> list[ExecutorEvent]:
    """Return all events until the tasks *task_ids* have ended."""
    events: list[ExecutorEvent] = []
    missing = set(task_ids)
    while missing:
        news = executor.wait(_PATIENCE_S)
        assert news, f"nothing happened for {_PATIENCE_S} s, still waiting for {missing}"
        events.extend(news)
        missing -= {event.task_id for event in news if isinstance(event, Finished)}
    return events


def run(executor: Executor, *tasks: Task) -> list[Finished]:
    """Submit *tasks* and return how they ended, in their order."""
    ends = {event.task_id: event for event in events_of(executor, *tasks) if isinstance(event, Finished)}
    return [ends[task.task_id] for task in tasks]


def failure_of(executor: Executor, task: Task) -> Failure:
    """Return the failure that *task* ends in, having made sure that the executor still works after it."""
    bad, good = run(executor, task, make_task("innocent", "add", {"a": 1, "b": 2}))
    assert good.failure is None
    assert bad.failure is not None
    assert bad.outputs == ()
    return bad.failure


class ExecutorContract:
    """Inherit, provide the fixtures, and your executor is held to the same promises as ours."""

    def test_result_comes_back(self, executor: Executor, load: Load) -> None:
        """The output of a task is what its function returned."""
        (finished,) = run(executor, make_task("1", "add", {"a": 2, "b": 3}))
        assert finished.failure is None
        assert [load(ref) for ref in finished.outputs] == [5]

    def test_outputs_become_inputs(self, executor: Executor, load: Load) -> None:
        """A placeholder anywhere in the arguments stands for the value of that input."""
        (two,), (three,) = (end.outputs for end in run(executor, *(_number(n) for n in (2, 3))))
        parts = {"a": [plain.Placeholder(0), 10], "b": [plain.Placeholder(1), plain.Placeholder(0)]}
        (finished,) = run(executor, make_task("sum", "total", {"parts": parts}, inputs=(two, three)))
        assert load(finished.outputs[0]) == 2 + 10 + 3 + 2

    def test_several_outputs_or_none(self, executor: Executor, load: Load) -> None:
        """A task's result is split into as many artifacts as it declares."""
        pair, nothing = run(executor, make_task("2", "pair", outputs=2), make_task("0", "nothing", outputs=0))
        assert [load(ref) for ref in pair.outputs] == [1, "one"]
        assert (nothing.outputs, nothing.failure) == ((), None)

    def test_verdict_that_blocks_is_told(self, executor: Executor) -> None:
        """A blocking verdict is no failure: the outputs are kept, and its summary comes along."""
        (finished,) = run(executor, make_task("1", "doubt"))
        assert (finished.blocked, len(finished.outputs), finished.failure) == ("too few rows", 1, None)

    def test_raising_fails_the_task_only(self, executor: Executor) -> None:
        """An exception becomes a failure that names it."""
        failure = failure_of(executor, make_task("1", "fail", {"message": "no rows"}, outputs=0))
        assert (failure.kind, failure.error, failure.message) == ("raised", "ValueError", "no rows")

    def test_exit_fails_the_task_only(self, executor: Executor) -> None:
        """``sys.exit`` in a step ends the step."""
        failure = failure_of(executor, make_task("1", "leave", {"code": 3}, outputs=0))
        assert (failure.kind, failure.error) == ("exit", "SystemExit")
        assert "3" in failure.message

    def test_unstorable_output_fails_the_task_only(self, executor: Executor) -> None:
        """An output that no codec takes is a failure of kind "codec"."""
        assert failure_of(executor, make_task("1", "unstorable")).kind == "codec"

    def test_missing_function_fails_the_task_only(self, executor: Executor) -> None:
        """A function that is not where the task says is a failure that names it."""
        assert "no_such_step" in failure_of(executor, make_task("1", "no_such_step")).message

    def test_each_task_starts_once_and_ends_once(self, executor: Executor) -> None:
        """However many tasks wait, each has one Started, then one Finished."""
        tasks = [_number(n) for n in range(20)]
        events = events_of(executor, *tasks)
        for task in tasks:
            assert [type(e) for e in events if e.task_id == task.task_id] == [Started, Finished]

    def test_large_values_pass(self, executor: Executor, load: Load) -> None:
        """Arguments and results may be larger than any pipe or buffer."""
        text = "x" * 3_000_000
        first, second = run(executor, *(make_task(i, "identity", {"value": text}) for i in "ab"))
        assert load(first.outputs[0]) == load(second.outputs[0]) == text

    def test_output_is_kept_in_the_log(self, executor: Executor, log_dir: Path) -> None:
        """What a task prints and logs is found at its span, and nothing of other tasks."""
        for finished, word in zip(run(executor, *(_speaking(w) for w in ("one", "two"))), ("one", "two"), strict=True):
            assert finished.log is not None
            lines = read_log(log_dir, finished.log).decode().splitlines()
            assert sorted(lines) == [f"WARNING contract: {word} by logging", f"{word} on stderr", f"{word} on stdout"]

    def test_surroundings_are_put_back(self, executor: Executor, load: Load, tmp_path: Path) -> None:
        """The current folder and the environment that a task changed are as before for the next one."""
        look = make_task("look", "read_surroundings")
        spoil = make_task("spoil", "spoil_surroundings", {"folder": str(tmp_path)}, outputs=0)
        before, spoilt, after = (run(executor, task)[0] for task in (look, spoil, look))
        assert spoilt.failure is None
        assert load(before.outputs[0]) == load(after.outputs[0])

    def test_waiting_task_can_be_cancelled(self, executor: Executor) -> None:
        """A task that has not started ends as cancelled and never runs; the others do."""
        tasks = [_number(n) for n in range(executor.slots + 1)]
        for task in tasks:
            executor.submit(task)
        executor.cancel([tasks[-1].task_id, "unknown"])
        events = events_until(executor, {task.task_id for task in tasks})
        failures = {e.task_id: e.failure and e.failure.kind for e in events if isinstance(e, Finished)}
        assert failures == {task.task_id: None for task in tasks[:-1]} | {tasks[-1].task_id: "cancelled"}
        assert [e for e in events if e.task_id == tasks[-1].task_id and isinstance(e, Started)] == []

    def test_id_in_use_is_refused(self, executor: Executor) -> None:
        """A task id may be used again only when its task has ended."""
        executor.submit(_number(1))
        with pytest.raises(ValueError, match="twice"):
            executor.submit(_number(1))

    def test_waiting_for_nothing_returns(self, executor: Executor) -> None:
        """Without tasks, waiting ends at its timeout, and at once when there is none."""
        assert [list(executor.wait(timeout_s)) for timeout_s in (0.0, 0.01, None)] == [[], [], []]

    def test_failure_tells_its_classes(self, executor: Executor) -> None:
        """The classes that an exception belongs to are told by name, so that a driver knows what not to retry."""
        failure = failure_of(executor, make_task("1", "give_up", outputs=0))
        classes = ("filiera.testing.executor_steps:Hopeless", "filiera.errors:NotRetryable", "builtins:Exception")
        assert [name for name in failure.bases if name in classes] == list(classes)

    def test_higher_priority_starts_first(self, executor: Executor) -> None:
        """Of the tasks that wait for a place, those of higher priority start first there, equal ones as submitted."""
        first = [replace(_number(n), priority=9) for n in range(executor.slots)]
        rest = [replace(_number(100 + n), priority=n % 2) for n in range(6)]
        order = [task.task_id for task in first] + [f"number {100 + n}" for n in (1, 3, 5, 0, 2, 4)]
        by_place: dict[int, list[int]] = {}
        for event in events_of(executor, *first, *rest):
            if isinstance(event, Started):
                by_place.setdefault(event.pid, []).append(order.index(event.task_id))
        assert by_place == {pid: sorted(places) for pid, places in by_place.items()}

    def test_items_of_a_generator_are_a_list(self, executor: Executor, load: Load) -> None:
        """What a task yields is stored as a list; what it raises after some items is its failure."""
        good, bad = run(executor, *(make_task(name, "count", {"to": 3, "then_fail": name == "b"}) for name in "ab"))
        assert load(good.outputs[0]) == [0, 1, 2]
        assert bad.failure is not None
        assert (bad.failure.kind, bad.failure.error) == ("raised", "ValueError")

    def test_checkpoint_is_found_by_the_next_attempt(self, executor: Executor, load: Load) -> None:
        """What a failed attempt saved is loaded by the next one with that key; success removes it."""
        tasks = [make_task(f"attempt {n}", "climb", {"to": 3}, key="a" * 64) for n in range(4)]
        ends = [run(executor, task)[0] for task in tasks]
        assert [end.failure is None for end in ends] == [False, False, True, False]
        assert load(ends[2].outputs[0]) == 3
        (other,) = run(executor, make_task("other", "climb", {"to": 1}, key="b" * 64))
        assert other.failure is None

    def test_follower_gets_what_was_returned(self, executor: Executor, load: Load) -> None:
        """A task that follows another runs with what that returned, and may itself be followed; or it is dropped."""
        first = make_task("0", "add", {"a": 1, "b": 1})
        followers = [following(str(n), str(n - 1)) for n in range(1, 6)]
        ends = _ends(executor, first, *followers)
        values = {event.task_id: load(event.outputs[0]) for event in ends if isinstance(event, Finished)}
        assert values == {str(n): n + 2 for n in range(len(values))}
        assert {event.task_id for event in ends if isinstance(event, Dropped)} == {
            str(n) for n in range(len(values), 6)
        }

    def test_follower_of_none_that_succeeds_is_dropped(self, executor: Executor) -> None:
        """What follows a task that fails, blocks, or that nobody knows, is not run; nor what follows that."""
        tasks = [make_task("fails", "fail", {"message": "no"}, outputs=0), make_task("blocks", "doubt")]
        for before in ("fails", "blocks", "unknown"):
            tasks += [following(f"after {before}", before), following(f"behind {before}", f"after {before}")]
        dropped = {event.task_id for event in _ends(executor, *tasks) if isinstance(event, Dropped)}
        assert dropped == {task.task_id for task in tasks[2:]}

    def test_closing_twice_is_harmless(self, executor: Executor) -> None:
        """Closing forgets what waits, may be repeated, and may follow nothing at all."""
        executor.submit(_number(1))
        executor.close()
        executor.close()


class IsolatingExecutorContract(ExecutorContract):
    """For executors that run tasks in processes: nothing a task does to its process reaches another task."""

    def test_crash_takes_no_other_task_along(self, executor: Executor, load: Load) -> None:
        """However many short tasks are on their way when one ends its process, each of the others has its result."""
        tasks = [make_task(f"{n}", "end_if", {"value": n, "end": 60}) for n in range(120)]
        events = events_of(executor, *tasks)
        ends = {event.task_id: event for event in events if isinstance(event, Finished)}
        assert len(ends) == len([event for event in events if isinstance(event, Finished)])
        assert [task_id for task_id, end in ends.items() if end.failure] == ["60"]
        assert all(load(end.outputs[0]) == int(task_id) for task_id, end in ends.items() if not end.failure)
        for task in tasks:
            assert [type(event) for event in events if event.task_id == task.task_id] == [Started, Finished]

    def test_task_that_never_gets_a_place_fails(self, executor: Executor) -> None:
        """A task that has waited for as long as it may ends, though nothing else happens."""
        holding = [make_task(f"{n}", "hang") for n in range(executor.slots)]
        for task in holding:
            executor.submit(task)
        late = make_task("late", "add", {"a": 1, "b": 1}, queue_timeout_s=0.05)
        events = events_of(executor, late)
        (end,) = (event for event in events if event.task_id == "late")
        assert isinstance(end, Finished)
        assert end.failure is not None
        assert end.failure.kind == "queue"
        executor.cancel([task.task_id for task in holding])
        events_until(executor, {task.task_id for task in holding})

    @pytest.mark.parametrize("greedy", [Resources(cpu=999), Resources(memory_mib=10**9), Resources(gpu=99)], ids=str)
    def test_task_too_large_for_the_machine_fails(self, executor: Executor, greedy: Resources) -> None:
        """More than there is is never promised: such a task fails at once, for good, and says what it asked for."""
        failure = failure_of(executor, make_task("1", "add", {"a": 1, "b": 1}, resources=greedy))
        assert "asks for" in failure.message
        assert "filiera.errors:NotRetryable" in failure.bases

    def test_waiting_follower_can_be_cancelled(self, executor: Executor) -> None:
        """A follower is cancelled without the task before it, and what follows it is dropped."""
        first = make_task("first", "hang", timeout_s=30)
        for task in (first, following("second", "first"), following("third", "second")):
            executor.submit(task)
        executor.cancel(["second"])
        ends = _ends(executor, events=2)
        assert {event.task_id for event in ends} == {"second", "third"}
        assert {event.task_id for event in ends if isinstance(event, Dropped)} in ({"third"}, {"second", "third"})
        executor.cancel(["first"])
        events_until(executor, {"first"})

    def test_crash_is_a_failure(self, executor: Executor) -> None:
        """A segmentation fault fails its task and names the signal."""
        failure = failure_of(executor, make_task("1", "crash"))
        assert (failure.kind, failure.error) == ("crashed", "SIGSEGV")

    def test_ended_process_is_a_failure(self, executor: Executor) -> None:
        """``os._exit`` fails its task and tells the exit code."""
        failure = failure_of(executor, make_task("1", "end_process", {"code": 3}))
        assert (failure.kind, failure.error) == ("exit", "exit code 3")

    def test_timeout_ends_a_hanging_task(self, executor: Executor) -> None:
        """A task that takes longer than it may is killed."""
        assert failure_of(executor, make_task("1", "hang", timeout_s=0.05)).kind == "timeout"

    def test_memory_limit_ends_a_task(self, executor: Executor) -> None:
        """A task that takes more memory than it may is killed."""
        limit = Resources(memory_mib=100)
        failure = failure_of(executor, make_task("1", "take_memory", {"size_mib": 150}, resources=limit))
        assert failure.kind == "memory"
        assert "100 MiB" in failure.message

    def test_running_task_can_be_cancelled(self, executor: Executor) -> None:
        """A task that runs is killed and ends as cancelled."""
        executor.submit(make_task("1", "hang"))
        events: list[ExecutorEvent] = []
        while not events:
            events.extend(executor.wait(_PATIENCE_S))
        executor.cancel(["1"])
        (end,) = (e for e in events_until(executor, {"1"}) if isinstance(e, Finished))
        assert end.failure is not None
        assert end.failure.kind == "cancelled"


def _number(n: int) -> Task:
    return make_task(f"number {n}", "identity", {"value": n})


def _speaking(word: str) -> Task:
    return make_task(word, "speak", {"word": word}, outputs=0)


def _ends(executor: Executor, *tasks: Task, events: int = 0) -> list[ExecutorEvent]:
    """Submit *tasks* and return how each ended, or the first ends of so many *events*: finished or dropped."""
    for task in tasks:
        executor.submit(task)
    ends: list[ExecutorEvent] = []
    while len(ends) < (events or len(tasks)):
        news = executor.wait(_PATIENCE_S)
        assert news, f"nothing happened for {_PATIENCE_S} s after {ends}"
        ends += [event for event in news if not isinstance(event, Started)]
    return ends
