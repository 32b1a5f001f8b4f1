"""Runs whose driver died are recorded as interrupted, unless somebody goes on with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from filiera.project import identity
from filiera.project.upkeep.abandoned import record_interruption
from tests.project.keeping import House


def leave(house: House) -> dict[str, Any]:
    """Leave a run as a driver does that was killed, and return its row."""
    house.run("numbers")
    with house.database() as database:
        database.execute("UPDATE run SET state = 'running', driver = '{\"pid\": 1}'")
        database.execute("DELETE FROM event WHERE kind = 'RunFinished'")
        database.commit()
    return dict(house.read("get_run", run_id="numbers-1")[0])


def test_it_is_recorded_once(tmp_path: Path) -> None:
    """The run's row and its events say interrupted; asked again, nothing is added."""
    house = House(tmp_path)
    row = leave(house)
    with house.opened() as project:
        assert record_interruption(project, row)
        assert not record_interruption(project, row)
    assert house.column("SELECT state FROM run") == ["interrupted"]
    assert house.state("numbers-1").status == "interrupted"
    assert house.column("SELECT COUNT(*) FROM event WHERE kind = 'RunInterrupted'") == [1]


def test_who_goes_on_with_it_wins(tmp_path: Path) -> None:
    """When another driver has taken the run since it was looked at, nothing changes."""
    house = House(tmp_path)
    row = leave(house)
    with house.opened() as project:
        taken = {"run_id": "numbers-1", "driver": identity.me(), "seen_driver": row["driver"], "at": 1.0}
        project.records.write([("adopt_run", {**taken, "steps_total": 1})])
        assert not record_interruption(project, row)
    assert house.column("SELECT state FROM run") == ["running"]
    assert house.column("SELECT COUNT(*) FROM event WHERE kind = 'RunInterrupted'") == [0]
