from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filiera.adapters._capacity import machine
from filiera.adapters.processes import ProcessExecutor
from filiera.core import plain
from filiera.core.task import Dropped, ExecutorEvent, Finished, Resources, Started, Task
from filiera.engine.logs import read_log
from filiera.errors import ProjectError
from filiera.testing.executor import (
    IsolatingExecutorContract,
    Load,
    events_of,
    events_until,
    failure_of,
    following,
    make_task,
    run,
)
from tests.adapters.worker_main import CHECKPOINTS, main
from tests.engine.plain_artifacts import PlainArtifacts

ROOT = Path(__file__).parents[2]
STEPS = "tests.adapters.process_steps"
COMMAND = [sys.executable, "-m", "tests.adapters.worker_main"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def make_executor(log_dir: Path, *, workers: int = 2, fork_main: Callable[[], None] | None = main) -> ProcessExecutor:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), CHECKPOINTS: str(log_dir.parent / "checkpoints")}
    return ProcessExecutor(
        command_for=always(COMMAND), workers=workers, log_dir=log_dir, environment=environment, fork_main=fork_main
    )


def always(command: list[str]) -> Callable[[str], list[str]]:
    """Return what gives the same command for every environment."""
    return lambda env: command


def bad_task(function: str, arguments: dict[str, object] | None = None, *, name: str = "bad", outputs: int = 1) -> Task:
    return make_task(name, f"tests.adapters.process_steps:{function}", arguments, outputs=outputs)


def value_of(executor: ProcessExecutor, function: str, arguments: dict[str, object] | None = None) -> object:
    (finished,) = run(executor, bad_task(function, arguments, name=function))
    assert finished.failure is None, finished.failure
    return PlainArtifacts().get(finished.outputs[0])


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def executor(log_dir: Path) -> Iterator[ProcessExecutor]:
    with closing(make_executor(log_dir)) as executor:
        yield executor


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return str(path)


class TestForkedWorkers(IsolatingExecutorContract):
    """Forked while the tests have one thread only; else the same as below."""

    @pytest.fixture
    def load(self) -> Load:
        return PlainArtifacts().get


class TestSpawnedWorkers(IsolatingExecutorContract):
    @pytest.fixture
    def executor(self, log_dir: Path) -> Iterator[ProcessExecutor]:
        with closing(make_executor(log_dir, fork_main=None)) as executor:
            yield executor

    @pytest.fixture
    def load(self) -> Load:
        return PlainArtifacts().get


