"""Starting, stopping and resuming runs of a project."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from filiera.core.events import Event, RunStarted, StepStarted
from filiera.core.runstate import RunState
from filiera.errors import (
    BlobMissing,
    Cancelled,
    GraphError,
    ProjectError,
    StepFailed,
    StoreFull,
    UsageError,
)
from filiera.project import launch, plugins, runs
from filiera.project.project import Project
from tests.project.chains import CHAIN, SHOP, WIDE_SHOP, calls
from tests.projects import Hears, SmallProject, digests, full_disk_after, statuses


@pytest.fixture
def chain(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, CHAIN)


@pytest.fixture
def shop(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, SHOP)


@pytest.mark.parametrize(
    ("pipeline", "values", "fresh", "error", "words"),
    [
        ("nothing", {}, (), UsageError, "no pipeline 'nothing'"),
        ("chain", {"y": 1}, (), UsageError, "no parameter 'y'"),
        ("chain", {"x": "1"}, (), UsageError, "takes int"),
        ("chain", {}, ("wrong",), UsageError, "no step 'wrong'"),
        ("misbuilt", {}, (), GraphError, "uses the value of step 'read'"),
        ("unreadable", {}, (), ProjectError, "flows.unreadable' cannot be imported: ZeroDivisionError"),
    ],
)
def test_nothing_is_recorded_when_planning_fails(
    chain: SmallProject, pipeline: str, values: dict[str, Any], fresh: tuple[str, ...], error: type, words: str
) -> None:
    """Whatever is wrong with a pipeline, its values or its code is said before there is a run."""
    with pytest.raises(error, match=words):
        chain.run(pipeline, fresh=fresh, **values)
    assert chain.read("latest_run") == []
    assert calls(chain) == []


def test_a_run_has_values_and_records(chain: SmallProject) -> None:
    """A finished run gives the values of its steps, and is recorded as its events say."""
    with chain.opened() as project:
        run = launch.start(project, "chain", {"x": 4, "name": "é\udcff"})
        assert (run.run_id, run.status, run.value("tell"), run.require_success()) == ("chain-1", "succeeded", "10", run)
        with pytest.raises(UsageError, match=r"no output 0 of step 'gone'.\nWhy: Its steps are: read, ask"):
            run.value("gone")
        with pytest.raises(UsageError, match="no output 1 of step 'read'"):
            run.value("read", 1)
    row = chain.read("get_run", run_id="chain-1")[0]
    record = json.loads(row["record"])
    assert (row["state"], row["steps_total"], row["steps_done"], row["profile"]) == ("succeeded", 4, 4, "local")
    assert (record["inputs"], record["fresh"], record["is_dirty"]) == ({}, [], None)
    assert chain.state("chain-1") == run.state


def test_a_listener_follows(chain: SmallProject) -> None:
    """A listener hears where logs will lie and every event that is recorded, from the first to the last."""
    listener = Hears(lambda event: None)
    with chain.opened() as project:
        launch.start(project, "chain", {}, listener=listener)
        assert listener.log_dir == project.store / "logs" / "chain-1"
        state = runs.recorded_state(project, "chain-1")
    assert RunState.fold(listener.events) == state
    assert isinstance(listener.events[0], RunStarted)
    assert dict(listener.events[0].parameters) == {"x": "1", "name": ""}


def test_how_a_run_ended_can_be_an_error(chain: SmallProject) -> None:
    """Who asks for success gets the run, or an error of its kind with the command that shows more."""
    (chain.root / "flows/break").touch()
    with pytest.raises(
        StepFailed, match=r"Run chain-1 failed.\nWhy: step fragile failed: ValueError: it is broken\nDo:"
    ):
        chain.run("chain").require_success()
    with pytest.raises(Cancelled):
        chain.run("pressed").require_success()


def test_a_pipeline_object_runs_in_its_own_project(chain: SmallProject) -> None:
    """``pipeline.run()`` finds the project by the file of the pipeline, wherever it is called."""
    with chain.opened() as project:
        pipeline = project.pipeline("chain")
        run = pipeline.run(x=2)
        assert (run.run_id, run.value("tell"), run.project.config.root) == ("chain-1", "6", chain.root)
        run.project.close()
        (chain.root / "flows/break").touch()
        with pytest.raises(StepFailed):
            pipeline.run(x=3)


def test_one_pipeline_runs_many_times(chain: SmallProject) -> None:
    """Its runs are side by side, each with its parameters, and each is told what changed since the last one before."""
    with chain.opened() as project:
        pipeline = project.pipeline("chain")
        pipeline.run(x=1)
        found = pipeline.run_many([{"x": 2}, {"x": 3}, {"x": 2}])
        assert [(run.run_id, run.value("tell")) for run in found] == [
            ("chain-2", "6"),
            ("chain-3", "8"),
            ("chain-4", "6"),
        ]
        assert pipeline.run_many([]) == []
        with pytest.raises(
            UsageError, match=r"Pipeline 'chain' cannot be planned, so none has started: .*no parameter 'z'"
        ):
            pipeline.run_many([{"x": 7}, {"z": 1}])
    assert chain.reasons("chain-3")["read"] == "parameter x changed from 1 to 3"
    assert Counter(calls(chain)) == {"read": 3, "ask": 4, "fragile": 3, "tell": 3}  # ask is never cached


def test_resuming_repeats_nothing_that_is_finished(chain: SmallProject) -> None:
    """A failed run goes on at the failure, not even uncached steps again, in the same run, to the same values."""
    (chain.root / "flows/break").touch()
    assert chain.run("chain", x=5).status == "failed"
    assert calls(chain) == ["read", "ask", "fragile"]
    (chain.root / "flows/break").unlink()
    run = chain.resume("chain-1")
    assert calls(chain) == ["fragile", "tell"]
    assert (run.run_id, run.status, chain.state("chain-1")) == ("chain-1", "succeeded", run.state)
    assert chain.reasons("chain-1")["ask"] == "finished before the run was resumed"
    assert digests(run) == digests(chain.run("chain", x=5))
    with pytest.raises(UsageError, match="Run chain-1 has succeeded"):
        chain.resume("chain-1")


def test_resuming_after_the_code_changed(chain: SmallProject) -> None:
    """Changed steps run again; a step that is no longer there is no longer shown."""
    (chain.root / "flows/break").touch()
    chain.run("chain", x=5)
    calls(chain)
    chain.replace("flows/chain.py", "return tell(fragile(ask(read(x))))", "return tell(ask(read(x)))")
    chain.replace("flows/chain.py", 'note("read")\n    return x', 'note("read")\n    return x + 0')
    run = chain.resume("chain-1")
    assert calls(chain) == ["read", "tell"]
    assert statuses(run) == {"read": "succeeded", "ask": "hit", "tell": "succeeded"}
    assert [row["step"] for row in chain.read("steps_of_run", run_id="chain-1")] == ["read", "ask", "tell"]
    assert chain.read("get_run", run_id="chain-1")[0]["steps_total"] == 3


def test_resuming_remembers_what_was_to_be_fresh(chain: SmallProject) -> None:
    """A step that was to run although cached, and had not yet, runs; one that had does not run twice."""
    chain.run("chain")
    calls(chain)
    (chain.root / "flows/break").touch()
    chain.run("chain", fresh=("read", "fragile", "tell"))
    assert calls(chain) == ["read", "ask", "fragile"]
    (chain.root / "flows/break").unlink()
    chain.resume("chain-2")
    assert calls(chain) == ["fragile", "tell"]


def test_resuming_takes_the_version_the_run_began_with(shop: SmallProject) -> None:
    """A dataset published in between does not change what a resumed run is made of."""
    shop.run("sales")
    with shop.opened() as project, pytest.raises(StoreFull):
        launch.start(project, "train", {}, listener=full_disk_after("fit"))
    assert shop.run("sales", rows=8).version is not None
    run = shop.resume("train-1")
    assert run.version is not None
    assert run.version.inputs == {"sales": "sales@1"}
    assert statuses(run)["fit"] == "hit"
    assert shop.run("train").version.inputs == {"sales": "sales@2"}  # type: ignore[union-attr]


@pytest.mark.usefixtures("told_at_once")
def test_a_running_run_is_left_alone(chain: SmallProject) -> None:
    """While its driver lives, a run cannot be resumed and is not interrupted; it can be cancelled."""
    seen = []

    def meanwhile(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "ask":
            other = Project.open(chain.root)
            row = runs.get_run(other, "latest")
            seen.append(runs.shown_state(other, row))
            with pytest.raises(UsageError, match="Run chain-1 is running"):
                launch.resume(other, "chain-1")
            launch.cancel(other, "chain-1")
            other.close()

    with chain.opened() as project:
        run = launch.start(project, "chain", {}, listener=Hears(meanwhile))
    assert seen == ["running"]
    assert run.status == "cancelled"
    assert statuses(run)["fragile"] == "cancelled"


def test_only_running_runs_are_cancelled(chain: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has ended, is on another host, or belongs to another user is refused with the reason."""
    chain.run("chain")
    with chain.opened() as project:
        with pytest.raises(UsageError, match="Run chain-1 is not running: its state is succeeded"):
            launch.cancel(project, "chain-1")
        with pytest.raises(UsageError, match=r"no run 'chain-9'.\nWhy: The newest run is chain-1."):
            launch.cancel(project, "chain-9")

        def put(state: str, host: str) -> None:
            driver = {**json.loads(launch.identity.me()), "host": host}
            columns = {"run_id": "chain-1", "steps_total": 4, "at": project.clock()}
            seen = runs.get_run(project, "chain-1")["driver"]
            row = {**columns, "driver": json.dumps(driver), "seen_driver": seen}
            project.records.write([("adopt_run", row)])

        put("running", "elsewhere")
        with pytest.raises(UsageError, match="driven on host 'elsewhere'"):
            launch.cancel(project, "chain-1")
        put("running", socket.gethostname())

        def refuse(pid: int, number: int) -> None:
            assert (pid, number) == (os.getpid(), signal.SIGINT)
            raise PermissionError

        monkeypatch.setattr(os, "kill", refuse)
        with pytest.raises(UsageError, match="driven by another user"):
            launch.cancel(project, "chain-1")


