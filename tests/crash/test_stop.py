"""Stopping a run from outside, while a step of it would go on for ever."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from filiera.project import launch
from tests.crash.killing import Battlefield, wait_for_end
from tests.projects import statuses

RUN = "endless-1"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for processes by their handles")


@pytest.fixture
def field(tmp_path: Path) -> Battlefield:
    return Battlefield(tmp_path / "project")


def wait_for_step(told: Iterable[str], step: str) -> int:
    """Return the process that runs the step, once it has begun."""
    for line in told:
        if line.startswith(f"{step} "):
            return int(line.split()[1])
    raise AssertionError(f"{step} never began")


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "filiera cancel"])
def test_a_stopped_run_is_cancelled(field: Battlefield, how: str) -> None:
    """Ctrl-C, SIGTERM and ``filiera cancel`` end the run as cancelled with code 130; workers are gone, results kept."""
    with field.running("run", "endless") as (process, told):
        worker = wait_for_step(told, "wait_for_ever")
        if how == "filiera cancel":
            assert field.shown(RUN) == "running"
            done = field.project.command("cancel", "latest")
            assert (done.returncode, done.stdout) == (0, "asked endless-1 to stop; see filiera runs\n")
        else:
            process.send_signal(signal.Signals[how])
        said = told.read()
        assert process.wait() == 130, said
    wait_for_end(worker)
    assert "endless-1 cancelled: 1 ran, 0 from cache, 1 cancelled" in said
    state = field.project.state(RUN)
    assert statuses(state) == {"begin": "succeeded", "wait_for_ever": "cancelled"}
    assert field.shown(RUN) == "cancelled"
    (field.project.root / "never").unlink()
    (field.project.root / "never").write_text("")
    field.project.replace("flows/endless.py", '/ "never").read()', '/ "never").read() or "5"')
    resumed = field.project.resume(RUN)
    assert statuses(resumed) == {"begin": "hit", "wait_for_ever": "succeeded"}
    assert field.executions()["begin"] == 1


def test_asking_twice_ends_at_once(field: Battlefield) -> None:
    """The second Ctrl-C does not wait for anything: no worker is left, and the run can be resumed."""
    with field.running("run", "endless") as (process, told):
        worker = wait_for_step(told, "wait_for_ever")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    wait_for_end(worker)
    assert field.shown(RUN) in ("cancelled", "interrupted")


def test_a_killed_driver_takes_its_workers_along(field: Battlefield) -> None:
    """When the driver is gone its workers are too, even in the middle of a step; the run is shown as interrupted."""
    with field.running("run", "endless") as (process, told):
        worker = wait_for_step(told, "wait_for_ever")
        process.kill()
        process.wait()
        wait_for_end(worker)
    assert field.shown(RUN) == "interrupted"
    listed = field.project.json("runs")
    assert [(run["run"], run["state"]) for run in listed] == [(RUN, "interrupted")]
    with (
        field.project.opened() as project,
        pytest.raises(launch.UsageError, match="Run endless-1 is not running: its state is interrupted"),
    ):
        launch.cancel(project, RUN)


def test_a_killed_worker_is_a_failure_of_its_step(field: Battlefield) -> None:
    """A step whose process is killed has failed, says by which signal, and the run ends."""
    with field.running("run", "endless") as (process, told):
        worker = wait_for_step(told, "wait_for_ever")
        os.kill(worker, signal.SIGKILL)
        said = told.read()
        assert process.wait() == 1, said
    state = field.project.state(RUN)
    failure = state.steps["wait_for_ever"].failure
    assert failure is not None
    assert (failure.kind, failure.error) == ("crashed", "SIGKILL")
    assert state.status == "failed"
