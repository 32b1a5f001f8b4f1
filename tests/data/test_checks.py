"""Checks run over tables."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from filiera.core import plain
from filiera.core.check import Check
from filiera.data.checks import run_checks
from filiera.data.quarantine import quarantine, validate


def adds_up(col):
    return col.a + col.b == col.total


def raises(col):
    raise KeyError("no such thing")


def returns_text(col):
    return "yes"


def gives_numbers(col):
    return col.a + 1


def names_a_stranger(col):
    return col.nowhere > 0


def divides_by_zero(col):
    return col.a.map_elements(_fail, return_dtype=pl.Boolean)


def _fail(value):
    raise ZeroDivisionError(value)


def has_a_small_sum(col):
    return col.a.sum() < 10


def forgets_rows(col):
    return (col.a > 0).head(2)


def run_one(frame, check):
    return run_checks(frame, [check]).results[0]


NULL, NAN, INF = None, math.nan, math.inf


@pytest.mark.parametrize(
    ("values", "check", "broken"),
    [
        ([1, NULL, 3], Check.not_null("x"), [1]),
        ([1.0, NAN], Check.not_null("x"), []),
        ([0.0, 1.0, 1.5, -0.1, NULL, NAN], Check.in_range("x", 0, 1), [2, 3, 5]),
        ([NAN, INF, 5.0], Check.in_range("x", 0), [0]),
        ([NAN, -INF, 5.0], Check.in_range("x", maximum=9), [0]),
        ([2**62, 2**62 + 1], Check.in_range("x", maximum=2**62), [1]),
        ([1, 2], Check.in_range("x", 1.5), [0]),
        ([Decimal("1.5"), Decimal("2.5")], Check.in_range("x", 2), [0]),
        ([date(2020, 1, 1), date(2021, 1, 1)], Check.in_range("x", date(2020, 6, 1)), [0]),
        ([datetime(2020, 1, 1), NULL], Check.in_range("x", datetime(2020, 6, 1)), [0]),
        ([datetime(2020, 1, 1, tzinfo=UTC)], Check.in_range("x", datetime(2020, 6, 1, tzinfo=UTC)), [0]),
        ([timedelta(1), timedelta(3)], Check.in_range("x", maximum=timedelta(2)), [1]),
        ([NULL, NULL], Check.in_range("x", 0), []),
        (["tcp", "TCP", NULL], Check.in_set("x", ["tcp"]), [1]),
        ([1, 2, NULL], Check.in_set("x", [1.0, 2.5]), [1]),
        ([1.0, 2.5, NAN], Check.in_set("x", [1, 2.5]), [2]),
        ([True, False], Check.in_set("x", [True]), [1]),
        ([date(2020, 1, 1), date(2021, 1, 1)], Check.in_set("x", [date(2020, 1, 1)]), [1]),
        (["ab", "b1", NULL], Check.matches("x", "^[a-z]+$"), [1]),
        ([1, 2, 1, NULL, NULL, 1], Check.unique("x"), [2, 5]),
        ([1.0, NAN, INF, -INF, NULL], Check.finite("x"), [1, 2, 3]),
        ([1, 2], Check.finite("x"), []),
    ],
)
@pytest.mark.parametrize("is_lazy", [False, True], ids=["frame", "lazy"])
def test_rows_that_break_a_check_are_counted_and_shown(values, check, broken, is_lazy):
    """Exactly the offending rows are counted, null and NaN included where the check says so."""
    frame = pl.DataFrame({"x": values})
    result = run_one(frame.lazy() if is_lazy else frame, check)
    assert (result.rows_failed, [example.row for example in result.examples]) == (len(broken), broken)
    assert result.passed is (not broken)
    assert result.rows_checked == len(values)


def test_small_integers_are_compared_with_bounds_they_cannot_hold():
    """A bound or a set value outside the column's type is compared, not an error."""
    frame = pl.DataFrame({"x": [1, 100]}, schema={"x": pl.Int8})
    unsigned = pl.DataFrame({"x": [1, 2**64 - 1]}, schema={"x": pl.UInt64})
    assert run_one(frame, Check.in_range("x", -1000, 1000)).passed
    assert run_one(frame, Check.in_set("x", [1, 300])).rows_failed == 1
    assert run_one(unsigned, Check.in_range("x", -1)).passed
    assert run_one(unsigned, Check.in_set("x", [1])).rows_failed == 1


