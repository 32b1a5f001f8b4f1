"""A run of an experiment that is killed in the middle, and what others make of what it has finished or begun."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.experiments.lab import LightLab

DYING = """
from pathlib import Path
from filiera import Dataset, pipeline, step

SIGNS = Path({signs!r})


@step
def first() -> dict[str, list[int]]:
    with (SIGNS / "first").open("a") as file:
        file.write("x")
    return {{"number": [1]}}


@step
def second(found: dict[str, list[int]]) -> dict[str, list[int]]:
    if not (SIGNS / "begun").exists():
        (SIGNS / "begun").touch()
        (SIGNS / "pipe").open("w").close()
        (SIGNS / "pipe").read_text()
    return found


@pipeline(kind="data", publishes=Dataset("counts"))
def count():
    return second(first())
"""


@pytest.fixture
def dying(light: LightLab, tmp_path: Path) -> LightLab:
    """Return a lab whose run stops in its second step, once, and says so by a pipe."""
    signs = tmp_path / "signs"
    signs.mkdir()
    os.mkfifo(signs / "pipe")
    (light.root / "flows/data.py").write_text(DYING.format(signs=str(signs)))
    light.commit("stop once")
    for name in ("one", "two"):
        assert light.command("experiment", "start", name).returncode == 0
    return light


def begun(signs: Path) -> None:
    """Come back when the second step has begun."""
    with (signs / "pipe").open() as pipe:
        assert pipe.read() == ""


def test_a_run_that_was_killed_goes_on_from_what_was_finished(dying: LightLab, tmp_path: Path) -> None:
    """Nothing was committed, nobody holds it, and its first step is not computed again."""
    before = dying.git("rev-parse", "exp/one")
    toml = dying.folder_of("one") / "filiera.toml"
    toml.write_text(toml.read_text().replace("inline", "processes"))
    with dying.start("experiment", "run", "one", "--pipeline", "count") as process:
        begun(tmp_path / "signs")
        while not any(row["state"] == "succeeded" for row in dying.read("steps_of_run", run_id="count-1")):
            assert process.poll() is None
        process.kill()
    os.close(os.open(tmp_path / "signs/pipe", os.O_RDWR))  # a worker that has outlived the command ends
    assert dying.git("rev-parse", "exp/one") == before
    done = dying.command("experiment", "run", "one", "--pipeline", "count")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "signs/first").read_text() == "x"
    assert dying.git("log", "-1", "--format=%s", "exp/one").startswith("Run count")


def test_whoever_waits_for_a_killed_run_computes(dying: LightLab, tmp_path: Path) -> None:
    """Another experiment needs the step that the killed one had begun."""
    with dying.start("experiment", "run", "one", "--pipeline", "count") as process:
        begun(tmp_path / "signs")
        with dying.start("experiment", "run", "two", "--pipeline", "count") as other:
            process.kill()
            _, said = other.communicate(timeout=300)
    assert other.returncode == 0, said
    assert dying.git("log", "-1", "--format=%s", "exp/two").startswith("Run count")
