import math
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.model.split import overlap, split


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None])), min_size=2, max_size=60))
    return pl.DataFrame(rows, schema={"x": pl.Int64, "label": pl.String}, orient="row")


@settings(deadline=None)
@given(frame=frames(), share=st.floats(0.05, 0.95), seed=st.integers(0, 99), together=st.booleans())
def test_every_row_is_on_one_side(frame: pl.DataFrame, share: float, seed: int, together: bool) -> None:
    """Nothing is lost, doubled or reordered, neither side is empty, and no equal rows straddle the split."""
    assume(not together or frame.unique().height > 1)
    numbered = frame if together else frame.with_row_index()
    train, test = split(numbered, test_share=share, seed=seed, identical_together=together)
    assert train.height and test.height
    assert sorted(pl.concat((train, test)).rows(), key=str) == sorted(numbered.rows(), key=str)
    assert overlap(train, test) == 0
    if not together:
        assert train["index"].is_sorted()
        assert test["index"].is_sorted()


def test_split_is_the_same_on_any_machine() -> None:
    """The raw stream of PCG64 decides: these rows, wherever and with whatever NumPy."""
    _, test = split(pl.DataFrame({"x": range(20)}), seed=7)
    assert test["x"].to_list() == GOLDEN


GOLDEN = [3, 6, 11, 12]


def test_seed_decides() -> None:
    """The same seed gives the same split, another one another."""
    frame = pl.DataFrame({"x": range(100)})
    assert split(frame, seed=1)[1].equals(split(frame, seed=1)[1])
    assert not split(frame, seed=1)[1].equals(split(frame, seed=2)[1])


@pytest.mark.parametrize("stratify", [None, "label"])
def test_share_is_met(stratify: str | None) -> None:
    """Without repeated rows the share is met to half a row, per value of the column when stratified."""
    frame = pl.DataFrame({"x": range(1000), "label": ["a"] * 900 + ["b"] * 95 + ["c"] * 5})
    _, test = split(frame, test_share=0.2, stratify=stratify)
    assert test.height == 200
    if stratify:
        assert dict(test["label"].value_counts().rows()) == {"a": 180, "b": 19, "c": 1}


def test_rare_values_are_on_both_sides() -> None:
    """A class of two rows can be learnt and tested, even at a small share."""
    frame = pl.DataFrame({"x": range(100), "label": ["a"] * 98 + ["b"] * 2})
    train, test = split(frame, test_share=0.01, stratify="label")
    assert train["label"].to_list().count("b") == test["label"].to_list().count("b") == 1


def test_repeated_rows_leak_unless_kept_together() -> None:
    """On data where most rows are repeated, splitting row by row shows nearly every test row in training."""
    frame = pl.DataFrame({"x": [i % 50 for i in range(400)]})
    assert overlap(*split(frame)) == 0
    train, test = split(frame, identical_together=False)
    assert overlap(train, test) > 0.9 * test.height


def test_rows_with_null_and_nan_are_equal_to_themselves() -> None:
    """Missing values do not hide that two rows are the same."""
    frame = pl.DataFrame({"x": [math.nan, None, 0.0, 1.0] * 5})
    train, test = split(frame, test_share=0.5)
    assert overlap(train, test) == 0
    assert overlap(frame, frame) == 20


def test_a_column_may_have_any_name() -> None:
    """Our own bookkeeping does not collide with the user's columns."""
    frame = pl.DataFrame({"row": range(10), "row_": range(10), "first": range(10)})
    assert split(frame)[1].height == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test_share": 0.0}, "test_share"),
        ({"test_share": 1}, "test_share"),
        ({"test_share": math.nan}, "test_share"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"stratify": "y"}, "There are: x, label"),
        ({"stratify": "label"}, "label = 'b' has 1"),
    ],
    ids=str,
)
def test_impossible_splits_are_explained(options: dict[str, Any], words: str) -> None:
    """A share, seed or column that cannot be used is refused with one clear message."""
    with pytest.raises(UsageError) as caught:
        split(pl.DataFrame({"x": range(4), "label": ["a", "a", "a", "b"]}), **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "frame",
    [pl.DataFrame(), pl.DataFrame({"x": []}), pl.DataFrame({"x": [1]}), pl.DataFrame({"x": [1, 1, 1]})],
    ids=str,
)
def test_too_few_rows_are_refused(frame: pl.DataFrame) -> None:
    """Two sides need two different rows."""
    with pytest.raises(UsageError):
        split(frame)


def test_other_kinds_of_frames_are_refused() -> None:
    """A pandas frame is answered with the way to turn it into ours."""
    with pytest.raises(UsageError, match="not list"):
        split([1, 2, 3])  # type: ignore[arg-type]


def test_overlap_needs_equal_columns() -> None:
    """Frames that cannot have equal rows are not compared."""
    with pytest.raises(UsageError, match="different columns"):
        overlap(pl.DataFrame({"x": [1]}), pl.DataFrame({"x": ["1"]}))
