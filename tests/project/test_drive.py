"""Driving a planned run to its end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from filiera.core.events import Event, Published, StepSucceeded
from filiera.engine.recorder import Recorder
from filiera.errors import Rejected, StoreFull, UsageError
from filiera.project import launch
from tests.project.chains import CHAIN, SHOP, calls
from tests.projects import Hears, SmallProject, full_disk_after, statuses


@pytest.fixture
def chain(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, CHAIN)


@pytest.fixture
def shop(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, SHOP)


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


def test_a_step_that_catches_the_first_signal_ends_by_the_second(chain: SmallProject) -> None:
    """Who asks twice does not wait for a step that would go on: it is cancelled all the same."""
    run = chain.run("pressed_twice")
    assert run.status == "cancelled"
    assert chain.state(run.run_id) == run.state


@pytest.mark.usefixtures("told_at_once")
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
    assert [
        row["number"] for row in shop.read("find_versions_of_product", kind="model", name="guess", before=99, limit=9)
    ] == [2, 1]


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


def test_a_run_killed_before_it_could_say_what_it_published(shop: SmallProject, monkeypatch) -> None:
    """Publishing again after a kill finds the run's own version, even when another one was published since."""
    record = Recorder.record

    def full_when_published(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Published):
            raise StoreFull("No space is left.")
        record(recorder, event)

    with monkeypatch.context() as patched, shop.opened() as project, pytest.raises(StoreFull):
        patched.setattr(Recorder, "record", full_when_published)
        launch.start(project, "sales", {})
    assert [
        row["number"] for row in shop.read("find_versions_of_product", kind="dataset", name="sales", before=99, limit=9)
    ] == [1]
    assert shop.run("sales", rows=9).version.ref == "sales@2"  # type: ignore[union-attr]
    run = shop.resume("sales-1")
    assert run.version is not None
    assert (run.version.ref, run.is_new_version, run.state.published) == ("sales@1", False, ["sales@1"])


@pytest.mark.usefixtures("told_at_once")
def test_interrupted_is_part_of_the_story(chain: SmallProject) -> None:
    """The events of a run tell that it was given up and taken up again."""
    with chain.opened() as project, pytest.raises(StoreFull):
        launch.start(project, "chain", {}, listener=full_disk_after("ask"))
    chain.resume("chain-1")
    with chain.opened() as project:
        rows = project.records.read("events_of_run", {"run_id": "chain-1", "since": 0})
    kinds = [row["kind"] for row in rows if row["kind"].startswith("Run")]
    assert kinds == ["RunStarted", "RunInterrupted", "RunResumed", "RunFinished"]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