class TestOneBadTask:
    """What a step can do to its process, and that nobody else is touched."""

    def test_exception_nobody_can_rebuild(self, executor: ProcessExecutor) -> None:
        """An exception travels as words, so its class may be as odd as it likes."""
        failure = failure_of(executor, bad_task("raise_odd"))
        assert (failure.kind, failure.error) == ("raised", "Odd")
        assert "RuntimeError" in failure.message
        assert "in raise_odd" in failure.traceback

    def test_keyboard_interrupt_is_an_exception_like_others(self, executor: ProcessExecutor) -> None:
        """Ctrl-C is for the driver; a step that raises KeyboardInterrupt itself has failed."""
        failure = failure_of(executor, bad_task("interrupt"))
        assert (failure.kind, failure.error) == ("raised", "KeyboardInterrupt")

    @pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM", "SIGABRT", "SIGUSR1"])
    def test_killed_by_a_signal(self, executor: ProcessExecutor, name: str) -> None:
        """The failure names the signal; for SIGKILL it says what the reason often is."""
        failure = failure_of(executor, bad_task("signal_myself", {"number": int(signal.Signals[name])}))
        assert (failure.kind, failure.error) == ("crashed", name)
        assert ("out of memory" in failure.message) == (name == "SIGKILL")

    def test_crash_leaves_its_stack_in_the_log(self, executor: ProcessExecutor, log_dir: Path) -> None:
        """The span of a crashed task has what it printed and the Python lines it was in."""
        (finished,) = run(executor, bad_task("signal_myself", {"number": int(signal.SIGSEGV)}))
        assert finished.log is not None
        log = read_log(log_dir, finished.log).decode()
        assert "about to be killed" in log
        assert "in signal_myself" in log
        (after,) = run(executor, bad_task("say", {"text": "I am next"}, outputs=0))
        assert after.log is not None
        assert read_log(log_dir, after.log) == b"I am next\n"

    def test_standard_files_closed(self, executor: ProcessExecutor, log_dir: Path) -> None:
        """A step may close descriptors 0 to 2: the next one has them again."""
        assert value_of(executor, "close_files", {"first": 0, "last": 3}) == "done"
        (after,) = run(executor, bad_task("say", {"text": "still heard"}, outputs=0))
        assert after.log is not None
        assert read_log(log_dir, after.log) == b"still heard\n"

    def test_streams_closed(self, executor: ProcessExecutor, log_dir: Path) -> None:
        """A step may close ``sys.stdout``: the next one has it again."""
        assert value_of(executor, "close_streams") == 1
        (after,) = run(executor, bad_task("say", {"text": "still heard"}, outputs=0))
        assert after.log is not None
        assert read_log(log_dir, after.log) == b"still heard\n"

    def test_all_files_closed(self, executor: ProcessExecutor) -> None:
        """A step that closes what is not its own fails, and is told so."""
        failure = failure_of(executor, bad_task("close_files", {"first": 3, "last": 100}))
        assert (failure.kind, failure.error) == ("crashed", "LinkLost")

    def test_garbage_and_huge_output(self, executor: ProcessExecutor, log_dir: Path) -> None:
        """Any bytes, any amount: output is only output."""
        (finished,) = run(executor, bad_task("write_garbage", {"size": 500_000}))
        assert finished.failure is None
        assert finished.log is not None
        assert len(read_log(log_dir, finished.log)) > 2_000_000
        failure_of(executor, bad_task("raise_odd"))

    def test_thread_left_behind(self, executor: ProcessExecutor) -> None:
        """A worker with a thread that outlived its step is replaced."""
        left = value_of(executor, "leave_thread")
        assert value_of(executor, "pid") != left

    def test_process_left_behind(self, executor: ProcessExecutor, fifo: str) -> None:
        """A process that outlived its step is killed, with the worker that it belonged to."""
        with _reader(fifo) as held:
            left = value_of(executor, "leave_process", {"fifo": fifo})
            assert held.read() == b"."  # and end of file, which comes when the last holder is gone
            assert value_of(executor, "pid") != left

    def test_fork_that_returns_too(self, executor: ProcessExecutor) -> None:
        """When a step forks and both processes return, one result counts."""
        assert value_of(executor, "return_twice") != 0
        assert value_of(executor, "pid") != 0

    def test_death_is_noticed_though_a_fork_lives_on(self, executor: ProcessExecutor, fifo: str) -> None:
        """A child process that shares the worker's descriptors does not hide the worker's death."""
        failure = failure_of(executor, bad_task("leave_fork", {"fifo": fifo}))
        assert failure.error == "SIGKILL"

    def test_forgotten_alarm(self, executor: ProcessExecutor) -> None:
        """An alarm set by one step does not go off in the next."""
        first = value_of(executor, "set_alarm")
        assert value_of(executor, "await_alarm") is False
        assert value_of(executor, "pid") == first

    def test_forgotten_signal_handler(self, log_dir: Path) -> None:
        """What a step does to signals is undone for the next."""
        with closing(make_executor(log_dir, workers=1)) as executor:
            run(executor, bad_task("ignore_children", outputs=0))
            assert value_of(executor, "exit_code_of_child") == 7


