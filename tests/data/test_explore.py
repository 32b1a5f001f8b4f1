"""Looking at tables."""

import math
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.data.explore import explore
from filiera.data.report import profile_html
from filiera.errors import UsageError


def column_of(values, **options):
    frame = pl.DataFrame({"x": pl.Series(values, strict=False)})
    return explore(frame, title="t", **options).columns[0]


def test_numbers_of_a_column():
    """Counts, moments and quantiles are those of the finite values."""
    column = column_of([0.0, 1.0, 2.0, 3.0, 4.0, None, math.nan, math.inf])
    assert (column.nulls, column.not_finite, column.zeros, column.minimum, column.maximum) == (1, 2, 1, 0.0, 4.0)
    assert (column.mean, column.quantiles[2]) == (2.0, 2.0)
    assert column.deviation == pytest.approx(math.sqrt(2.5))


def test_few_values_are_shown_one_by_one_and_many_in_ranges():
    """Up to twelve different numbers have a bar each, in order; more are cut into 24 ranges."""
    few = column_of([3, 1, 1, 2, None])
    assert [(bar.label, bar.count) for bar in few.bars] == [("1", 2), ("2", 1), ("3", 1)]
    many = column_of([*range(240), None])
    assert (many.scale, len(many.bars)) == ("linear", 24)
    assert {bar.count for bar in many.bars} == {10}
    assert many.not_shown == 0


def test_long_tails_are_cut_on_a_log_scale():
    """A range that holds nearly all rows is spread out."""
    column = column_of([*range(100)] * 10 + [10**9])
    assert column.scale == "log"
    assert max(bar.count for bar in column.bars) < 900
    assert sum(bar.count for bar in column.bars) == 1001


def test_categories_show_the_most_frequent():
    """Ten values, most frequent first, equals by name; the rest is counted."""
    column = column_of(["b", "b", "a", *(f"v{i:02}" for i in range(20)), None])
    assert [bar.label for bar in column.bars[:3]] == ["b", "a", "v00"]
    assert (len(column.bars), column.not_shown, column.distinct) == (10, 12, 22)


def test_identifiers_are_shown_without_counting_them_by_class():
    """With thousands of different texts only the first few are counted."""
    frame = pl.DataFrame({"x": [f"id{i:05}" for i in range(3000)], "y": ["a", "b"] * 1500})
    column = explore(frame, title="t", target="y").columns[0]
    assert ([bar.label for bar in column.bars[:2]], column.not_shown) == (["id00000", "id00001"], 2990)
    assert (column.association, column.bars[0].by_class) == (None, ())


@pytest.mark.parametrize(
    "values",
    [
        [date(2020, 1, 1), date(2020, 12, 31), None],
        [datetime(2020, 1, 1), datetime(2020, 12, 31), None],
        [datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 12, 31, tzinfo=UTC), None],
    ],
)
def test_times_are_cut_into_ranges(values):
    """Dates and instants have a first, a last and ranges between."""
    column = column_of(values)
    assert (column.kind, column.minimum[:10], column.maximum[:10]) == ("time", "2020-01-01", "2020-12-31")
    assert [bar.count for bar in column.bars] == [1] + [0] * 22 + [1]


def test_target_splits_every_bar():
    """Bars are split by class; a column that is the class in other words is fully associated."""
    frame = pl.DataFrame({"x": [0] * 60 + [1] * 60, "noise": [0, 1] * 60, "y": ["no"] * 60 + ["yes"] * 60})
    profile = explore(frame, title="t", target="y")
    assert [bar.label for bar in profile.classes] == ["no", "yes"]
    assert [bar.by_class for bar in profile.columns[0].bars] == [(60, 0), (0, 60)]
    assert [column.association for column in profile.columns] == [1.0, 0.0, None]


def test_rare_classes_are_taken_together():
    """Beyond six classes the rarest are one; a missing class is a class."""
    labels = [label for i, label in enumerate("abcdefgh") for _ in range(20 - i)] + [None] * 30
    profile = explore(pl.DataFrame({"y": labels, "x": range(len(labels))}), title="t", target="y")
    assert [bar.label for bar in profile.classes] == ["(missing)", "a", "b", "c", "d", "(other)"]
    assert sum(bar.count for bar in profile.classes) == len(labels)


def test_unknown_target_is_told():
    """A target that is not there is refused with the columns that are."""
    with pytest.raises(UsageError, match="no column 'z'"):
        explore(pl.DataFrame({"a": [1]}), title="t", target="z")
    with pytest.raises(UsageError, match="has no classes"):
        explore(pl.DataFrame({"a": [[1]]}), title="t", target="a")


def test_lazy_table_has_the_same_profile():
    """Streaming changes nothing."""
    frame = pl.DataFrame({"a": [1, 2, 2, None], "b": ["x", "y", "y", "x"]})
    assert explore(frame.lazy(), title="t", target="b") == explore(frame, title="t", target="b")
    assert explore(frame, title="t").repeated_rows == 1


VALUES = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.floats()), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.dates()), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.datetimes(allow_imaginary=False)), min_size=3, max_size=3),
    st.lists(st.timedeltas(min_value=timedelta(-1), max_value=timedelta(9)), min_size=3, max_size=3),
    st.lists(st.lists(st.integers(0, 3), max_size=2), min_size=3, max_size=3),
    st.lists(st.binary(max_size=3), min_size=3, max_size=3),
    st.just([None] * 3),
)


@settings(deadline=None, max_examples=50)
@given(a=VALUES, b=VALUES, target=st.sampled_from([None, "a", "b"]))
def test_any_table_has_a_profile_and_a_page(a, b, target):
    """Whatever types and values: rows are all accounted for, and the page can be drawn."""
    frame = pl.DataFrame({"a": a, "b": b}, strict=False)
    if target and frame.schema[target].base_type() in (pl.List, pl.Binary, pl.Duration, pl.Null):
        target = None
    profile = explore(frame, title="t", target=target)
    for column in profile.columns:
        if column.bars:
            assert sum(bar.count for bar in column.bars) + column.not_shown + column.nulls + column.not_finite == 3
    assert profile_html(profile).text.endswith("</html>\n")


@pytest.mark.parametrize(
    "frame", [pl.DataFrame(), pl.DataFrame({"a": []}), pl.DataFrame(schema={"a": pl.Float64, "y": pl.String})]
)
def test_table_without_rows_has_a_profile(frame):
    """Nothing is no error."""
    target = "y" if "y" in frame.columns else None
    profile = explore(frame, title="t", target=target)
    assert profile.rows == 0
    assert "Rows" in profile_html(profile).text
