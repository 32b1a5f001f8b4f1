"""Several drivers on one store at once, and a store that somebody else has locked."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.crash.killing import Battlefield, wait_for_end
from tests.crash.soundness import check_flights, check_store
from tests.engine.runs import Workshop
from tests.engine.steps_to_run import CALLS, chain
from tests.projects import SmallProject, digests, statuses

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for processes by their handles")
FILES = {
    "flows/__init__.py": "",
    "flows/shared.py": '''
        """Pipelines that have most of their steps in common, and wait for each other at the start."""

        import os
        from pathlib import Path

        from filiera import pipeline, step

        HERE = Path(__file__).parents[1]


        def note(call):
            file = os.open(HERE / "calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(file, f"{call}\\n".encode())
            os.close(file)


        @step(cache=False)
        def gate() -> int:
            """Say that a run is here, and wait until all of them may go on."""
            with (HERE / "here").open("wb", buffering=0) as here, (HERE / "go").open("rb", buffering=0) as go:
                here.write(b"!")
                go.read(1)
            return 0


        @step
        def branch(x: int, zero: int) -> int:
            note(f"branch {x}")
            return sum(range(20_000)) + x + zero


        @step
        def link(x: int) -> int:
            note(f"link {x}")
            return x + 1


        @step
        def large(x: int) -> bytes:
            note(f"large {x}")
            return bytes([x % 256]) * 50_000


        @step(dynamic=True)
        def plan(count: int, zero: int) -> list[int]:
            note(f"plan {count}")
            return [branch(100 + number, zero) for number in range(count)]


        @step
        def add_up(numbers: list[int], end: int, content: bytes, more: list[int]) -> int:
            note(f"add_up {end}")
            return sum(numbers) + end + len(content) + sum(more)


        def chain(start, length):
            for _ in range(length):
                start = link(start)
            return start


        @pipeline(kind="data")
        def one(width: int = 10, length: int = 12):
            zero = gate()
            end = chain(zero, length)
            return add_up([branch(number, zero) for number in range(width)], end, large(end), plan(3, zero))


        @pipeline(kind="data")
        def other(width: int = 8, length: int = 15):
            zero = gate()
            end = chain(zero, length)
            return add_up([branch(number, zero) for number in range(width)], end, large(end), plan(3, zero))
        ''',
}


def meet(project: SmallProject, pipelines: list[str]) -> list[tuple[int, str]]:
    """Run pipelines in a process each, which begin to work together; return how each ended and what it said."""
    for name in ("here", "go"):
        os.mkfifo(project.root / name)
    here, go = (os.open(project.root / name, os.O_RDWR) for name in ("here", "go"))
    started = [project.start("run", pipeline) for pipeline in pipelines]
    for _ in started:
        os.read(here, 1)
    os.write(go, b"!" * len(started))
    ended = []
    for process in started:
        said = "".join(process.communicate())
        ended.append((process.returncode, said))
    for file in (here, go):
        os.close(file)
    return ended


@pytest.mark.parametrize("pipelines", [["one", "one"], ["one", "other"], ["one", "other", "one"]], ids="+".join)
def test_drivers_share_their_work(tmp_path: Path, pipelines: list[str]) -> None:
    """Drivers that run the same or similar pipelines at once compute each step once, and all come to the same."""
    project = SmallProject(tmp_path, FILES, executor="processes")
    for code, said in meet(project, pipelines):
        assert code == 0, said
    calls = Counter((project.root / "calls").read_text().splitlines())
    assert {call: times for call, times in calls.items() if times > 1} == {}
    with project.opened() as opened:
        check_store(opened)
        check_flights(opened.store / "flights")
    made: dict[str, list[str]] = {}
    for row in project.read("find_runs", before_at=1e18, before_id="", limit=10):
        state = project.state(row["run_id"])
        assert state.status == "succeeded"
        if row["pipeline"] == "one":
            made = made or digests(state)
            assert digests(state) == made


class Meanwhile:
    """Keys that are free at once, but for the first of them another run has made the result right before."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop: Workshop | None = workshop

    def try_take(self, key: str) -> bool:
        workshop, self.workshop = self.workshop, None
        if workshop is not None:
            assert workshop.run(chain).status == "succeeded"
        return True

    def release(self, key: str) -> None: ...


