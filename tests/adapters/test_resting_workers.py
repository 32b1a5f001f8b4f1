"""Workers that one executor leaves to the next."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from filiera.adapters._resting_workers import RESTING
from filiera.adapters.processes import Handover, ProcessExecutor
from filiera.core.task import Finished, Task
from filiera.engine.logs import read_log
from filiera.testing.executor import make_task, run
from tests.adapters.test_processes import COMMAND, ROOT, always
from tests.adapters.worker_main import TOLD, main
from tests.engine.plain_artifacts import PlainArtifacts

STEPS = "tests.adapters.process_steps"


@pytest.fixture(autouse=True)
def nobody_rests() -> Iterator[None]:
    RESTING.close()
    yield
    RESTING.close()


def make_executor(log_dir: Path, *, place: str = "here", told: str = "", workers: int = 1) -> ProcessExecutor:
    return ProcessExecutor(
        command_for=always(COMMAND),
        workers=workers,
        log_dir=log_dir,
        environment={**os.environ, "PYTHONPATH": str(ROOT)},
        fork_main=main,
        handover=Handover(place, told),
    )


def step(name: str, function: str = "pid", code: str = "a", **arguments: object) -> Task:
    return make_task(name, f"{STEPS}:{function}", arguments, code=code)


def value(finished: Finished) -> object:
    assert finished.failure is None, finished.failure
    return PlainArtifacts().get(finished.outputs[0])


def pid_after(log_dir: Path, *codes: str, place: str = "here") -> object:
    """Return the process that runs a task for each code, the last one's."""
    with closing(make_executor(log_dir, place=place)) as executor:
        return [value(run(executor, step(f"pid-{code}", code=code))[0]) for code in codes][-1]


def is_there(pid: object) -> bool:
    assert isinstance(pid, int)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_next_executor_takes_the_worker_over(tmp_path: Path) -> None:
    """It is the same process, writes to the log of the new executor, and knows what that told it."""
    with closing(make_executor(tmp_path / "1", told="first")) as executor:
        run(executor, step("a", "say", text="one"))
        pid = value(run(executor, step("b"))[0])
    with closing(make_executor(tmp_path / "2", told="second")) as executor:
        (known,) = run(executor, make_task("c", f"{STEPS}:read_variable", {"name": TOLD}, code="a"))
        (said,) = run(executor, step("d", "say", text="two"))
        assert value(run(executor, step("e"))[0]) == pid
    assert said.log is not None
    assert read_log(tmp_path / "2", said.log) == b"two\n"
    assert (tmp_path / "1" / "worker-0.log").read_bytes() == b"one\n"
    assert value(known) == "second"


@pytest.mark.parametrize(("codes", "place"), [(("b",), "here"), (("a",), "there")])
def test_a_worker_with_other_code_or_of_another_place_is_not_taken(
    tmp_path: Path, codes: tuple[str, ...], place: str
) -> None:
    """It keeps its rest, for one whom it suits."""
    first = pid_after(tmp_path / "1", "a")
    assert pid_after(tmp_path / "2", *codes, place=place) != first
    assert pid_after(tmp_path / "3", "a") == first


def test_it_runs_nothing_that_it_may_have_otherwise(tmp_path: Path) -> None:
    """A worker from before runs what it knows; where other code comes later, another worker runs that."""
    first = pid_after(tmp_path / "1", "a")
    second = pid_after(tmp_path / "2", "a", "b")
    assert second != first
    assert not is_there(first)
    assert pid_after(tmp_path / "3", "a", "b", "a") == second


def test_a_busy_worker_ends_after_its_task_when_other_code_comes(tmp_path: Path) -> None:
    """What it has begun it finishes, what lies behind and the code that it may not have go to another one."""
    first = pid_after(tmp_path / "1", "a")
    with closing(make_executor(tmp_path / "2")) as executor:
        tasks = step("t0"), step("t1"), step("t2"), step("t3", code="b")
        ends = {end.task_id: end for end in run(executor, *tasks)}
        assert value(ends["t0"]) == first
        assert value(ends["t3"]) != first
    assert not is_there(first)


def test_a_worker_that_died_at_rest_is_replaced(tmp_path: Path) -> None:
    """Nobody notices but by the time that it takes."""
    first = pid_after(tmp_path / "1", "a")
    assert isinstance(first, int)
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert pid_after(tmp_path / "2", "a") != first


def test_a_worker_whose_log_cannot_be_opened_ends(tmp_path: Path) -> None:
    """The task goes to a new worker, which says why that does not work either."""
    pid_after(tmp_path / "1", "a")
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "worker-0.log").mkdir()
    with closing(make_executor(tmp_path / "2")) as executor:
        (finished,) = run(executor, step("a"))
    assert finished.failure is not None
    assert "worker-0.log" in finished.failure.message


def test_busy_and_spoilt_workers_are_not_left(tmp_path: Path) -> None:
    """One that left a thread behind, and one that is cut off, end with their executor."""
    with closing(make_executor(tmp_path / "1")) as executor:
        spoilt = value(run(executor, step("a", "leave_thread"))[0])
        executor.submit(step("b"))
        executor.wait(0)
    assert not is_there(spoilt)
    assert RESTING.take("here", ("", ()), "a") is None


def test_only_so_many_rest(tmp_path: Path) -> None:
    """Twice as many as the executor that leaves them may have; the oldest end."""
    pids = [pid_after(tmp_path / str(number), "a", place=str(number)) for number in range(3)]
    assert [is_there(pid) for pid in pids] == [False, True, True]


def test_a_fork_lets_go_of_them(tmp_path: Path) -> None:
    """In a forked process nobody rests: the workers are not its own, and end with the process that started them."""
    first = pid_after(tmp_path / "1", "a")
    child = os.fork()
    if child == 0:
        os._exit(RESTING.take("here", ("", ()), "a") is not None)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pid_after(tmp_path / "2", "a") == first