def test_categories_are_texts():
    """Set and pattern checks take categorical and enum columns."""
    for dtype in (pl.Categorical, pl.Enum(["tcp", "udp"])):
        frame = pl.DataFrame({"x": ["tcp", "udp"]}, schema={"x": dtype})
        assert run_one(frame, Check.in_set("x", ["tcp"])).rows_failed == 1
        assert run_one(frame, Check.matches("x", "tcp")).rows_failed == 1


def test_one_hot_group_has_exactly_one():
    """None, two, another number or a null in the group breaks it; booleans count as 0 and 1."""
    frame = pl.DataFrame({"a": [1, 0, 1, 2, None], "b": [0, 0, 1, 0, 1], "c": [False] * 5})
    result = run_one(frame, Check.one_hot("a", "b", "c"))
    assert [example.row for example in result.examples] == [1, 2, 3, 4]


def test_several_columns_are_counted_apart():
    """A check over many columns says which of them break it, and counts a row once."""
    frame = pl.DataFrame({"a": [1, None, None], "b": [1, 2, 3], "c": [None, None, 1]})
    result = run_one(frame, Check.not_null("a", "b", "c"))
    assert result.rows_failed == 3
    assert result.reason == "3 of 3 rows (a 2, c 2), first row 0: a = 1, c = None"


def test_types_and_columns():
    """A wrong type and a missing column are named with what is there."""
    frame = pl.DataFrame({"a": [1], "b": ["x"], "t": [datetime(2020, 1, 1)]})
    assert run_one(frame, Check.types({"a": "int64", "b": "string", "t": "timestamp"})).passed
    assert run_one(frame, Check.types({"a": "float64", "b": "string"})).reason == "a is int64, not float64"
    assert run_one(frame, Check.type_is("z", "int64")).reason == "no column 'z'; the table has: a, b, t"


@pytest.mark.parametrize(
    ("check", "passed"), [(Check.rows(at_least=3), True), (Check.rows(4), False), (Check.rows(at_most=2), False)]
)
def test_number_of_rows(check, passed):
    """The number of rows is a check of the whole table: no row is to blame."""
    result = run_one(pl.DataFrame({"a": [1, 2, 3]}), check)
    assert (result.passed, result.rows_failed) == (passed, 0)
    assert result.reason == ("" if passed else "the table has 3 rows")


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (Check.rule("r", raises), "the rule raised KeyError: 'no such thing'"),
        (Check.rule("r", returns_text), "the rule returned a str, not a polars expression"),
        (Check.rule("r", gives_numbers), "the rule gives int64, not bool"),
        (Check.rule("r", names_a_stranger), "the rule does not fit the table: ColumnNotFoundError"),
        (Check.rule("r", divides_by_zero), "cannot be evaluated: ZeroDivisionError"),
        (Check.rule("r", has_a_small_sum), "does not hold for the table as a whole"),
        (Check.rule("r", forgets_rows), "the rule gave 2 values for 3 rows"),
        (Check.matches("s", "(?=a)"), "cannot be evaluated: ComputeError: regex error"),
        (Check.in_range("s", 0), "s is string; this check needs a number column"),
        (Check.in_range("a", date(2020, 1, 1)), "a is int64; this check needs a date column"),
        (Check.in_set("a", ["x"]), "a is int64; this check needs a text column"),
        (Check.matches("a", "x"), "a is int64; this check needs a text column"),
        (Check.finite("s"), "s is string; this check needs a number column"),
        (Check.one_hot("a", "s"), "s is string; this check needs a number column"),
        (Check.not_null("a", "z"), "no column 'z'; the table has: a, s"),
    ],
)
def test_check_that_cannot_be_evaluated_fails_alone(check, reason):
    """It fails with its reason, and the checks beside it are measured as if it were not there."""
    frame = pl.DataFrame({"a": [5, 6, 7], "s": ["x", "y", "z"]})
    before, bad, after = run_checks(frame, [Check.in_range("a", 6), check, Check.not_null("s")]).results
    assert (before.rows_failed, after.passed) == (1, True)
    assert not bad.passed
    assert bad.reason.startswith(reason)


