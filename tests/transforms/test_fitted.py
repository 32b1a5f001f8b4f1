"""Transforms apply the same to a frame, a query and a single row, and learn from the training rows only."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.core import plain
from filiera.errors import UsageError
from filiera.transforms import Clip, FittedTransforms, Impute, OneHot, Ordinal, Scale, Text, fit_transforms
from filiera.transforms.fitted import FEW_ROWS
from filiera.transforms.step import Recipe
from tests.transforms.frames import RECIPES, any_frames, exact, recipes, training

ROWS = pl.DataFrame({"age": [20, None, 40], "land": ["it", "at", "it"], "label": [0, 1, 0]})
many = settings(max_examples=settings().max_examples // 5)


def in_many_rows(fitted: FittedTransforms, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows as a query makes them, however few there are."""
    return fitted.apply(rows.lazy()).collect()


@many
@given(train=training, rows=any_frames, chosen=recipes)
def test_a_frame_a_query_and_single_rows_give_the_same(
    train: pl.DataFrame, rows: pl.DataFrame, chosen: list[Recipe]
) -> None:
    """To the last bit, whatever is in them: so serving cannot differ from training."""
    fitted = fit_transforms(chosen, train)
    expected = in_many_rows(fitted, rows)
    assert exact(fitted.apply(rows)) == exact(expected)
    assert exact(fitted.apply(rows.lazy()).collect(engine="streaming")) == exact(expected)
    one_by_one = [fitted.apply(row) for row in rows.to_dicts()]
    assert all(list(row) == expected.columns for row in one_by_one)
    assert exact(pl.DataFrame(one_by_one, schema=expected.schema)) == exact(expected)
    alone = [fitted.apply(rows[number : number + 1]) for number in range(rows.height)]
    assert exact(pl.concat([expected.clear(), *alone])) == exact(expected)


@many
@given(train=training, rows=any_frames, chosen=recipes)
def test_storage_keeps_transforms_exactly(train: pl.DataFrame, rows: pl.DataFrame, chosen: list[Recipe]) -> None:
    """They are plain data: what comes back is equal and does the same."""
    fitted = fit_transforms(chosen, train)
    stored = plain.encode(fitted)
    again = plain.decode(stored)
    assert again == fitted
    assert plain.encode(again) == stored
    assert exact(in_many_rows(again, rows)) == exact(in_many_rows(fitted, rows))


@many
@given(train=training, chosen=recipes, order=st.randoms(use_true_random=False))
def test_what_is_learned_does_not_depend_on_the_order_of_rows(
    train: pl.DataFrame, chosen: list[Recipe], order: Any
) -> None:
    """Nor on whether the rows are in memory: equal rows give equal bytes, so a cached model stays a hit."""
    shuffled = list(range(train.height))
    order.shuffle(shuffled)
    learned = plain.encode(fit_transforms(chosen, train))
    assert plain.encode(fit_transforms(chosen, train[shuffled])) == learned
    assert plain.encode(fit_transforms(chosen, train.lazy())) == learned


@many
@given(train=training, rows=any_frames, order=st.randoms(use_true_random=False))
def test_applying_never_looks_at_other_rows(train: pl.DataFrame, rows: pl.DataFrame, order: Any) -> None:
    """Rows in another order, or with others between them, come out as they did."""
    fitted = fit_transforms(RECIPES, train)
    shuffled = list(range(rows.height))
    order.shuffle(shuffled)
    assert exact(in_many_rows(fitted, rows[shuffled])) == exact(in_many_rows(fitted, rows)[shuffled])
    mixed = in_many_rows(fitted, pl.concat([train, rows]))
    assert exact(mixed[train.height :]) == exact(in_many_rows(fitted, rows))


