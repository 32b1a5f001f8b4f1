"""A clock that is set back or forth at any moment: runs, heartbeats, expiry and clean-up do not mind."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from filiera.project import launch, runs
from filiera.project.runs import Run
from filiera.project.upkeep.garbage import collect
from filiera.project.upkeep.retention import Retention
from tests.crash.killing import Battlefield, reference
from tests.crash.soundness import check_store
from tests.faults.jumping import Jumping
from tests.projects import SmallProject, digests, statuses

FILES = {
    "flows/__init__.py": "",
    "flows/aging.py": """
        from pathlib import Path

        from filiera import Cache, pipeline, step

        HERE = Path(__file__).parent


        def note(word):
            with (HERE / "calls").open("a") as file:
                file.write(word + "\\n")


        @step
        def numbers(count: int) -> list[int]:
            return list(range(count))


        @step(retries=1, retry_delay_s=0)
        def double(x: int) -> bytes:
            return bytes([2 * x]) * 5000


        @step(cache=Cache(max_age_s=3600))
        def young(x: int) -> int:
            note("young")
            return x


        @step
        def add_up(parts: list[bytes], young: int) -> int:
            if (HERE / "break").exists():
                raise ValueError("it is broken")
            return sum(part[0] for part in parts) + young


        @pipeline(kind="data")
        def aging(count: int = 4):
            return add_up(double.map(numbers(count)), young(1))
        """,
}
SAMPLE = 3
HOUR_S = 3600.0
EVER = {"before_at": 1e18, "before_id": ""}


def run_at(project: SmallProject, clock: Callable[[], float], run_id: str = "") -> Run:
    """Run the pipeline, or go on with a run, by another clock."""
    with project.opened() as opened:
        opened.clock = clock
        return launch.resume(opened, run_id) if run_id else launch.start(opened, "aging", {})


@pytest.mark.parametrize("count", [SAMPLE, pytest.param(100, marks=pytest.mark.campaign)])
def test_the_clock_jumps_all_the_time(tmp_path: Path, count: int) -> None:
    """Runs that fail and are resumed, lists, and clean-up, while each look at the clock shows another month.

    The seed is printed.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    for number in range(seed, seed + count):
        project = SmallProject(tmp_path / str(number), FILES)
        clock = Jumping(number)
        (project.root / "flows/break").touch()
        assert run_at(project, clock).status == "failed"
        (project.root / "flows/break").unlink()
        resumed = run_at(project, clock, "aging-1")
        again = run_at(project, clock)
        assert (resumed.status, again.status) == ("succeeded", "succeeded")
        assert digests(resumed) == digests(again)
        with project.opened() as opened:
            opened.clock = clock
            check_store(opened)
            newest = opened.records.read("find_runs", {**EVER, "limit": 9})
            assert {(row["run_id"], runs.shown_state(opened, row)) for row in newest} == {
                ("aging-1", "succeeded"),
                ("aging-2", "succeeded"),
            }
            collect(opened, Retention(keep_days=1, keep_runs=1), dry_run=False, tell=lambda *progress: None)
            check_store(opened)
            assert {row["run_id"] for row in opened.records.read("find_runs", {**EVER, "limit": 9})} >= {"aging-2"}
        assert digests(run_at(project, clock)) == digests(again)


def test_a_clock_that_was_wrong_is_set_right(tmp_path: Path) -> None:
    """A result counts by the clock of now: one from the future is used, and gets too old when it should."""
    project = SmallProject(tmp_path, FILES)
    now = 1e9
    for step_s, count in ((0.0, 1), (-2 * HOUR_S, 1), (2 * HOUR_S + 3599, 1), (2.0, 2), (-1.0, 2), (HOUR_S, 2), (2, 3)):
        now += step_s
        run = run_at(project, lambda at=now: at)
        assert run.value("add_up") == 13
        assert (project.root / "flows/calls").read_text().count("young") == count
        assert statuses(run)["numbers"] == ("hit" if run.run_id != "aging-1" else "succeeded")


def test_workers_with_a_jumping_clock(tmp_path: Path) -> None:
    """Real processes, killed and resumed, in which each look at the clock shows another month; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    expected, versions, lines = reference(tmp_path / "reference")
    field = Battlefield(tmp_path / "project")
    command = [sys.executable, "-m", "tests.faults.jumping", str(seed)]
    with field.hearing([*command, "run", "counts"]) as (process, told):
        for number, _ in enumerate(told):
            if number == seed % (lines // 2):
                process.kill()
    field.check()
    shown = field.shown("counts-1")
    words = {"not begun": ("run", "counts"), "succeeded": ("runs",)}.get(shown, ("resume", "counts-1"))
    options = field.project.surroundings()
    options["env"] = {**options["env"], "PYTHONPATH": field.path}
    done = subprocess.run([*command, *words], **options, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    field.check()
    assert digests(field.state("counts-1")) == expected
    assert field.versions() == versions