class TestLimits:
    def test_cpu_slots_are_kept(self, executor: ProcessExecutor, fifo: str) -> None:
        """A task that wants all slots waits for the others, while a small one passes it."""
        executor.submit(bad_task("wait_for", {"fifo": fifo}, name="holds one slot"))
        executor.submit(make_task("wants two", "add", {"a": 1, "b": 1}, resources=Resources(cpu=2)))
        events = events_of(executor, make_task("wants one", "add", {"a": 1, "b": 1}))
        assert "wants two" not in {event.task_id for event in events}
        Path(fifo).write_text("go on")
        events += events_until(executor, {"holds one slot", "wants two"})
        kinds = [(type(event), event.task_id) for event in events]
        assert kinds.index((Started, "wants two")) > kinds.index((Finished, "holds one slot"))

    @pytest.mark.parametrize("fork_main", [main, None])
    def test_libraries_get_as_many_threads_as_a_task_asks_for(
        self, log_dir: Path, fork_main: Callable[[], None] | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Libraries count their threads once, so that a task of another size gets another process."""
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        with closing(make_executor(log_dir, fork_main=fork_main)) as executor:
            for cpu in (1, 2, 1):
                wanted = Resources(cpu=cpu)
                task = make_task("t", f"{STEPS}:variable", {"name": "OMP_NUM_THREADS"}, resources=wanted)
                (finished,) = run(executor, task)
                assert PlainArtifacts().get(finished.outputs[0]) == str(cpu)
            assert value_of(executor, "variable", {"name": "OMP_WAIT_POLICY"}) == "PASSIVE"

    def test_threads_that_somebody_has_set_stay(self, log_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the environment says wins."""
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
        with closing(make_executor(log_dir)) as executor:
            assert value_of(executor, "variable", {"name": "OMP_NUM_THREADS"}) == "3"
            assert value_of(executor, "variable", {"name": "OMP_WAIT_POLICY"}) == "ACTIVE"

    def test_time_of_starting_does_not_count(self, log_dir: Path, fifo: str) -> None:
        """A task's clock starts when its worker is up, not while an interpreter starts and imports."""
        program = f"open({fifo!r}).read(); from tests.adapters.worker_main import main; main()"
        executor = ProcessExecutor(
            command_for=always([sys.executable, "-c", program]),
            workers=1,
            log_dir=log_dir,
            environment={"PYTHONPATH": str(ROOT)},
        )
        with closing(executor):
            executor.submit(make_task("1", "add", {"a": 1, "b": 2}, timeout_s=0.5))
            assert [type(event) for event in executor.wait(None)] == [Started]
            assert list(executor.wait(0.6)) == []
            Path(fifo).write_text("go on")
            (finished,) = events_until(executor, {"1"})
            assert isinstance(finished, Finished)
            assert finished.failure is None

    @pytest.mark.parametrize("timeout_s", [None, 30.0])
    def test_time_of_starting_is_limited(self, log_dir: Path, fifo: str, timeout_s: float | None) -> None:
        """A worker program that hangs before it is ready is killed with all that it started, and its task is told."""
        program = f"import os, signal; print('hanging', flush=True); f = open({fifo!r}, 'w'); os.fork(); signal.pause()"
        command = [sys.executable, "-c", program]
        with closing(
            ProcessExecutor(command_for=always(command), workers=1, log_dir=log_dir, start_timeout_s=0.05)
        ) as executor:
            executor.submit(make_task("1", "nothing", timeout_s=timeout_s))
            with Path(fifo).open("rb") as held:
                (finished,) = (event for event in events_until(executor, {"1"}) if isinstance(event, Finished))
                assert held.read() == b""  # end of file: nobody holds it any more
        assert finished.failure is not None
        assert (finished.failure.kind, finished.failure.error) == ("crashed", "StartTimeout")
        assert "not ready within 0.05 s" in finished.failure.message
        assert finished.log is not None
        assert read_log(log_dir, finished.log) == b"hanging\n"

    def test_time_of_starting_is_limited_until_the_worker_is_ready(self, executor: ProcessExecutor, fifo: str) -> None:
        """After that nothing limits a task that has no timeout."""
        executor.submit(bad_task("wait_for", {"fifo": fifo}))
        with Path(fifo).open("w") as held:  # opens when the step reads from it
            executor.wait(None)
            executor.wait(0)
            assert executor._next_limit() == math.inf
            held.write("go on")
        events_until(executor, {"bad"})


class TestTasksAhead:
    """Short tasks are given to workers before their turn; nobody notices, except that it is faster."""

    @pytest.fixture
    def lone(self, log_dir: Path) -> Iterator[ProcessExecutor]:
        """Return an executor with one worker, which knows that ``wait_if`` is short."""
        with closing(make_executor(log_dir, workers=1)) as executor:
            _warm_up(executor)
            yield executor

    def test_none_waits_behind_a_long_one(self, executor: ProcessExecutor, fifo: str) -> None:
        """When a task turns out to be long, another worker runs those that were to follow it."""
        _warm_up(executor)
        long = bad_task("wait_if", {"fifo": fifo}, name="long")
        short = [bad_task("wait_if", {"fifo": ""}, name=f"{n}") for n in range(200)]
        tasks = [*short[:50], long, *short[50:]]
        for task in tasks:
            executor.submit(task)
        events = events_until(executor, {task.task_id for task in short})
        assert not [event for event in events if isinstance(event, Finished) and event.task_id == "long"]
        Path(fifo).write_text("go on")
        events += events_until(executor, {"long"})
        for task in tasks:
            assert [type(event) for event in events if event.task_id == task.task_id] == [Started, Finished]

    def test_one_that_waits_in_the_pipe_can_be_cancelled(self, lone: ProcessExecutor, fifo: str) -> None:
        """Cancelling a task behind a running one leaves that and the others alone."""
        lone.submit(bad_task("wait_if", {"fifo": fifo}, name="first"))
        _stop_time(lone)
        for name in "abc":
            lone.submit(bad_task("wait_if", {"fifo": ""}, name=name))
        assert {"a", "b", "c"} <= lone._given._places.keys()
        lone.cancel(["b"])
        Path(fifo).write_text("go on")
        events = events_until(lone, {"first", "a", "b", "c"})
        assert _outcomes(events) == {"first": None, "a": None, "b": "cancelled", "c": None}
        assert [event.task_id for event in events if isinstance(event, Started)] == ["first", "a", "c"]

    def test_cancelling_all_kills_one(self, lone: ProcessExecutor, fifo: str) -> None:
        """When everything is cancelled, only what runs is killed, and each task is told once."""
        names = ["first", "a", "b", "c"]
        for name in names:
            lone.submit(bad_task("wait_if", {"fifo": fifo if name == "first" else ""}, name=name))
        with Path(fifo).open("w"):  # opens when the step reads from it
            lone.cancel(names)
            events = events_until(lone, set(names))
        assert _outcomes(events) == dict.fromkeys(names, "cancelled")
        messages = {e.task_id: e.failure.message for e in events if isinstance(e, Finished) and e.failure}
        assert [name for name in names if messages[name] == "cancelled while it ran"] == ["first"]

    @pytest.mark.parametrize("end", ["signal_myself", "leave_thread", "close_files"])
    def test_a_worker_that_goes_leaves_them_to_another(self, lone: ProcessExecutor, end: str) -> None:
        """Whether the process of the task before them died or is spent: they run elsewhere, and are told once."""
        arguments: dict[str, dict[str, object]]
        arguments = {"signal_myself": {"number": 9}, "leave_thread": {}, "close_files": {"first": 3, "last": 100}}
        values = [value_of(lone, "wait_if", {"fifo": ""})]
        tasks = [bad_task("wait_if", {"fifo": ""}, name=f"{n}") for n in range(9)]
        tasks.insert(4, bad_task(end, arguments[end], name="end"))
        # As if it were known to be short: it is given ahead, and others behind it.
        lone._given.pace.note(f"tests.adapters.process_steps:{end}", 0.0001)
        events = events_of(lone, *tasks)
        for task in tasks:
            assert [type(event) for event in events if event.task_id == task.task_id] == [Started, Finished]
        ends = {event.task_id: event for event in events if isinstance(event, Finished)}
        assert [name for name, event in ends.items() if event.failure] == ([] if end == "leave_thread" else ["end"])
        values += [PlainArtifacts().get(ends[f"{n}"].outputs[0]) for n in range(9)]
        assert values[0] != values[-1]

    def test_their_time_counts_from_their_turn(self, lone: ProcessExecutor, fifo: str) -> None:
        """A task's timeout does not run while the task before it does."""
        first = bad_task("wait_if", {"fifo": fifo}, name="first")
        second = replace(bad_task("wait_if", {"fifo": ""}, name="second"), timeout_s=30.0)
        lone.submit(first)
        _stop_time(lone)
        lone.submit(second)
        (worker,) = lone._given.busy
        assert len(worker.tasks) == 2
        assert worker.deadline is None
        Path(fifo).write_text("go on")
        assert _outcomes(events_until(lone, {"first", "second"})) == {"first": None, "second": None}

    def test_one_that_hangs_among_them_is_killed_alone(self, lone: ProcessExecutor, fifo: str) -> None:
        """A timeout ends the task it is meant for, and none behind it."""
        tasks = [bad_task("wait_if", {"fifo": ""}, name=f"{n}") for n in range(6)]
        tasks.insert(3, replace(bad_task("wait_if", {"fifo": fifo}, name="hangs"), timeout_s=0.1))
        outcomes = _outcomes(events_of(lone, *tasks))
        assert outcomes == dict.fromkeys(map(str, range(6))) | {"hangs": "timeout"}

    def test_their_output_is_their_own(self, lone: ProcessExecutor, log_dir: Path) -> None:
        """What tasks print that follow each other without the driver is found at their spans."""
        tasks = [bad_task("say", {"text": f"I am {n}"}, name=f"{n}", outputs=0) for n in range(30)]
        for n, finished in enumerate(run(lone, *tasks)):
            assert finished.log is not None
            assert read_log(log_dir, finished.log) == f"I am {n}\n".encode()

    def test_long_messages_travel_alone(self, lone: ProcessExecutor) -> None:
        """Arguments that fill more than a packet come in one piece, among many that do not."""
        tasks = [make_task(f"{n}", "identity", {"value": f"{n}" * (9000 if n % 7 == 3 else 3)}) for n in range(60)]
        values = [PlainArtifacts().get(finished.outputs[0]) for finished in run(lone, *tasks)]
        assert values == [f"{n}" * (9000 if n % 7 == 3 else 3) for n in range(60)]

    def test_more_than_a_pipe_holds(self, log_dir: Path) -> None:
        """Followers without number can be given to one worker, which still gets them all in order."""
        with closing(make_executor(log_dir, workers=1)) as executor:
            tasks = [make_task("0", "add", {"a": 0, "b": 0}), *(following(f"{n}", f"{n - 1}") for n in range(1, 700))]
            ends = run(executor, *tasks)
            assert [PlainArtifacts().get(end.outputs[0]) for end in ends] == list(range(700))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(["add", "add", "add", "crash", "spend", "fail", "follow", "hang"]), max_size=60),
    cancelled=st.sets(st.integers(0, 59), max_size=5),
)
def test_whatever_happens_each_task_is_told_once(log_dir: Path, kinds: list[str], cancelled: set[int]) -> None:
    """Crashes, spent workers, timeouts, followers and cancelling in any mix: each task ends once, as it should."""
    tasks = [_some_task(number, kind) for number, kind in enumerate(kinds)]
    with closing(make_executor(log_dir)) as executor:
        executor._given.pace.note("filiera.testing.executor_steps:add", 0.0001)
        for task in tasks:
            executor.submit(task)
        executor.cancel([tasks[n].task_id for n in cancelled if n < len(tasks)])
        events: list[ExecutorEvent] = []
        while sum(not isinstance(event, Started) for event in events) < len(tasks):
            news = executor.wait(30.0)
            assert news
            events += news
        assert list(executor.wait(0.0)) == []
    expected = {"add": None, "crash": "crashed", "spend": None, "fail": "raised", "follow": None, "hang": "timeout"}
    for task, kind, number in zip(tasks, kinds, range(60), strict=False):
        mine = [event for event in events if event.task_id == task.task_id]
        assert [type(event) for event in mine] in ([Started, Finished], [Finished], [Dropped])
        end = mine[-1]
        if not isinstance(end, Finished):
            assert kind == "follow"
            continue
        failure = end.failure
        assert (failure and failure.kind) in (expected[kind], "cancelled" if number in cancelled else expected[kind])
        if failure is None and kind in ("add", "follow"):
            assert PlainArtifacts().get(end.outputs[0]) == number + 1