@many
@given(train=training, rows=any_frames)
def test_what_was_there_is_never_changed_by_imputing(train: pl.DataFrame, rows: pl.DataFrame) -> None:
    """Cells that hold a value keep it, the others get the learned one, and the mask tells them apart."""
    fitted = fit_transforms([Impute("fare", "mean", mask=True), Impute("land", "most_frequent")], train)
    out = in_many_rows(fitted, rows)
    for name in ("fare", "land"):
        raw = rows[name].fill_nan(None) if name == "fare" else rows[name]
        assert out[name].null_count() == 0
        assert repr(out[name].filter(raw.is_not_null()).to_list()) == repr(raw.drop_nulls().to_list())
        assert out[name].filter(raw.is_null()).n_unique() <= 1
    assert out["fare_missing"].to_list() == rows["fare"].fill_nan(None).is_null().cast(pl.UInt8).to_list()


def test_learned_from_the_training_rows_alone() -> None:
    """Each transform learns from what those before it made of the training rows; nothing else is asked."""
    fitted = fit_transforms([Impute("age", "mean", mask=True), Scale("age", "min_max"), OneHot("land")], ROWS)
    out = fitted.apply({"age": None, "land": "xy"})
    assert out == {"age": 0.5, "age_missing": 1, "land_at": 0, "land_it": 0, "land_other": 1}
    assert fitted.training_rows == 3
    assert fitted.imputed == {"age": pytest.approx(1 / 3)}
    assert fitted.one_hot_groups == {"land": ("land_at", "land_it", "land_other")}
    assert fitted.summary == (
        "learned from 3 rows\n"
        "Impute age: mean 30.0; 33.3% was missing\n"
        "Scale age: min_max, (x - 20) * 0.05\n"
        "OneHot land: 2 categories"
    )


def test_other_columns_stay() -> None:
    """What no transform reads is left as it is, in its place."""
    out = fit_transforms([OneHot("land"), Impute("age")], ROWS).apply(ROWS)
    assert out.columns == ["age", "label", "land_at", "land_it", "land_other"]
    assert out["label"].to_list() == [0, 1, 0]


def test_checks_that_hold_afterwards() -> None:
    """One-hot groups, nothing missing, and limits, as far as later transforms leave them true."""
    recipes: list[Recipe] = [Impute("age"), Clip("age", low=0), Scale("age"), OneHot("land")]
    names = [check.name for check in fit_transforms(recipes, ROWS).checks()]
    assert names == ["age not null", "land_at, land_it, land_other one hot"]
    assert [check.name for check in fit_transforms(recipes[:2], ROWS).checks()] == ["age not null", "age in 0.0.."]


def test_what_a_raw_column_may_hold() -> None:
    """Known from the first transform that fills, refuses or changes what is in it."""
    known = [Impute("land", "most_frequent"), OneHot("land", unknown="error")]
    fitted = fit_transforms(known, ROWS)
    assert (fitted.takes_missing("land"), fitted.known_values("land")) == (True, ("at", "it"))
    fitted = fit_transforms([OneHot("land", unknown="error"), Scale("age")], ROWS)
    assert (fitted.takes_missing("land"), fitted.takes_missing("age")) == (False, False)
    fitted = fit_transforms([Text("land"), OneHot("land", unknown="error")], ROWS)
    assert fitted.known_values("land") is None
    assert fit_transforms([OneHot("land")], ROWS).takes_missing("land")


def test_only_what_is_needed() -> None:
    """Transforms that make none of the wanted columns are left out, and so is what they alone read."""
    fitted = fit_transforms([Impute("age"), OneHot("land"), Ordinal("label")], ROWS)
    needed, raw = fitted.only_for(["land_it", "height", "age"])
    assert [type(step).__name__ for step in needed.steps] == ["FittedImpute", "FittedOneHot"]
    assert raw == ("age", "land", "height")


