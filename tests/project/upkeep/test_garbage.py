"""What clean-up lets go of, what it keeps, and what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from filiera.core.products import ProductRef
from filiera.errors import StoreBusy, UsageError
from filiera.project.housekeeping import alone
from filiera.project.upkeep.garbage import KINDS, Removed, drop_version
from filiera.project.upkeep.shelf import Shelf
from filiera.sql.loader import load_schema
from tests.project.keeping import DAY_S, House, LiveRun
from tests.projects import statuses


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def amounts(removed: Removed) -> dict[str, tuple[int, int]]:
    return {kind: (amount.count, amount.size_bytes) for kind, amount in removed.amounts.items() if amount.count}


def test_nothing_is_removed_from_an_empty_store(house: House) -> None:
    """Where nothing has run there is nothing to clean, and no store is made."""
    assert amounts(house.collect()) == {}
    assert not house.store.exists()


def test_old_runs_go_with_all_that_only_they_need(house: House) -> None:
    """Runs that are old and not among the newest go, with steps, events, logs, results, values, code and blobs."""
    for x in (1, 2, 3):
        house.run("values", x=x)
    house.let_pass(2 * DAY_S)
    expected = house.collect(dry_run=True)
    assert house.runs() == {"values-1", "values-2", "values-3"}
    removed = house.collect()
    assert removed == expected
    assert set(amounts(removed)) >= {"runs", "results", "values", "blobs"}
    assert house.runs() == {"values-3"}
    house.check_whole()
    house.check_clean()
    assert set(statuses(house.run("values", x=3)).values()) == {"hit"}
    assert statuses(house.run("values", x=1))["large"] == "succeeded"
    assert {"runs"} <= set(amounts(house.collect())) <= {"runs", "logs"}


def test_young_runs_and_the_newest_stay(house: House) -> None:
    """A run stays while one of both rules says so: its age, or its place among the newest of its pipeline."""
    for x in range(4):
        house.run("numbers", x=x)
    house.run("values", x=1)
    assert amounts(house.collect(keep_runs=0)) == {}
    house.let_pass(2 * DAY_S)
    assert amounts(house.collect(keep_runs=4)) == {}
    house.collect(keep_runs=2)
    assert house.runs() == {"numbers-3", "numbers-4", "values-1"}
    house.collect(keep_runs=0, keep_days=0)
    assert house.runs() == {"numbers-4", "values-1"}
    assert house.run("numbers", x=9).run_id == "numbers-5"


def test_versions_keep_their_runs(house: House) -> None:
    """What a version names stays, and the run that made it, however old."""
    for x in (1, 2, 3):
        house.run("values", x=x)
    house.publish("values-1")
    house.let_pass(900 * DAY_S)
    house.collect()
    assert house.runs() == {"values-1", "values-3"}
    house.check_whole()
    house.check_clean()
    with house.opened() as project:
        version = project.versions.find()[0]
        assert {str(place): project.value(ref) is not None for place, ref in version.attachments.items()}


def test_a_dropped_version_lets_go(house: House) -> None:
    """Without its version, a run is like any other; a version in use or the newest cannot be dropped."""
    for x in (1, 2, 3):
        house.run("values", x=x)
    for run_id in ("values-1", "values-2", "values-3"):
        house.publish(run_id)
    house.promote(2, "good")
    house.let_pass(2 * DAY_S)
    with house.opened() as project:
        for number, word in (("3", "newest"), ("2", "good"), ("9", "no dataset")):
            with pytest.raises(UsageError, match=word):
                drop_version(project, ProductRef("kept", number))
        drop_version(project, ProductRef("kept", "1"))
        assert [version.number for version in project.versions.find()] == [3, 2]
    house.collect()
    assert house.runs() == {"values-2", "values-3"}
    house.check_whole()
    house.check_clean()


def test_a_run_whose_driver_died_can_be_resumed(house: House) -> None:
    """A dead driver's run is recorded as interrupted, and stays as long as others do."""
    house.run("values", x=1)
    house.run("values", x=2)
    with house.database() as database:
        for run_id in ("values-1", "values-2"):
            driver = json.loads(database.execute("SELECT driver FROM run").fetchone()[0])
            row = (json.dumps({**driver, "start": "before"}), run_id)
            database.execute("UPDATE run SET state = 'running', driver = ? WHERE run_id = ?", row)
            database.execute("DELETE FROM event WHERE run_id = ? AND kind = 'RunFinished'", (run_id,))
        database.commit()
    assert amounts(house.collect(dry_run=True)) == {}
    assert house.column("SELECT DISTINCT state FROM run") == ["running"]
    house.collect()
    assert house.column("SELECT DISTINCT state FROM run") == ["interrupted"]
    assert house.state("values-1").status == "interrupted"
    house.let_pass(2 * DAY_S)
    house.collect()
    assert house.runs() == {"values-2"}
    assert house.resume("values-2").status == "succeeded"


def test_beside_a_live_run_the_cache_stays(house: House) -> None:
    """While a run is under way, what the cache can give stays, and its values; old runs and other blobs go."""
    for _ in range(2):
        house.run("salty")
    house.run("values", x=1)
    house.run("values", x=2)
    house.let_pass(2 * DAY_S)
    live = LiveRun(house, "values", x=1)
    live.until_recorded(house)
    removed = house.collect()
    assert removed.live == ("values-3",)
    assert {"results", "values", "code"}.isdisjoint(amounts(removed))
    assert {"runs", "blobs"} <= set(amounts(removed))
    live.finish()
    assert set(statuses(live.run).values()) == {"hit"}
    house.check_whole()
    house.collect()
    house.check_whole()
    house.check_clean()


