"""A driver that dies between any two writes to its store leaves one that can be gone on with."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from filiera.project import runs
from tests.project.chains import SHOP
from tests.projects import SmallProject, digests

ROOT = Path(__file__).parents[2]
SAMPLE = 4
FILES = {
    **SHOP,
    "flows/plain.py": """
        from filiera import pipeline, step


        @step
        def small(x: int) -> int:
            return x


        @step(cache=False)
        def large(x: int) -> bytes:
            return bytes([x]) * 10_000


        @step
        def size(content: bytes) -> int:
            return len(content)


        @pipeline(kind="data")
        def plain(x: int = 1):
            return size(large(small(x)))
        """,
}


def project_in(folder: Path) -> SmallProject:
    """Return a project with a published dataset, from which a model can be made."""
    project = SmallProject(folder, FILES)
    run = project.run("sales")
    assert run.status == "succeeded", run.state.message
    return project


BEFORE_THE_RUN = {("before", 1), ("after", 1), ("before", 2)}
"""The first thing written is the list of distributions that the run has, the second one is the run."""


def die(project: SmallProject, *words: str) -> tuple[int, str]:
    """Run a pipeline that dies as told; return how the process ended and what it said."""
    command = [sys.executable, "-m", "tests.crash.dying", str(project.root), *words]
    options = {**project.surroundings(), "cwd": ROOT}
    done = subprocess.run(command, **options, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def peace(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, dict[str, list[str]]]]:
    """Return for each pipeline how many writes an undisturbed run makes, and its digests."""
    project = project_in(tmp_path_factory.mktemp("peace") / "project")
    found = {}
    for pipeline in ("train", "plain"):
        code, said = die(project, "before", "0", "run", pipeline)
        assert code == 0, said
        found[pipeline] = int(said.rsplit(" after ", 1)[1].split()[0]), digests(project.state(f"{pipeline}-1"))
    return found


def check_death(folder: Path, pipeline: str, moment: str, number: int, expected: dict[str, list[str]]) -> None:
    """Kill a run at one write, resume and kill that too at the same one, then resume: it ends as if nothing was.

    How many writes a run makes depends a little on time, so that the last ones may not come.
    """
    project = project_in(folder)
    run_id = f"{pipeline}-1"
    code, said = die(project, moment, str(number), "run", pipeline)
    assert code in (0, -signal.SIGKILL), said
    if not project.read("get_run", run_id=run_id):
        assert (moment, number) in BEFORE_THE_RUN, "only before it is recorded is a run not there"
        run = project.run(pipeline)
    else:
        with project.opened() as opened:
            shown = runs.shown_state(opened, runs.get_run(opened, run_id))
        if shown != "succeeded":
            assert shown == "interrupted"
            code, said = die(project, moment, str(number), "resume", run_id)
            assert code in (0, -signal.SIGKILL), said
        is_done = project.read("get_run", run_id=run_id)[0]["state"] == "succeeded"
        run = project.resume(run_id) if not is_done else None
    state = project.state(run_id)
    assert run is None or run.state == state
    assert digests(state) == expected
    versions = project.read("find_versions_of_product", kind="model", name="guess", before=99, limit=9)
    aliases = project.read("find_aliases")
    published = [1] if pipeline == "train" else []
    assert [row["number"] for row in versions] == published
    assert [(row["alias"], row["number"]) for row in aliases] == [("champion", 1)] * len(published)
    with contextlib.closing(sqlite3.connect(folder / ".filiera/records.sqlite")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM alias_move").fetchone()[0] == len(published)


@pytest.mark.parametrize("pipeline", ["train", "plain"])
def test_death_between_writes(
    tmp_path: Path, peace: dict[str, tuple[int, dict[str, list[str]]]], pipeline: str
) -> None:
    """A sample of the places between two writes of a run; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    writes, expected = peace[pipeline]
    places = [(moment, number) for moment in ("before", "after") for number in range(1, writes + 1)]
    for moment, number in chance.sample(places, SAMPLE):
        print(moment, number, "of", writes)
        check_death(tmp_path / f"{moment}-{number}", pipeline, moment, number, expected)


@pytest.mark.campaign
@pytest.mark.parametrize("pipeline", ["train", "plain"])
def test_death_between_any_two_writes(
    tmp_path: Path, peace: dict[str, tuple[int, dict[str, list[str]]]], pipeline: str
) -> None:
    """All places between two writes of a run."""
    writes, expected = peace[pipeline]
    for number in range(1, writes + 1):
        for moment in ("before", "after"):
            check_death(tmp_path / f"{moment}-{number}", pipeline, moment, number, expected)
