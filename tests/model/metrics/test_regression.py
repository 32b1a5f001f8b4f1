import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

from filiera.core import plain
from filiera.errors import UsageError
from filiera.model.metrics.regression import regression_metrics


def regression_rows(seed: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    source = np.random.default_rng(seed)
    truth = source.normal(size=n)
    return truth, truth + 0.5 * source.normal(size=n)


def test_regression_values_are_those_of_scikit_learn() -> None:
    """MAE, RMSE and R² equal scikit-learn's, for the model and for the dummy that answers the mean."""
    truth, predicted = regression_rows(0, 150)
    metrics = regression_metrics(truth, pl.Series(predicted))
    mean = np.full(150, truth.mean())
    expected = (sk.mean_absolute_error, sk.root_mean_squared_error, sk.r2_score)
    for name, function in zip(("mae", "rmse", "r2"), expected, strict=True):
        metric = metrics[name]
        assert metric.value == pytest.approx(function(truth, predicted), abs=1e-9)
        assert metric.baseline == pytest.approx(function(truth, mean), abs=1e-9)
        assert metric.low < metric.value < metric.high
    assert [metric.name for metric in metrics if metric.greater_is_better] == ["r2"]
    assert metrics["mean_error"].value == pytest.approx((predicted - truth).mean(), abs=1e-12)
    assert metrics["median_absolute_error"].value == sk.median_absolute_error(truth, predicted)
    assert plain.decode(plain.encode(metrics)) == metrics


def test_regression_intervals_cover() -> None:
    """At least 90 of 100 bootstrap intervals hold the true value, on 80 rows."""
    truth = {"mae": 0.5 * math.sqrt(2 / math.pi), "rmse": 0.5, "r2": 0.75, "mean_error": 0.0}
    truth["median_absolute_error"] = 0.5 * 0.6744897501960817
    hits = dict.fromkeys(truth, 0)
    for seed in range(100):
        metrics = regression_metrics(*regression_rows(seed, 80), seed=seed)
        for name, value in truth.items():
            hits[name] += metrics[name].low <= value <= metrics[name].high
    assert min(hits.values()) >= 90, hits


def test_r2_of_a_constant_is_left_out_and_noted() -> None:
    """With nothing to explain there is no R²."""
    metrics = regression_metrics([0.1] * 3, [0.1, 0.2, 0.3])
    assert "r2" not in metrics
    assert "R²" in metrics.notes[0]


@pytest.mark.parametrize(
    ("truth", "predicted", "words"),
    [
        ([1.0], [1.0], "One row"),
        ([], [], "no rows"),
        ([1.0, 2.0], [1.0], "numbers of rows differ"),
        ([1.0, math.nan], [1.0, 2.0], "truth has 1"),
        ([1.0, None], [1.0, 2.0], "truth has 1"),
        ([1.0, 2.0], [1.0, math.inf], "predicted has 1"),
        (["a", "b"], [1.0, 2.0], "not numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_regression_input_is_explained(truth: Any, predicted: Any, words: str) -> None:
    """Each impossible input has one clear message."""
    with pytest.raises(UsageError) as caught:
        regression_metrics(truth, predicted)
    assert words in str(caught.value)