@pytest.mark.parametrize("height", [FEW_ROWS, FEW_ROWS + 1])
def test_unknown_values_are_refused_where_that_is_asked(height: int) -> None:
    """In a frame, in a query when it runs, and in a row: with the column and the value."""
    fitted = fit_transforms([OneHot("land", unknown="error"), Ordinal("label", unknown="error")], ROWS)
    good = pl.DataFrame({"age": [1] * height, "land": ["it"] * height, "label": [1] * height})
    assert fitted.apply(good).height == height
    for name, value, shown in (("land", "fr", "'fr'"), ("land", None, "a missing value"), ("label", 7, "7")):
        bad = good.with_columns(pl.lit(value, dtype=good.schema[name]).alias(name))
        for rows in (bad, bad.to_dicts()[0]):
            with pytest.raises(UsageError, match=f"Column '{name}' has {shown}"):
                fitted.apply(rows)
        with pytest.raises(UsageError, match=f"Column '{name}' has {shown}"):
            fitted.apply(bad.lazy()).collect(engine="streaming")


@pytest.mark.parametrize("rows", [ROWS.drop("age"), ROWS.drop("age").lazy(), {"land": "it"}], ids=type)
def test_missing_columns_are_named(rows: Any) -> None:
    """With those that are there."""
    with pytest.raises(UsageError, match="'age'") as caught:
        fit_transforms([Impute("age"), OneHot("land")], ROWS).apply(rows)
    assert "land" in caught.value.why


@pytest.mark.parametrize("rows", [ROWS, ROWS.to_dicts()[0]], ids=type)
def test_rows_are_not_transformed_twice(rows: Any) -> None:
    """Where it can be seen: a column is there that would be added."""
    fitted = fit_transforms([Impute("age", mask=True)], ROWS)
    with pytest.raises(UsageError, match="already have 'age_missing'"):
        fitted.apply(fitted.apply(rows))


@pytest.mark.parametrize(
    ("name", "value"), [("age", "x"), ("age", 1.5), ("age", True), ("land", 3), ("age", 2**70)], ids=str
)
def test_other_types_are_refused(name: str, value: Any) -> None:
    """A row or frame whose column holds something else than in training is no such row."""
    fitted = fit_transforms([Impute("age"), OneHot("land")], ROWS)
    row = {"age": 1, "land": "it", name: value}
    for rows in (row, pl.DataFrame([row], infer_schema_length=None) if value != 2**70 else row):
        with pytest.raises(UsageError, match=f"Column '{name}' has .* fitted on"):
            fitted.apply(rows)


def test_narrower_types_and_other_clocks_are_taken() -> None:
    """What can be said in the type of training without loss is; times of a zone are turned to UTC."""
    from filiera.transforms import DateParts

    train = pl.DataFrame({"age": [1, 2], "seen": [dt.datetime(2020, 1, 1), None]})
    fitted = fit_transforms([Scale("age", "min_max"), DateParts("seen", ["hour"])], train)
    zoned = pl.DataFrame({"age": [2], "seen": [dt.datetime(2020, 1, 1, 12)]}).with_columns(
        pl.col("age").cast(pl.Int8), pl.col("seen").dt.replace_time_zone("Europe/Rome").dt.cast_time_unit("ms")
    )
    assert fitted.apply(zoned).rows() == [(1.0, 11)]
    assert fitted.apply(zoned.to_dicts()[0]) == {"age": 1.0, "seen_hour": 11}
    empty = pl.DataFrame({"age": [None], "seen": [None]})
    assert fitted.apply(empty).rows() == [(None, None)]


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ([Impute("agee")], "lack columns that the transforms read: 'agee'"),
        ([OneHot("land"), Ordinal("land")], "lack columns that the transforms read: 'land'"),
        ([Impute("age", mask=True), Impute("age", mask=True)], "would add 'age_missing', which is there already"),
    ],
    ids=["unknown", "replaced", "added twice"],
)
def test_transforms_that_do_not_fit_together_are_refused(recipes: list[Recipe], message: str) -> None:
    """When they are fitted, with what is wrong."""
    with pytest.raises(UsageError, match=message):
        fit_transforms(recipes, ROWS)


def test_lists_and_columns_of_lists_are_refused() -> None:
    """Transforms take frames and rows, and columns of simple types."""
    with pytest.raises(UsageError, match="not a list"):
        fit_transforms([Impute("age")], ROWS).apply([1, 2])  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="List"):
        fit_transforms([Impute("age", "most_frequent")], pl.DataFrame({"age": [[1]]}))
