"""Checks learned from a table."""

from __future__ import annotations

import datetime as dt
import random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.check import Check
from filiera.data.checks import run_checks
from filiera.data.suggest import as_python, suggest_checks

VALUES = st.one_of(
    st.none(), st.integers(-3, 3), st.floats(), st.text(max_size=3), st.booleans(), st.dates(), st.just("x" * 40)
)
COLUMNS = st.lists(st.lists(VALUES, min_size=6, max_size=6), max_size=4)


def table(seed, rows=500):
    """Return rows of one law, from a seed."""
    dice = random.Random(seed)
    kinds = [dice.choice(["tcp", "udp", "icmp"]) for _ in range(rows)]
    return pl.DataFrame(
        {
            "id": [f"{n:04d}" for n in range(rows)],
            "kind": kinds,
            "rate": [dice.random() for _ in kinds],
            "bytes": [dice.randrange(10**6) for _ in kinds],
            "at": [dt.datetime(2026, 1, 1) + dt.timedelta(seconds=n) for n in range(rows)],
            "is_tcp": [kind == "tcp" for kind in kinds],
            "is_udp": [kind == "udp" for kind in kinds],
            "address": [f"10.0.0.{dice.randrange(255)}" for _ in kinds],
        }
    )


def test_what_is_learned_can_be_pasted():
    """Source that makes the same checks again, and that another table of the same law passes."""
    checks = suggest_checks(table(1).lazy())
    pasted: dict[str, list[Check]] = {}
    exec(as_python(checks), {"Check": Check}, pasted)
    assert pasted["CHECKS"] == checks
    assert [check.name for check in checks if check.severity == "block"] == [
        "id is string, kind is string, rate is float64 and 5 more",
        "id, kind, rate and 5 more not null",
        "rate finite",
        r"id matches ^\d+$",
        "kind in {icmp, tcp, udp}",
        "rate in 0..1",
        "bytes in 0..",
        "at sorted",
        r"address matches ^(\d{1,3}\.){3}\d{1,3}$",
        "id unique",
        "is_tcp, is_udp one hot or none",
    ]
    assert not run_checks(table(2), checks).failed


@given(columns=COLUMNS)
def test_a_table_passes_what_was_learned_from_it(columns):
    """Whatever is in it: no check fails or cannot be evaluated."""
    frame = pl.DataFrame({f"c{n}": pl.Series(column, strict=False) for n, column in enumerate(columns)})
    checks = suggest_checks(frame)
    assert not run_checks(frame, checks).failed
    pasted: dict[str, list[Check]] = {}
    exec(as_python(checks), {"Check": Check}, pasted)
    assert pasted["CHECKS"] == checks
