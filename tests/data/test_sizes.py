"""Numbers of rows beside another version."""

from __future__ import annotations

import polars as pl
import pytest

from filiera.core.check import Check
from filiera.data.checked_table import Beside
from filiera.data.checks import run_checks


@pytest.mark.parametrize(("rows", "is_near"), [(89, False), (90, True), (100, True), (110, True), (111, False)])
def test_rows_stay_near_those_of_the_version_before(rows, is_near):
    """Up to the share given, more or fewer."""
    beside = Beside(tables={"": pl.LazyFrame({"a": range(100)})})
    found = run_checks(pl.DataFrame({"a": range(rows)}), [Check.rows_near(within=0.1)], beside=beside).results[0]
    assert found.passed is is_near
    if rows == 111:
        assert found.reason == "the table has 111 rows, the version before 100 (+11.0%)"


def test_the_first_version_passes_and_equal_numbers_can_be_asked_for():
    """Without a version before there is nothing to compare with; within 0 numbers are equal."""
    frame = pl.DataFrame({"a": [1]})
    assert run_checks(frame, [Check.rows_near(within=0.1)]).results[0].passed
    beside = Beside(tables={"orders@2": frame.lazy()})
    assert run_checks(frame, [Check.rows_near("orders@2", within=0)], beside=beside).results[0].passed
    assert not run_checks(frame.head(0), [Check.rows_near("orders@2", within=0)], beside=beside).results[0].passed
    assert run_checks(frame, [Check.rows_near("orders@2", within=0)]).blocks
