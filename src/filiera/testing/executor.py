"""What every executor promises, as tests to inherit.

Provide the fixtures ``executor`` (fresh, closed afterwards), ``log_dir`` and ``load`` (from a reference of an output to
its value), and inherit ``ExecutorContract``, or ``IsolatingExecutorContract`` if tasks run in processes of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.task import ExecutorEvent, Failure, Finished, Resources, Started, Task
from filiera.engine.logs import read_log
from filiera.ports import Executor

Load = Callable[[ArtifactRef], Any]
_PATIENCE_S = 60.0


def make_task(task_id: str, function: str, arguments: dict[str, Any] | None = None, **options: Any) -> Task:
    """Return a task for *function* of ``filiera.testing.executor_steps``, or of any module as "module:name"."""
    name = function if ":" in function else f"filiera.testing.executor_steps:{function}"
    return Task(task_id=task_id, function=name, arguments=plain.encode(arguments or {}), **options)


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

    def test_closing_twice_is_harmless(self, executor: Executor) -> None:
        """Closing forgets what waits, may be repeated, and may follow nothing at all."""
        executor.submit(_number(1))
        executor.close()
        executor.close()


class IsolatingExecutorContract(ExecutorContract):
    """For executors that run tasks in processes: nothing a task does to its process reaches another task."""

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