def test_what_is_young_stays(house: House) -> None:
    """Blobs and unfinished files younger than the grace stay, although nothing names them yet."""
    house.run("values")
    with house.opened() as project:
        project.blobs.put(b"1" * 9000)
        (project.blobs.scratch() / "part").write_bytes(b"12345")
    house.let_pass(0.9 * DAY_S)
    assert amounts(house.collect()) == {}
    house.let_pass(0.2 * DAY_S)
    assert amounts(house.collect()) == {"blobs": (1, 9000), "scratch": (1, 5)}


def test_logs_without_a_run_go(house: House) -> None:
    """A log folder whose run is gone, as a kill leaves it, goes when it is old."""
    house.run("numbers")
    (house.store / "logs" / "numbers-77").mkdir(parents=True)
    (house.store / "logs" / "numbers-77" / "1.log").write_text("hello")
    assert amounts(house.collect()) == {}
    house.let_pass(2 * DAY_S)
    assert amounts(house.collect()) == {"logs": (1, 5)}
    house.check_clean()


def test_one_at_a_time(house: House) -> None:
    """Two clean-ups of one store are refused; a look is not."""
    house.run("numbers")
    with alone(house.store):
        assert amounts(house.collect(dry_run=True)) == {}
        with pytest.raises(StoreBusy):
            house.collect()
    assert amounts(house.collect()) == {}


@pytest.mark.parametrize(
    "rules", [{"keep_days": -1}, {"keep_days": float("nan")}, {"keep_runs": -1}, {"grace_s": 3600.0}]
)
def test_rules_that_make_no_sense_are_refused(house: House, rules: dict[str, float]) -> None:
    """Days and runs are not negative, and the grace is long enough for what is just being stored."""
    with pytest.raises(UsageError):
        house.collect(**rules)


def test_all_kinds_are_counted(house: House) -> None:
    """The amounts have every kind, also those of which there is nothing."""
    assert tuple(house.collect().amounts) == KINDS


def test_every_table_is_thought_of() -> None:
    """A new table is a decision: are its rows looked at, do they go with their run, or do they stay for ever?"""
    looked_at = {"run", "step_run", "event", "artifact", "cache_entry", "closure", "product_version"}
    aside = {"leaving_artifact", "leaving_closure", "leaving_result"}
    with_their_run = {"approval", "proof"}
    with_their_version = {"signature", "alias"}
    stay = {"schema_version", "alias_move", "audit", "pipeline"}
    of_services = {"service", "message", "trigger_mark", "deployment", "deployment_note", "deployment_tally"}
    of_services |= {"monitor_verdict", "prediction_part", "moved_segment"}
    tables = set(re.findall(r"CREATE TABLE (\w+)", "\n".join(load_schema())))
    assert tables == looked_at | aside | with_their_run | with_their_version | stay | of_services


@pytest.mark.parametrize("pipeline", ["values", "salty"])
def test_a_live_run_loses_nothing_at_any_moment(tmp_path: Path, pipeline: str) -> None:
    """Between any two uses of its records, a run that is given old results, or makes old values again, keeps them."""
    stops = 0
    while True:
        house = House(tmp_path / str(stops))
        for x in (1, 2, 2):
            house.run(pipeline, x=x)
        house.let_pass(2 * DAY_S)
        live = LiveRun(house, pipeline, x=1)
        goes_on = all(live.step() for _ in range(stops))
        house.collect(keep_days=0)
        live.finish()
        assert live.run.status == "succeeded"
        house.check_whole()
        house.collect()
        house.check_whole()
        house.check_clean()
        if not goes_on:
            return
        stops += 1


@pytest.mark.parametrize("pipeline", ["values", "salty"])
@pytest.mark.parametrize("moment", [0, 1])
def test_a_run_that_begins_meanwhile_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: str, moment: int
) -> None:
    """A run that begins just before rows are set aside, and is anywhere when they are, keeps what it was given."""
    original = Shelf.move
    stops = 0
    while True:
        house = House(tmp_path / str(stops))
        for x in (1, 2, 2):
            house.run(pipeline, x=x)
        house.let_pass(2 * DAY_S)
        monkeypatch.syspath_prepend(house.root)
        begun: list[LiveRun] = []
        moves: list[Shelf] = []

        def begin_first(shelf: Shelf, records: Any, rows: Any) -> Any:
            moves.append(shelf)  # noqa: B023
            if len(moves) == moment + 1:  # noqa: B023
                live = LiveRun(house, pipeline, x=1)  # noqa: B023
                goes_on.append(all(live.step() for _ in range(stops)))  # noqa: B023
                begun.append(live)  # noqa: B023
            return original(shelf, records, rows)

        goes_on: list[bool] = []
        monkeypatch.setattr(Shelf, "move", begin_first)
        house.collect(keep_days=0)
        monkeypatch.setattr(Shelf, "move", original)
        for live in begun:
            live.finish()
            assert live.run.status == "succeeded"
        house.check_whole()
        house.collect()
        house.check_clean()
        if begun and pipeline == "values":
            assert set(statuses(house.run(pipeline, x=1)).values()) == {"hit"}
        if not all(goes_on) or not begun:
            return
        stops += 1
