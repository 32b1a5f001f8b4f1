"""Starting, stopping and resuming runs of a project."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from filiera.core.events import Event, RunStarted, StepStarted, StepSucceeded
from filiera.core.runstate import RunState
from filiera.errors import (
    BlobMissing,
    Cancelled,
    GraphError,
    ProjectError,
    Rejected,
    StepFailed,
    StoreFull,
    UsageError,
)
from filiera.project import launch
from filiera.project.project import Project
from tests.project.chains import CHAIN, SHOP, WIDE_SHOP
from tests.projects import SmallProject, digests, statuses


@pytest.fixture
def chain(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, CHAIN)


@pytest.fixture
def shop(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, SHOP)


def calls(project: SmallProject) -> list[str]:
    """Return which steps ran, and forget."""
    file = project.root / "flows/calls"
    found = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return found


class Hears:
    """A listener that does something at each event."""

    def __init__(self, do: Any) -> None:
        self.do = do
        self.events: list[Event] = []

    def begins(self, log_dir: Path) -> None:
        self.log_dir = log_dir

    def waits(self, state: RunState) -> None: ...

    def __call__(self, event: Event, state: RunState) -> None:
        self.events.append(event)
        self.do(event)


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
        state = launch.recorded_state(project, "chain-1")
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


def test_ctrl_c_cancels_and_keeps_what_is_done(chain: SmallProject) -> None:
    """Ctrl-C, here pressed by the step itself, cancels the run; the next one begins where it was."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run = chain.run("pressed")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert statuses(run) == {"read": "succeeded", "press_ctrl_c": "cancelled", "tell": "cancelled"}
    assert chain.state(run.run_id) == run.state
    assert calls(chain) == ["read", "press_ctrl_c"]
    chain.run("pressed")
    assert calls(chain) == ["press_ctrl_c"]


def test_the_second_ctrl_c_ends_at_once(chain: SmallProject) -> None:
    """Who asks twice does not wait: the run is left as interrupted, and can be resumed."""
    run = chain.run("pressed_twice")
    assert run.status in ("cancelled", "interrupted")
    assert chain.state(run.run_id) == run.state


def test_an_error_of_ours_leaves_the_run_interrupted(chain: SmallProject) -> None:
    """When a driver cannot go on, the run says so at once, with the reason, though the process lives on."""

    def fail(event: Event) -> None:
        if isinstance(event, StepSucceeded):
            raise StoreFull("No space is left.", why="The disk is full.")

    with chain.opened() as project, pytest.raises(StoreFull):
        launch.start(project, "chain", {}, listener=Hears(fail))
    row = chain.read("get_run", run_id="chain-1")[0]
    assert (row["state"], row["failure"]) == ("interrupted", "StoreFull: No space is left.")
    assert calls(chain) == ["read"]
    resumed = chain.resume("chain-1")
    assert resumed.status == "succeeded"
    assert calls(chain) == ["ask", "fragile", "tell"]


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
        launch.start(project, "train", {}, listener=Hears(_full_after("fit")))
    assert shop.run("sales", rows=8).version is not None
    run = shop.resume("train-1")
    assert run.version is not None
    assert run.version.inputs == {"sales": "sales@1"}
    assert statuses(run)["fit"] == "hit"
    assert shop.run("train").version.inputs == {"sales": "sales@2"}  # type: ignore[union-attr]


def _full_after(step: str) -> Any:
    def fail(event: Event) -> None:
        if isinstance(event, StepSucceeded) and event.step == step:
            raise StoreFull("No space is left.")

    return fail


