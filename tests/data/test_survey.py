"""One pass, in batches of whatever size, finds what plain Python finds in all rows at once."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.data import survey as module
from filiera.data.distribution import time_text
from filiera.data.explore import explore
from filiera.data.profile import Column
from filiera.data.tally import unit_s
from tests.data.frames import TIMES, columns, frames


@pytest.fixture(params=[2, 1 << 17], autouse=True, scope="module")
def batch_rows(request: pytest.FixtureRequest) -> Iterator[int]:
    """Look at tables in batches of two rows, and whole."""
    before = module.BATCH_ROWS
    module.BATCH_ROWS = request.param
    yield request.param
    module.BATCH_ROWS = before


def key(value: object) -> object:
    """Return a value that is equal for what Polars takes as equal values."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return repr(value)


@settings(max_examples=60, deadline=None)
@given(values=columns())
def test_counts_are_those_of_plain_python(values: pl.Series) -> None:
    """Missing, NaN, infinite, zero, negative, empty and different values are counted exactly, whatever the type."""
    found = explore(values.to_frame()).columns[0]
    rows = values.to_list() if values.dtype != pl.Datetime("us") else values.to_physical().to_list()
    held = [value for value in rows if value is not None]
    numbers = [value for value in held if values.dtype.is_numeric()]
    assert found.nulls == len(rows) - len(held)
    assert found.nan == sum(math.isnan(value) for value in numbers)
    assert found.infinite == sum(math.isinf(value) for value in numbers)
    finite = [value for value in numbers if math.isfinite(value)]
    if values.dtype.is_numeric():
        assert (found.zeros, found.negative) == (sum(v == 0 for v in finite), sum(v < 0 for v in finite))
    if values.dtype in (pl.String, pl.Binary, pl.List):
        assert found.empty == sum(len(value) == 0 for value in held)
    assert (found.distinct, found.distinct_error) == (len({key(value) for value in held}), 0.0)


@settings(max_examples=60, deadline=None)
@given(values=columns(kinds=TIMES))
def test_quantiles_of_times_are_times(values: pl.Series) -> None:
    """They are values of the column, as texts; far from 1970, to the thousand steps that a float knows."""
    found = explore(values.to_frame()).columns[0]
    held = sorted(values.to_physical().drop_nulls().to_list())
    places = [math.floor(q * (len(held) - 1) + 0.5) for q in (0.05, 0.25, 0.5, 0.75, 0.95)] if held else []
    known = [held[place] if abs(held[place]) < 2**51 else round(held[place] / 1000) * 1000 for place in places]
    assert list(found.quantiles) == [time_text(stored, values.dtype) for stored in known]


@settings(max_examples=60, deadline=None)
@given(values=columns())
def test_numbers_are_those_of_plain_python(values: pl.Series) -> None:
    """Extremes and quantiles are exact, mean and deviation as near as floats are."""
    found = explore(values.to_frame()).columns[0]
    if values.dtype == pl.Duration:
        held = [Fraction(v, 10**6) for v in values.to_physical().drop_nulls().to_list()]
    elif values.dtype.is_numeric():
        held = [Fraction(v) for v in values.drop_nulls().to_list() if math.isfinite(v)]
    else:
        held = []
    if not held:
        assert (found.mean, found.quantiles if found.kind != "time" else ()) == (None, ())
        return
    assert float(found.minimum) == pytest.approx(float(min(held)), rel=1e-12)  # type: ignore[arg-type]
    assert float(found.maximum) == pytest.approx(float(max(held)), rel=1e-12)  # type: ignore[arg-type]
    held.sort()
    places = [math.floor(q * (len(held) - 1) + 0.5) for q in (0.05, 0.25, 0.5, 0.75, 0.95)]
    assert found.quantiles == pytest.approx([float(held[place]) for place in places], rel=1e-12)
    size = max(abs(float(value)) for value in held)
    if found.mean is not None:
        assert found.mean == pytest.approx(float(sum(held) / len(held)), abs=1e-9 * size)
    if found.deviation is not None and size < 1e150:
        spread = float(statistics.pvariance(held) * len(held) / (len(held) - 1)) ** 0.5
        assert found.deviation == pytest.approx(spread, abs=1e-7 * size)


@settings(max_examples=50, deadline=None)
@given(frame=frames())
def test_every_row_is_accounted_for(frame: pl.DataFrame) -> None:
    """Bars, values without a bar, missing and not finite values together are all rows; repeated rows are counted."""
    found = explore(frame)
    assert found.rows == frame.height
    for column in found.columns:
        if column.bars:
            counted = sum(bar.count for bar in column.bars) + column.not_shown
            assert counted == column.filled(frame.height)
    different = {tuple(key(value) for value in row) for row in _plain(frame).rows()}
    if frame.width:
        assert found.repeated_rows == frame.height - len(different)


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Datetime).to_physical())


@settings(max_examples=60, deadline=None)
@given(frame=frames(), target=st.integers(0, 2))
def test_a_query_has_the_profile_of_its_table(frame: pl.DataFrame, target: int) -> None:
    """Streaming changes nothing, with or without a target."""
    kinds = [column.kind for column in explore(frame).columns]
    name = f"c{target}" if target < frame.width and kinds[target] != "other" else None
    assert explore(frame.lazy(), target=name) == explore(frame, target=name)


@settings(max_examples=50, deadline=None)
@given(values=columns())
def test_gaps_are_those_of_the_values_in_order(values: pl.Series) -> None:
    """The longest stretch without a value, and the usual one, in seconds."""
    found = explore(values.to_frame()).columns[0].gaps
    if values.dtype not in (pl.Date, pl.Datetime):
        assert found is None
        return
    held = values.drop_nulls().to_physical().to_list()
    steps = [after - before for before, after in zip(sorted(held), sorted(held)[1:], strict=False)]
    assert found is not None
    assert found.is_ascending == (held == sorted(held))
    step_s = unit_s(values.dtype)
    assert (found.longest_s or 0.0) == pytest.approx(max(steps, default=0) * step_s, abs=1e-4)
    apart = [step for step in steps if step]
    assert (found.typical_s is None) == (not apart)
    if apart:
        assert found.typical_s == pytest.approx(statistics.median(apart) * step_s, abs=1e-4)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_table_of_nearly_nothing_has_a_profile(rows: int) -> None:
    """No column, no row, one row."""
    assert explore(pl.DataFrame()).rows == 0
    found: Column = explore(pl.DataFrame({"a": [1] * rows}, schema={"a": pl.Int64})).columns[0]
    assert (found.distinct, found.deviation) == (rows, None)


def test_python_objects_are_counted_only() -> None:
    """A column of Python objects has no more than its missing values."""
    frame = pl.DataFrame({"o": pl.Series([object(), None, object()], dtype=pl.Object), "a": [1, 2, 3]})
    found = explore(frame)
    assert (found.columns[0].nulls, found.columns[0].distinct, found.repeated_rows) == (1, None, None)