def test_rule_of_the_user():
    """A rule is true for good rows; the columns it uses are shown; null passes."""
    frame = pl.DataFrame({"a": [1, 1, None], "b": [1, 1, 1], "total": [2, 3, 9]})
    result = run_one(frame, Check.rule("adds up", adds_up))
    assert result.reason == "1 of 3 rows, first row 1: a = 1, b = 1, total = 3"


@pytest.mark.parametrize(
    "check", [Check.not_null("a"), Check.in_range("a", 0), Check.unique("a"), Check.rule("r", adds_up)]
)
def test_empty_table_breaks_no_row_check(check):
    """Where there is no row, no row breaks a check."""
    frame = pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64, "total": pl.Int64})
    assert run_one(frame, check).passed


def test_sensitive_values_stay_out_of_the_report():
    """The offending row is told, its sensitive values are not."""
    frame = pl.DataFrame({"name": ["Ada", "Bob"], "age": [-1, 4]})
    report = run_checks(frame, [Check.in_set("name", ["x"]), Check.in_range("age", 0)], sensitive=["name"])
    assert b"Ada" not in plain.encode(report)
    assert report.results[0].examples[0].values == (("name", "(hidden)"),)


def test_a_column_called_row_is_no_trap():
    """Row numbers do not collide with the user's columns."""
    frame = pl.DataFrame({"row": [7, 8], "row_": [1, 1]})
    assert run_one(frame, Check.in_range("row", maximum=7)).examples[0].values == (("row", 8),)


def test_report_of_many_failures_is_short_and_plain():
    """At most five rows are shown, long values are cut, and the report can be stored."""
    report = run_checks(pl.DataFrame({"s": ["x" * 1000] * 100}), [Check.matches("s", "y")])
    assert len(report.results[0].examples) == 5
    assert len(plain.encode(report)) < 2000
    assert plain.decode(plain.encode(report)) == report


def test_quarantine_keeps_every_row_once():
    """Kept and rejected rows together are the table, in order, and each rejected row names all rules it broke."""
    frame = pl.DataFrame({"a": [1, -1, 3, None], "s": ["x", "y", "y", "x"]})
    checks = [
        Check.in_range("a", 0, severity="quarantine"),
        Check.in_set("s", ["x"], severity="quarantine"),
        Check.not_null("a"),
    ]
    kept, rejected = quarantine(frame, checks)
    assert kept.rows() == [(1, "x"), (None, "x")]
    assert rejected.rows() == [(-1, "y", "a in 0..; s in {x}"), (3, "y", "s in {x}")]


def test_quarantine_without_offenders_gives_an_empty_table_of_the_same_shape():
    """The rejected table always has the column of rules."""
    frame = pl.DataFrame({"a": [1]})
    kept, rejected = quarantine(frame, [Check.in_range("a", 0, severity="quarantine")])
    assert_frame_equal(kept, frame)
    assert (rejected.height, rejected.schema) == (0, {"a": pl.Int64, "_rule": pl.String})


