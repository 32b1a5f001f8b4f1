"""Columns that say nearly the same."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.model.related import related

np = pytest.importorskip("numpy")


@given(st.integers(0, 10_000), st.floats(0.3, 0.99))
def test_sets_are_those_of_spearmans_correlation(seed: int, least: float) -> None:
    """Each column of a set is correlated with another one, and none of different sets are."""
    from scipy.stats import spearmanr

    source = np.random.default_rng(seed)
    values = source.normal(size=(30, 1)) * source.normal(size=5) + source.normal(size=(30, 5)).round(1)
    names = list("abcde")
    sets = related(pl.DataFrame(values, schema=names), least)
    alike = np.abs(spearmanr(values).statistic) >= least
    place = {name: number for number, found in enumerate(sets) for name in found}
    for i, first in enumerate(names):
        partners = [second for j, second in enumerate(names) if i != j and alike[i, j]]
        assert (first in place) == bool(partners)
        assert all(place[second] == place[first] for second in partners)


def test_what_has_an_order_is_looked_at() -> None:
    """Booleans, dates and numbers with missing values; texts and constants are in no set."""
    days = [dt.date(2026, 1, day) for day in range(1, 9)]
    table = pl.DataFrame(
        {
            "day": days,
            "n": [1.0, 2.0, None, 4.0, float("nan"), 6.0, 7.0, 8.0],
            "late": [False] * 4 + [True] * 4,
            "same": [1] * 8,
            "text": list("abcdefgh"),
            "none": pl.Series([None] * 8, dtype=pl.Float64),
        }
    )
    assert related(table, 0.7) == [("day", "n", "late")]
    assert related(table[:1], 0.7) == related(table[["text"]], 0.7) == []
