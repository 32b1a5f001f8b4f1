"""Workers that go on by themselves, while something else fails, takes the same key, or kills them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.projects import SmallProject, statuses

FILES = {
    "flows/__init__.py": "",
    "flows/chains.py": '''
        """Chains of short steps, and steps that meet: each waits until the other one is there."""

        import os
        import select
        import signal
        from pathlib import Path

        from filiera import pipeline, step

        HERE = Path(__file__).parents[1]


        @step
        def link(x: int) -> int:
            if x == 10:
                (HERE / "meet").open("w").close()
            return x + 1


        @step
        def fail(x: int) -> int:
            (HERE / "meet").open().close()
            raise ValueError("no")


        @pipeline(kind="data", on_failure="finish")
        def finishing(length: int = 60):
            end = 0
            for _ in range(length):
                end = link(end)
            return end, fail(0)


        @pipeline(kind="data", on_failure="stop")
        def stopping(length: int = 60):
            end = 0
            for _ in range(length):
                end = link(end)
            return end, fail(0)


        @step
        def come(x: int) -> int:
            (HERE / "meet").open("w").close()
            return x


        @step
        def welcome(x: int) -> int:
            (HERE / "meet").open().close()
            return x


        @step
        def work(x: int) -> int:
            with (HERE / "calls").open("a") as file:
                file.write(f"work {x}\\n")
            select.select([], [], [], 0.05)  # long enough for the other one to begin it too
            return x + 1


        @pipeline(kind="data")
        def meeting(x: int = 1):
            return work(come(x)), work(welcome(x))


        @step
        def prepare(x: int) -> int:
            """Have this process die when it has taken the key of the step that it goes on with."""
            from filiera.adapters.flight_locks import FlightLocks

            former = FlightLocks.try_take

            def take_and_die(self, key):
                former(self, key)
                (HERE / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)

            if not (HERE / "died").exists():
                FlightLocks.try_take = take_and_die
            return x


        @pipeline(kind="data")
        def dying(x: int = 1):
            return link(link(prepare(x)))
        ''',
}


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    made = SmallProject(tmp_path, FILES, executor="processes")
    os.mkfifo(tmp_path / "meet")
    return made


@pytest.mark.parametrize(("pipeline", "others"), [("finishing", "blocked"), ("stopping", "cancelled")])
def test_a_chain_is_under_way_when_a_step_fails(project: SmallProject, pipeline: str, others: str) -> None:
    """What a worker has begun by itself ends, and the rest of the chain does not begin; the run can be resumed."""
    done = project.command("run", pipeline)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    state = project.state(f"{pipeline}-1")
    found = statuses(state)
    assert found.pop("fail") == "failed"
    ends = list(found.values())
    known = ends.count("succeeded")
    assert ends == ["succeeded"] * known + [others] * (len(ends) - known)
    assert state.message == "step fail failed: ValueError: no"


def test_two_workers_come_to_the_same_step(project: SmallProject) -> None:
    """Of two that could go on with the same computation one does, and the other step gets its result."""
    done = project.command("run", "meeting")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.root / "calls").read_text() == "work 1\n"
    found = statuses(project.state("meeting-1"))
    assert sorted(found.values()) == ["hit", "succeeded", "succeeded", "succeeded"]


def test_a_worker_dies_with_a_key(project: SmallProject) -> None:
    """The key that a dead worker had taken for its driver is free again: the step runs in another one."""
    done = project.command("run", "dying", timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.root / "died").exists()
    assert set(statuses(project.state("dying-1")).values()) == {"succeeded"}