def test_a_running_run_is_left_alone(chain: SmallProject) -> None:
    """While its driver lives, a run cannot be resumed and is not interrupted; it can be cancelled."""
    seen = []

    def meanwhile(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "ask":
            other = Project.open(chain.root)
            row = launch.get_run(other, "latest")
            seen.append(launch.shown_state(other, row))
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
        with pytest.raises(UsageError, match="Run chain-1 is succeeded"):
            launch.cancel(project, "chain-1")
        with pytest.raises(UsageError, match=r"no run 'chain-9'.\nWhy: The newest run is chain-1."):
            launch.cancel(project, "chain-9")

        def put(state: str, host: str) -> None:
            driver = {**json.loads(launch.identity.me()), "host": host}
            columns = {"run_id": "chain-1", "steps_total": 4, "at": project.clock()}
            seen = launch.get_run(project, "chain-1")["driver"]
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
        launch.get_run(project, "latest")


def test_two_cannot_resume_one_run(chain: SmallProject) -> None:
    """Of two who resume a run at once, the one who comes second is told."""
    (chain.root / "flows/break").touch()
    chain.run("chain")
    with chain.opened() as project:
        row = launch.get_run(project, "chain-1")
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
        assert launch.shown_state(project, launch.get_run(project, "chain-1")) == "interrupted"


def test_an_unchanged_model_pipeline_is_all_hits(shop: SmallProject) -> None:
    """The first version becomes champion; running again changes nothing, although there is a champion now."""
    shop.run("sales")
    first = shop.run("train")
    assert first.version is not None
    assert (first.version.ref, first.version.aliases, first.is_new_version) == ("guess@1", ("champion",), True)
    assert first.state.published == ["guess@1"]
    again = shop.run("train")
    assert set(statuses(again).values()) == {"hit"}
    assert again.version is not None
    assert (again.version.ref, again.is_new_version) == ("guess@1", False)
    assert again.version.run_id == "train-1"


def test_later_models_are_compared_with_the_champion(shop: SmallProject) -> None:
    """A better or slightly worse model is published but not made champion; a much worse one publishes nothing."""
    shop.run("sales")
    shop.run("train", score=0.8)
    second = shop.run("train", score=0.9)
    assert second.version is not None
    assert (second.version.ref, second.version.aliases) == ("guess@2", ())
    worse = shop.run("train", score=0.6)
    assert (worse.status, worse.version, worse.state.published) == ("rejected", None, [])
    assert "not worse than champion" in worse.state.message
    with pytest.raises(Rejected):
        worse.require_success()
    again = shop.run("train", score=0.6)
    assert (again.status, statuses(again)["gate"]) == ("rejected", "rejected")
    assert [row["number"] for row in shop.read("find_product_versions", kind="model", name="guess", limit=9)] == [2, 1]


def test_data_that_fails_its_checks_is_not_published(shop: SmallProject) -> None:
    """A blocking check rejects the run: nothing is published, and what consumes the product says what there is."""
    run = shop.run("sales", rows=2)
    assert (run.status, run.version) == ("rejected", None)
    with pytest.raises(UsageError, match=r"no dataset sales@latest.\nWhy: The store has: no dataset yet"):
        shop.run("train")
    assert shop.read("latest_run")[0]["run_id"] == "sales-1"


def test_content_decides_about_versions(shop: SmallProject) -> None:
    """The same content stays the same version; changed content is the next number; an old one again is new again."""
    refs = []
    for rows in (6, 6, 8, 6):
        run = shop.run("sales", rows=rows)
        assert run.version is not None
        refs.append((run.version.ref, run.is_new_version))
    assert refs == [("sales@1", True), ("sales@1", False), ("sales@2", True), ("sales@3", True)]


def test_a_run_killed_before_it_could_say_what_it_published(shop: SmallProject) -> None:
    """Publishing again after a kill finds the run's own version, even when another one was published since."""
    with shop.opened() as project, pytest.raises(StoreFull):
        launch.start(project, "sales", {}, listener=Hears(_full_when_published))
    assert [row["number"] for row in shop.read("find_product_versions", kind="", name="", limit=9)] == [1]
    assert shop.run("sales", rows=9).version.ref == "sales@2"  # type: ignore[union-attr]
    run = shop.resume("sales-1")
    assert run.version is not None
    assert (run.version.ref, run.is_new_version, run.state.published) == ("sales@1", False, ["sales@1"])


def _full_when_published(event: Event) -> None:
    if type(event).__name__ == "Published":
        raise StoreFull("No space is left.")


def test_a_missing_version_is_said_before_the_run(tmp_path: Path) -> None:
    """A version whose bytes were removed is an error that says how to make it again."""
    shop = SmallProject(tmp_path, WIDE_SHOP)
    version = shop.run("sales", rows=90).version
    assert version is not None
    with shop.opened() as project:
        project.blobs.delete(version.artifact.digest)
    with pytest.raises(BlobMissing, match=r"bytes of dataset sales@1 are not in(.|\n)*Do:  filiera run sales"):
        shop.run("train")
    assert shop.run("sales", rows=90).version == version
    assert shop.run("train").status == "succeeded"


def test_interrupted_is_part_of_the_story(chain: SmallProject) -> None:
    """The events of a run tell that it was given up and taken up again."""
    with chain.opened() as project, pytest.raises(StoreFull):
        launch.start(project, "chain", {}, listener=Hears(_full_after("ask")))
    chain.resume("chain-1")
    with chain.opened() as project:
        rows = project.records.read("events_of_run", {"run_id": "chain-1", "since": 0})
    kinds = [row["kind"] for row in rows if row["kind"].startswith("Run")]
    assert kinds == ["RunStarted", "RunInterrupted", "RunResumed", "RunFinished"]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