def test_nothing_has_run(chain: SmallProject) -> None:
    """Asking for a run where none is says so."""
    with chain.opened() as project, pytest.raises(UsageError, match=r"no run 'latest'.\nWhy: Nothing has run yet."):
        runs.get_run(project, "latest")


def test_two_cannot_resume_one_run(chain: SmallProject) -> None:
    """Of two who resume a run at once, the one who comes second is told."""
    (chain.root / "flows/break").touch()
    chain.run("chain")
    with chain.opened() as project:
        row = runs.get_run(project, "chain-1")
        gone = {**json.loads(row["driver"]), "start": "another process"}
        project.records.write(
            [
                (
                    "adopt_run",
                    {
                        "run_id": "chain-1",
                        "steps_total": 4,
                        "at": 1.0,
                        "seen_driver": row["driver"],
                        "driver": json.dumps(gone),
                    },
                )
            ]
        )
        with pytest.raises(UsageError, match="being resumed by another process"):
            launch._adopt(project, row, {"read"})
        assert runs.shown_state(project, runs.get_run(project, "chain-1")) == "interrupted"


def test_a_missing_version_is_said_before_the_run(tmp_path: Path) -> None:
    """A version whose bytes were removed is an error that says how to make it again."""
    shop = SmallProject(tmp_path, WIDE_SHOP)
    version = shop.run("sales", rows=90).version
    assert version is not None
    with shop.opened() as project:
        for digest in plugins.blobs_of(version.artifact, project.blobs.get):
            project.blobs.delete(digest)
    with pytest.raises(BlobMissing, match=r"bytes of dataset sales@1 are not in(.|\n)*Do:  filiera run sales"):
        shop.run("train")
    assert shop.run("sales", rows=90).version == version
    assert shop.run("train").status == "succeeded"
