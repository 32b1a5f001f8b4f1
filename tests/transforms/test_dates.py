"""Dates become whole numbers, the same in a column and alone."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.transforms import DateParts, fit_transforms
from filiera.transforms.dates import PARTS


@given(times=st.lists(st.datetimes() | st.none(), min_size=1, max_size=8))
def test_parts_are_those_of_the_calendar(times: list[dt.datetime | None]) -> None:
    """The second definition is Python's; in any year that it knows."""
    rows = pl.DataFrame({"at": times}, schema={"at": pl.Datetime("us")})
    fitted = fit_transforms([DateParts("at", list(PARTS))], rows)
    made = fitted.apply(rows.lazy()).collect()
    for at, row in zip(times, made.to_dicts(), strict=True):
        assert row["at_year"] == (at and at.year)
        assert row["at_weekday"] == (at and at.isoweekday())
        assert row["at_day_of_year"] == (at and (at.date() - dt.date(at.year, 1, 1)).days + 1)
        assert row == fitted.apply({"at": at})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DateParts("x", ["eon"]), "no part of a date 'eon'"),
        (lambda: DateParts("x", []), "takes parts"),
        (lambda: fit_transforms([DateParts("x")], pl.DataFrame({"x": ["2020-01-01"]})), "dates or times are needed"),
        (lambda: fit_transforms([DateParts("x", ["hour"])], pl.DataFrame({"x": [dt.date(2020, 1, 1)]})), "no hour"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    """With the column, and what to do."""
    with pytest.raises(UsageError, match=message):
        make()
