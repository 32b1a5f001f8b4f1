"""Which runs stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from filiera.errors import UsageError
from filiera.project import identity
from filiera.project.upkeep.retention import DAY_S, Kept, Retention
from tests.project.keeping import House


def others(house: House, **rules: float) -> set[str]:
    with house.opened() as project:
        kept = Kept(project.records, Retention(**rules), now=project.clock())  # type: ignore[arg-type]
        return {row["run_id"] for rows in kept.others() for row in rows}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Five runs of one pipeline, a day apart, and an old one of another."""
    house = House(tmp_path)
    house.run("values")
    for _ in range(5):
        house.let_pass(DAY_S)
        house.run("numbers")
    return house


@pytest.mark.parametrize(
    ("days", "runs", "gone"),
    [(30, 1, 0), (2.5, 1, 2), (2.5, 4, 1), (0, 0, 4), (0, 1, 4), (0, 2, 3), (0, 5, 0), (0, 99, 0)],
)
def test_age_or_place_keeps_a_run(house: House, days: float, runs: int, gone: int) -> None:
    """What is too old and too far down goes; the newest of each pipeline never."""
    assert others(house, keep_days=days, keep_runs=runs) == {f"numbers-{number + 1}" for number in range(gone)}


def test_a_driver_elsewhere_has_a_day(house: House) -> None:
    """A run driven on another host, whose clock may differ, counts as live for a day after it spoke last."""
    driver = json.dumps({**json.loads(identity.me()), "host": "elsewhere"})
    with house.database() as database:
        where = (driver, "numbers-5", "numbers-3")
        database.execute("UPDATE run SET state = 'running', driver = ? WHERE run_id IN (?, ?)", where)
        database.commit()
    with house.opened() as project:
        kept = Kept(project.records, Retention(), now=project.clock())
    assert [row["run_id"] for row in kept.live] == ["numbers-5"]
    assert [row["run_id"] for row in kept.abandoned] == ["numbers-3"]


def test_rules_are_checked_at_birth() -> None:
    """Each rule has its bounds."""
    for rules in ({"keep_days": -0.1}, {"keep_days": float("inf")}, {"keep_runs": -1}, {"grace_s": 7199.0}):
        with pytest.raises(UsageError):
            Retention(**rules)  # type: ignore[arg-type]
