"""Distributions beside those of the version before."""

from __future__ import annotations

import datetime as dt
import random

import polars as pl
import pytest

from filiera.core.check import Check
from filiera.data.checked_table import Beside
from filiera.data.checks import run_checks

COLUMNS = ("number", "whole", "flag", "text", "rare")


def rows(seed, height, *, shift=0.0, share=0.5, nulls=0.1):
    """Return rows of one law; the arguments change it."""
    dice = random.Random(seed)
    texts = ["tcp", "udp", "icmp"]
    return pl.DataFrame(
        {
            "number": [None if dice.random() < nulls else dice.gauss(shift, 1) for _ in range(height)],
            "whole": [dice.randrange(5) for _ in range(height)],
            "flag": [dice.random() < share for _ in range(height)],
            "text": [dice.choices(texts, [share, 0.3, 0.2])[0] for _ in range(height)],
            "rare": [f"name {dice.randrange(10_000)}" for _ in range(height)],
        }
    )


def found(before, after, *columns, effect=0.1):
    check = Check.no_drift(*(columns or COLUMNS), effect=effect)
    return run_checks(after.lazy(), [check], beside=Beside(tables={"": before.lazy()})).results[0]


def test_rows_of_one_law_do_not_alarm():
    """200 pairs of samples of five columns each: not one alarm, even where every effect counts."""
    alarms = sum(not found(rows(n, 300), rows(-n - 1, 200), effect=0).passed for n in range(200))
    assert alarms <= 4
    assert sum(not found(rows(n, 300), rows(-n - 1, 200)).passed for n in range(200)) == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shift": 0.5}, "number: distribution functions apart by 0."),
        ({"share": 0.9}, "flag: values of rows changed by 0."),
        ({"nulls": 0.4}, "number: share of nulls changed by 0."),
    ],
)
def test_changes_are_found(change, reason):
    """A shift of half a standard deviation, another share, more nulls."""
    result = found(rows(1, 3000), rows(2, 2000, **change))
    assert result.reason.startswith(reason)
    assert result.reason.endswith("; least effect that counts: 0.1")
    assert found(rows(1, 3000), rows(2, 2000, **change), effect=0.9).passed


@pytest.mark.parametrize(
    ("before", "after"), [(pl.Int64, pl.Int32), (pl.UInt8, pl.Int16), (pl.Float64, pl.Float32)], ids=str
)
def test_numbers_of_another_width_are_compared(before, after):
    """A database that keeps the same numbers in fewer bytes has not changed them; other numbers are still found."""
    now = pl.DataFrame({"a": [value % 100 for value in range(1000)], "b": ["x", "y"] * 500})
    old, new = now.cast({"a": before}), now.cast({"a": after})
    assert found(old, new, "a", "b").passed
    assert found(old, old.with_columns(a=(pl.col("a") // 2).cast(after)), "a").reason.startswith(
        "a: distribution functions apart"
    )


def test_what_cannot_be_compared_is_said():
    """A column that is gone, of another type or a time; few rows say nothing, and the first version passes."""
    now = pl.DataFrame({"a": [1.0] * 60, "t": [dt.date(2020, 1, 1)] * 60})
    assert run_checks(now, [Check.no_drift("a")]).results[0].passed
    assert found(now.rename({"a": "b"}), now, "a").reason == "the version before has no column 'a'"
    assert found(now.cast({"a": pl.Int8}), now, "a").reason == "a is float64, but int8 in the version before"
    assert found(now, now, "t").reason == "t is date: time always moves on; check an age or a lag"
    assert found(now.head(9), now.with_columns(a=2.0), "a").passed
    assert not found(now, now.with_columns(a=2.0), "a").passed