def _some_task(number: int, kind: str) -> Task:
    name = f"{number}"
    if kind == "follow":
        return following(name, f"{number - 1}")
    if kind == "spend":
        return bad_task("leave_thread", name=name)
    if kind == "hang":
        return make_task(name, "hang", timeout_s=0.05)
    arguments: dict[str, dict[str, object]] = {"add": {"a": number, "b": 1}, "fail": {"message": "no"}}
    return make_task(name, kind, arguments.get(kind))


def _warm_up(executor: ProcessExecutor) -> None:
    """Let the executor know that ``wait_if`` is short, and its workers be there."""
    run(executor, *(bad_task("wait_if", {"fifo": ""}, name=f"warm {n}") for n in range(10)))
    for _ in range(30):  # however busy this machine is
        executor._given.pace.note("tests.adapters.process_steps:wait_if", 0.0001)


def _stop_time(executor: ProcessExecutor) -> None:
    """Let no time pass for what runs, however long the test takes to come to its next line."""
    for worker in executor._given.busy:
        worker.head_since = math.inf


def _outcomes(events: Sequence[ExecutorEvent]) -> dict[str, str | None]:
    return {e.task_id: e.failure.kind if e.failure else None for e in events if isinstance(e, Finished)}


class TestPlaces:
    """Where a task runs."""

    def test_environments_have_workers_of_their_own(self, log_dir: Path) -> None:
        """A task runs in its environment; when all places are taken, an idle worker of another one makes room."""

        def command_for(env: str) -> list[str]:
            return ["env", f"FILIERA_TEST_ENV={env}", *COMMAND] if env else COMMAND

        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        executor = ProcessExecutor(command_for=command_for, workers=1, log_dir=log_dir, environment=environment)
        with closing(executor):
            look = bad_task("read_variable", {"name": "FILIERA_TEST_ENV"})
            tasks = [replace(look, task_id=f"{n}", env=env) for n, env in enumerate(["", "one", "two", "one", ""])]
            found = [PlainArtifacts().get(run(executor, task)[0].outputs[0]) for task in tasks]
        assert found == [None, "one", "two", "one", None]

    def test_environment_that_cannot_be_made(self, log_dir: Path) -> None:
        """What is wrong with an environment is the failure of its tasks only."""

        def command_for(env: str) -> list[str]:
            if env:
                raise ProjectError("No such distribution.", do="Correct requirements.txt.")
            return COMMAND

        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        executor = ProcessExecutor(command_for=command_for, workers=1, log_dir=log_dir, environment=environment)
        with closing(executor):
            failure = failure_of(executor, make_task("1", "nothing", env="broken"))
        assert (failure.kind, failure.error) == ("crashed", "ProjectError")
        assert "Correct requirements.txt" in failure.message

    def test_gpus_are_given_to_one_task_each(self, log_dir: Path, fifo: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Tasks that ask for GPUs see those they got, which no other has; tasks that ask for none see none."""
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7,9")
        with closing(make_executor(log_dir, workers=4)) as executor:
            look = bad_task("read_variable", {"name": "CUDA_VISIBLE_DEVICES"})
            seen = [
                PlainArtifacts().get(
                    run(executor, replace(look, task_id=f"{n}", resources=Resources(gpu=n)))[0].outputs[0]
                )
                for n in (0, 1, 2, 0, 1)
            ]
            assert [len(found.split(",")) if found else 0 for found in seen] == [0, 1, 2, 0, 1]
            assert set(",".join(seen[1:3]).split(",")) <= {"5", "7", "9"}
            holding = replace(bad_task("wait_for", {"fifo": fifo}, name="holds"), resources=Resources(gpu=2))
            executor.submit(holding)
            rest = replace(look, task_id="rest", resources=Resources(gpu=1))
            late = replace(look, task_id="late", resources=Resources(gpu=2))
            executor.submit(late)
            events = events_of(executor, rest)
            assert "late" not in {event.task_id for event in events}
            Path(fifo).write_text("go on")
            events_until(executor, {"holds", "late"})

    def test_without_gpus_nothing_is_hidden(self, log_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a machine without GPUs the variable that limits them is left alone."""
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if machine(1).gpu:
            pytest.skip("this machine has GPUs")
        with closing(make_executor(log_dir, workers=1)) as executor:
            assert value_of(executor, "read_variable", {"name": "CUDA_VISIBLE_DEVICES"}) is None

    def test_consumer_goes_where_its_input_is_warm(self, executor: ProcessExecutor) -> None:
        """Of several idle workers, the one that made or read the largest part of the inputs gets the task."""
        made = run(executor, *(bad_task("grow", {"value": name}, name=name, outputs=2) for name in "ab"))
        makers = [PlainArtifacts().get(end.outputs[0]) for end in made]
        assert len(set(makers)) == 2
        for _ in range(3):
            for end, maker in zip(made, makers, strict=True):
                task = make_task(
                    "next",
                    "tests.adapters.process_steps:who_has",
                    {"value": plain.Placeholder(0)},
                    inputs=end.outputs[1:],
                )
                assert PlainArtifacts().get(run(executor, task)[0].outputs[0]) == maker

    def test_consumer_waits_a_moment_for_a_warm_worker(self, executor: ProcessExecutor, fifo: str) -> None:
        """A task with a large input is given ahead to the worker that has it, and taken back when that is held up."""
        _warm_up(executor)
        ((_, large),) = (end.outputs for end in run(executor, bad_task("grow", {"value": "a"}, outputs=2)))
        (maker,) = (worker for worker in executor._pool.idle if worker.warm_bytes([large]))
        executor._pool.idle.sort(key=lambda worker: worker is maker)
        large = replace(
            large, size_bytes=10**9, inline=None
        )  # as large ones are; where it is read does not matter here
        maker.note_warm([large])
        executor.submit(bad_task("wait_if", {"fifo": fifo}, name="holds"))
        _stop_time(executor)
        executor.submit(
            make_task(
                "uses",
                "tests.adapters.process_steps:who_has",
                {"value": plain.Placeholder(0)},
                inputs=(large,),
            )
        )
        assert [task.task_id for task in maker.tasks] == ["holds", "uses"]
        maker.head_since = 0.0
        events = events_until(executor, {"uses"})
        places = {event.task_id: event.pid for event in events if isinstance(event, Started)}
        assert places["uses"] != maker.pid
        Path(fifo).write_text("go on")
        events_until(executor, {"holds"})


class TestWorkers:
    def test_are_started_when_needed_and_used_again(self, executor: ProcessExecutor) -> None:
        """Tasks one after the other run in one process."""
        assert len({value_of(executor, "pid") for _ in range(5)}) == 1

    def test_get_the_environment_they_are_to_have(self, log_dir: Path) -> None:
        """The environment given is the workers' only one, forked or not."""
        environment = {"PYTHONPATH": str(ROOT), "FILIERA_TEST": "yes"}
        for fork_main in (main, None):
            executor = ProcessExecutor(
                command_for=always(COMMAND), workers=1, log_dir=log_dir, environment=environment, fork_main=fork_main
            )
            with closing(executor):
                assert value_of(executor, "read_variable", {"name": "FILIERA_TEST"}) == "yes"
                assert value_of(executor, "read_variable", {"name": "PATH"}) is None

    @linux
    def test_inherit_nothing_else(self, executor: ProcessExecutor, tmp_path: Path) -> None:
        """Files the driver has open are not open in a worker."""
        with (tmp_path / "secret").open("w"):
            assert not any("secret" in str(name) for name in _list(value_of(executor, "open_descriptors")))

    def test_one_killed_in_its_sleep_is_replaced(self, log_dir: Path) -> None:
        """A worker that dies while idle fails no task."""
        with closing(make_executor(log_dir, workers=1)) as executor:
            pid = value_of(executor, "pid")
            assert isinstance(pid, int)
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            assert value_of(executor, "pid") != pid

    def test_that_cannot_start_fail_their_task(self, log_dir: Path) -> None:
        """A worker program that ends at once is told as such, and its words are in the log."""
        command = [sys.executable, "-c", "raise SystemExit('no worker here')"]
        with closing(ProcessExecutor(command_for=always(command), workers=1, log_dir=log_dir)) as executor:
            for finished in run(executor, *(make_task(i, "nothing") for i in "ab")):
                assert finished.failure is not None
                assert finished.log is not None
                assert (finished.failure.kind, "could not start" in finished.failure.message) == ("crashed", True)
                assert read_log(log_dir, finished.log) == b"no worker here\n"

    def test_are_heard_from_their_first_word(self, log_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a worker prints before its driver comes to look at the log is its task's output too."""
        spawn = os.posix_spawnp

        def spawn_and_wait(*arguments: Any, **options: Any) -> int:
            pid = spawn(*arguments, **options)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            return pid

        monkeypatch.setattr(os, "posix_spawnp", spawn_and_wait)
        command = [sys.executable, "-c", "raise SystemExit('no worker here')"]
        with closing(ProcessExecutor(command_for=always(command), workers=1, log_dir=log_dir)) as executor:
            for finished in run(executor, *(make_task(i, "nothing") for i in "ab")):
                assert finished.log is not None
                assert read_log(log_dir, finished.log) == b"no worker here\n"

    def test_whose_program_is_missing_fail_their_task(self, log_dir: Path) -> None:
        """A worker program that does not exist is a failure that says so."""
        with closing(ProcessExecutor(command_for=always(["/no/such/program"]), workers=1, log_dir=log_dir)) as executor:
            (finished,) = run(executor, make_task("1", "nothing"))
            assert finished.failure is not None
            assert (finished.failure.kind, finished.failure.error) == ("crashed", "FileNotFoundError")

    @linux
    @pytest.mark.parametrize("fork_main", [main, None], ids=["fork", "spawn"])
    def test_leave_nothing_behind(self, log_dir: Path, fork_main: Callable[[], None] | None) -> None:
        """After closing there is no process, no zombie and no open file more than before."""
        before, children = _open_files(), _children()
        executor = make_executor(log_dir, fork_main=fork_main)
        run(executor, bad_task("leave_thread"), make_task("2", "crash"), make_task("3", "nothing", outputs=0))
        executor.submit(make_task("4", "hang"))
        executor.close()
        assert _open_files() == before
        assert _children() == children

    def test_are_at_least_one(self, log_dir: Path) -> None:
        """An executor without workers is refused."""
        with pytest.raises(ValueError, match="at least 1"):
            ProcessExecutor(command_for=always(COMMAND), workers=0, log_dir=log_dir)


def _children() -> set[str]:
    """Return the processes that this one has started and that are there, be it as zombies."""
    lists = Path("/proc/self/task").glob("*/children")
    return {pid for each in lists for pid in each.read_text().split()}


DRIVER = """
import sys, threading
from pathlib import Path
from filiera.core.task import Finished
from tests.adapters.test_processes import bad_task, make_executor
if __name__ == "__main__":
    what, place, way = sys.argv[1:]
    if way == "threads":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    executor = make_executor(Path(place) / "logs")
    executor.submit(bad_task(what, {"fifo": str(Path(place) / "fifo")} if "hang" in what else {}))
    while True:
        try:
            for event in executor.wait(None):
                if isinstance(event, Finished):
                    print(event.failure or event.outputs[0].inline.decode(), flush=True)
                    executor.close()
                    sys.exit()
        except KeyboardInterrupt:
            executor.cancel(["bad"])
"""


def start_driver(what: str, place: Path, way: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, what, place, way],
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


@linux
class TestDriver:
    @pytest.mark.parametrize("way", ["alone", "threads"])
    def test_death_takes_workers_and_their_children_along(self, way: str, tmp_path: Path, fifo: str) -> None:
        """When the driver is killed, its workers and what they started vanish, though a step hangs."""
        with start_driver("hang_with_process", tmp_path, way) as driver, Path(fifo).open("rb") as held:
            assert held.read(1) == b"."
            driver.kill()
            assert held.read() == b""  # end of file: the last holder, the step's child, is gone

    @pytest.mark.parametrize("way", ["alone", "threads"])
    def test_alone_gets_ctrl_c(self, way: str, tmp_path: Path, fifo: str) -> None:
        """Ctrl-C in the terminal goes to the driver's process group: no worker sees it, and the driver may cancel."""
        with start_driver("hang_with_process", tmp_path, way) as driver, Path(fifo).open("rb") as held:
            assert held.read(1) == b"."
            os.killpg(driver.pid, signal.SIGINT)
            assert held.read() == b""
            assert "kind='cancelled'" in driver.communicate()[0].decode()

    @pytest.mark.parametrize(("way", "is_forked"), [("alone", True), ("threads", False)])
    def test_forks_only_while_it_has_one_thread(self, way: str, is_forked: bool, tmp_path: Path) -> None:
        """With a second thread about, workers are started afresh: a fork could copy a lock that is held."""
        with start_driver("command_line", tmp_path, way) as driver:
            command_line = driver.communicate()[0].decode()
        assert ("tests.adapters.worker_main" not in command_line) == is_forked, command_line


def _reader(fifo: str) -> BinaryIO:
    """Return a blocking reader, opened without waiting for a writer."""
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(fd, True)
    return os.fdopen(fd, "rb", 0)


def _open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