def test_a_result_appears_at_the_last_moment(tmp_path: Path) -> None:
    """Who gets a key looks once more: its last owner may have recorded the result after the first look."""
    state = Workshop(tmp_path).run(chain, flights=Meanwhile(Workshop(tmp_path)))
    assert CALLS == ["first", "parity", "last"], "only the other run has computed anything"
    assert set(statuses(state).values()) == {"hit"}


@contextmanager
def locked(store: Path) -> Iterator[sqlite3.Connection]:
    """Hold the records of a store, as a process does that writes to them."""
    with closing(sqlite3.connect(store / "records.sqlite", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield database
        if database.in_transaction:
            database.execute("ROLLBACK")


def wait_for_line(told: IO[str], count: int) -> list[str]:
    """Return so many lines, or fewer when no more are told."""
    return [line for _, line in zip(range(count), told, strict=False)]


@pytest.fixture
def field(tmp_path: Path) -> Battlefield:
    made = Battlefield(tmp_path / "project")
    made.shown("counts-1")  # makes the tables
    return made


def check_goes_on(field: Battlefield, held_s: float, after: int) -> None:
    """Lock the records when so many lines were told, for a while: the run waits, and ends as if nothing had been."""
    with field.driving("run", "counts") as (process, told):
        said = wait_for_line(told, after)
        with locked(field.project.root / ".filiera"):
            wait_for_end(process.pid, at_most_s=held_s)
            assert process.poll() is None, "".join([*said, *told])
        said += list(told)
        assert process.wait() == 0, "".join(said)
    field.check()
    assert field.state("counts-1").status == "succeeded"


def check_gives_up(field: Battlefield, after: int, busy_timeout_s: float) -> None:
    """Lock the records for longer than a run waits: it says who is to blame, and can be resumed."""
    options = field.project.surroundings()
    options["env"] = {**options["env"], "PYTHONPATH": field.path}
    command = [sys.executable, "-m", "tests.faults.impatient", str(busy_timeout_s), "run", "counts"]
    with field.hearing(command) as (process, told):
        said = wait_for_line(told, after)
        with locked(field.project.root / ".filiera"):
            said += list(told)
            assert process.wait() == 5, "".join(said)
    whole = "".join(said)
    assert "records.sqlite is held by another process." in whole
    assert f"all the {busy_timeout_s:g} s that we waited" in whole
    assert "Traceback" not in whole
    field.check()
    shown = field.shown("counts-1")
    assert shown in ("interrupted", "not begun")
    done = field.project.command(*(("run", "counts") if shown == "not begun" else ("resume", "counts-1")))
    assert done.returncode == 0, done.stdout + done.stderr
    field.check()


def test_records_are_locked_for_a_moment(field: Battlefield) -> None:
    """A run waits for whoever holds the records, wherever that begins; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    check_goes_on(field, 0.3, random.Random(seed).randrange(1, 30))


@pytest.mark.parametrize("after", [0, 12])
def test_records_are_locked_for_too_long(field: Battlefield, after: int) -> None:
    """Before the first record and in the middle of a run."""
    check_gives_up(field, after, 0.2)


@pytest.mark.campaign
def test_records_are_locked_for_half_a_minute(tmp_path: Path) -> None:
    """With the real patience of 30 s: 25 s are waited for, 30 s are not."""
    first = Battlefield(tmp_path / "first")
    first.shown("counts-1")
    check_goes_on(first, 25.0, 12)
    second = Battlefield(tmp_path / "second")
    second.shown("counts-1")
    check_gives_up(second, 12, 30.0)