def test_quarantine_of_repeated_keys_keeps_the_first():
    """Of rows with one key the first stays."""
    kept, rejected = quarantine(pl.DataFrame({"id": [1, 2, 1]}), [Check.unique("id", severity="quarantine")])
    assert (kept.rows(), rejected.height) == ([(1,), (2,)], 1)


def test_validate_judges_what_would_be_published():
    """Quarantine is measured on all rows, everything else on the rows that stay."""
    frame = pl.DataFrame({"a": [1, -1, 2]})
    checks = [Check.rows(at_least=3), Check.in_range("a", 0, severity="quarantine"), Check.in_range("a", 0)]
    kept, rejected, report = validate(frame, checks)
    assert (kept.height, rejected.height) == (2, 1)
    assert [(result.passed, result.rows_failed) for result in report.results] == [(False, 0), (False, 1), (True, 0)]
    assert report.blocks


def test_quarantine_that_cannot_be_evaluated_blocks():
    """Rows that could not be judged are not published."""
    kept, rejected, report = validate(pl.DataFrame({"a": [1]}), [Check.in_range("b", 0, severity="quarantine")])
    assert (kept.height, rejected.height, report.blocks) == (1, 0, True)


FLOATS = st.one_of(st.none(), st.floats())


@given(values=st.lists(FLOATS, max_size=30), low=st.floats(-10, 10), width=st.floats(0, 10))
def test_range_agrees_with_python(values, low, width):
    """A range check counts what the definition says: not null, and not inside."""
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)})
    expected = [i for i, v in enumerate(values) if v is not None and not low <= v <= low + width]
    result = run_one(frame, Check.in_range("x", low, low + width))
    assert result.rows_failed == len(expected)
    assert [example.row for example in result.examples] == expected[:5]


@given(values=st.lists(st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, NAN, INF])), max_size=30))
def test_unique_counts_the_rows_it_shows(values):
    """One column is counted by another road than several; both count the same rows, NaN and zeros included."""
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64), "y": [1] * len(values)})
    one, two = (run_one(frame, check) for check in (Check.unique("x"), Check.unique("x", "y")))
    assert one.rows_failed == two.rows_failed
    assert len(one.examples) == min(5, one.rows_failed)


@given(values=st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.integers(0, 2)), max_size=30))
def test_unique_agrees_with_python(values):
    """A key check counts rows whose complete key was seen before."""
    seen, expected = set(), 0
    for key in values:
        expected += key in seen and None not in key
        seen.add(key)
    frame = pl.DataFrame(
        {"a": [a for a, _ in values], "b": [b for _, b in values]}, schema={"a": pl.Int64, "b": pl.Int64}
    )
    assert run_one(frame, Check.unique("a", "b")).rows_failed == expected


ANY_CHECK = st.sampled_from(
    [
        Check.not_null("a", "b"),
        Check.in_range("a", 0, 1),
        Check.in_set("b", ["x"]),
        Check.in_set("a", [1]),
        Check.matches("b", "x"),
        Check.unique("a"),
        Check.finite("a"),
        Check.one_hot("a", "b"),
        Check.rule("r", adds_up),
        Check.rows(1),
        Check.type_is("a", "int64"),
    ]
)
ANY_VALUES = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-5, 5)), min_size=2, max_size=2),
    st.lists(FLOATS, min_size=2, max_size=2),
    st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=2, max_size=2),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=2, max_size=2),
    st.lists(st.lists(st.integers(0, 3), max_size=2), min_size=2, max_size=2),
    st.lists(st.binary(max_size=2), min_size=2, max_size=2),
)


@given(checks=st.lists(ANY_CHECK, max_size=5), a=ANY_VALUES, b=ANY_VALUES)
def test_any_check_meets_any_table(checks, a, b):
    """Whatever the types are, a report comes back, one result per check, and it can be stored."""
    report = run_checks(pl.DataFrame({"a": a, "b": b}), checks)
    assert [result.name for result in report.results] == [check.name for check in checks]
    assert plain.decode(plain.encode(report)).summary == report.summary
