"""Gates that a model need not pass for a time."""

import datetime as dt
from typing import Any

import pytest

from filiera.core.gate import Gate, Waiver
from filiera.errors import ProjectError
from filiera.project.waivers import ModelWaiver, read_waivers, waivers_of

UNTIL = dt.date(2026, 12, 31)
TABLE = {"model": "m", "gate": "f1 at least 0.9", "reason": "labels arrive in May", "until": UNTIL}
WAIVER = Waiver(gate="f1 at least 0.9", reason="labels arrive in May", until="2026-12-31")


def test_a_waiver_is_read() -> None:
    """Model, gate, reason and the last day."""
    assert read_waivers([TABLE], "filiera.toml") == (ModelWaiver("m", WAIVER),)
    assert read_waivers([], "filiera.toml") == ()


@pytest.mark.parametrize(
    "table",
    [
        {},
        3,
        {**TABLE, "until": None},
        {**TABLE, "until": "2026-12-31"},
        {**TABLE, "until": dt.datetime(2026, 12, 31)},
        {**TABLE, "reason": "  "},
        {**TABLE, "gate": 5},
        {**TABLE, "by": "me"},
        {key: value for key, value in TABLE.items() if key != "reason"},
    ],
    ids=str,
)
def test_a_waiver_without_reason_or_end_is_refused(table: Any) -> None:
    """Who may pass, what, why and until when: all of it."""
    with pytest.raises(ProjectError, match=r"waiver in filiera\.toml"):
        read_waivers([table], "filiera.toml")


def test_waivers_must_be_tables() -> None:
    """``waivers = 3`` means nothing."""
    with pytest.raises(ProjectError, match="waivers"):
        read_waivers(3, "filiera.toml")


def test_a_waiver_ends() -> None:
    """It counts on its last day and not on the next, and for its model only."""
    gates, waivers = [Gate("f1", at_least=0.9)], read_waivers([TABLE], "filiera.toml")
    assert waivers_of(waivers, "m", gates, UNTIL) == (WAIVER,)
    assert waivers_of(waivers, "m", gates, UNTIL + dt.timedelta(days=1)) == ()
    assert waivers_of(waivers, "other", gates, UNTIL) == ()


def test_a_changed_gate_is_not_waived() -> None:
    """A waiver for a gate that is not there any more is an error, not a silence."""
    with pytest.raises(ProjectError, match="Did you mean"):
        waivers_of(read_waivers([TABLE], "filiera.toml"), "m", [Gate("f1", at_least=0.91)], UNTIL)
