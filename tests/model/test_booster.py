"""Bare boosters as models."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from filiera.errors import UsageError
from filiera.model.booster import from_booster
from filiera.model.fitted import fit_of

np = pytest.importorskip("numpy")
xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")

SOURCE = np.random.default_rng(0)
ROWS = pl.DataFrame({"size": SOURCE.normal(size=150), "count": SOURCE.normal(size=150)})
THREE = (ROWS["size"].to_numpy() > 0).astype(int) + (ROWS["count"].to_numpy() > 0.5)


def of_xgboost(labels: Any, rounds: int = 4, **settings: Any) -> Any:
    return xgboost.train({"nthread": 1, **settings}, xgboost.DMatrix(ROWS, labels), rounds)


def of_lightgbm(labels: Any, **settings: Any) -> Any:
    settings = {"num_threads": 1, "verbose": -1, **settings}
    return lightgbm.train(settings, lightgbm.Dataset(ROWS, labels), 4)


@pytest.mark.parametrize(
    "booster",
    [
        of_xgboost(THREE, objective="multi:softprob", num_class=3),
        of_lightgbm(THREE, objective="multiclass", num_class=3),
    ],
    ids=["xgboost", "lightgbm"],
)
def test_classes_are_named(booster: Any) -> None:
    """Labels are those that were given, in the order of the booster's outputs, and probabilities are its own."""
    model = from_booster(booster, classes=["none", "one", "both"])
    probabilities = model.predict_proba(ROWS)
    assert probabilities.shape == (150, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert model.predict(ROWS).tolist() == model.classes_[probabilities.argmax(axis=1)].tolist()
    assert np.mean(model.predict(ROWS) == np.array(["none", "one", "both"])[THREE]) > 0.85


@pytest.mark.parametrize("train", [of_xgboost, of_lightgbm], ids=["xgboost", "lightgbm"])
def test_numbers_have_no_classes(train: Any) -> None:
    """Without classes it predicts numbers, and nobody takes it for a classifier."""
    model = from_booster(train(ROWS["size"].to_numpy()))
    assert not hasattr(model, "classes_")
    assert not hasattr(model, "predict_proba")
    assert np.corrcoef(model.predict(ROWS), ROWS["size"].to_numpy())[0, 1] > 0.8
    assert list(fit_of(model).importances) == ["size", "count"]


def test_xgboost_answers_as_of_its_best_iteration() -> None:
    """A booster that was stopped early answers as XGBoost's estimators do."""
    held_out = xgboost.DMatrix(ROWS[:50], 1 - (THREE[:50] > 0))
    data = xgboost.DMatrix(ROWS, THREE > 0)
    settings = {"objective": "binary:logistic", "nthread": 1}
    booster = xgboost.train(settings, data, 30, evals=[(held_out, "held")], early_stopping_rounds=3, verbose_eval=False)
    expected = booster.predict(data, iteration_range=(0, booster.best_iteration + 1))
    assert booster.best_iteration + 1 < booster.num_boosted_rounds()
    np.testing.assert_array_equal(from_booster(booster, classes=[0, 1]).predict_proba(ROWS)[:, 1], expected)


def test_columns_are_taken_by_name() -> None:
    """Other columns, and another order, change nothing."""
    model = from_booster(of_xgboost(THREE > 0, objective="binary:logistic"), classes=["no", "yes"])
    moved = ROWS.select(pl.lit("x").alias("note"), "count", "size")
    assert model.predict(moved).tolist() == model.predict(ROWS).tolist()


def test_classes_that_do_not_fit_are_told() -> None:
    """Three outputs cannot have two names."""
    model = from_booster(of_xgboost(THREE, objective="multi:softprob", num_class=3), classes=["no", "yes"])
    with pytest.raises(UsageError, match="3 probabilities for 2 classes"):
        model.predict(ROWS)


@pytest.mark.parametrize(
    "booster",
    [xgboost.train({"nthread": 1}, xgboost.DMatrix(ROWS.to_numpy(), THREE), 1), object(), None],
    ids=["no names", "no booster", "nothing"],
)
def test_a_booster_without_names_is_refused(booster: Any) -> None:
    """Nobody could know which columns it takes."""
    with pytest.raises(UsageError, match="does not know the names"):
        from_booster(booster)
