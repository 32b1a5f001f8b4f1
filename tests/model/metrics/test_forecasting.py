"""Forecasts and what came true."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from filiera.core.metric import Metrics
from filiera.model.metrics import forecasting
from filiera.model.metrics.forecasting import (
    ForecastSample,
    past_errors,
    pinball,
    season_ago,
    smape,
    time_blocks,
)
from filiera.model.metrics.units import Units


def sample(truth: Any, predicted: Any, history: Any, season: int = 1, **more: Any) -> ForecastSample:
    true, answer = np.asarray(truth, dtype=float), np.asarray(predicted, dtype=float)
    n = len(true)
    given: dict[str, Any] = {
        "quantiles": np.zeros((n, 0)),
        "levels": (),
        "series": np.zeros(n, dtype=np.int64),
        "naive": season_ago(history, season, n),
        "past": np.tile(past_errors(history, season), (n, 1)),
        "units": time_blocks(np.arange(n), answer - true),
    }
    return ForecastSample(truth=true, predicted=answer, **{**given, **more})


def test_worked_example() -> None:
    """History 10, 12, 11, 14 differs by 1, 2, 1, 3 in steps of 2, 1, 3: MASE and RMSSE are errors over these.

    By hand: steps 2, -1, 3 have mean absolute 2 and mean square 14/3. Errors 1, -2, 1 have mean absolute 4/3 and mean
    square 2; so MASE is 2/3 and RMSSE the root of 3/7. The naive forecast is 14 throughout.
    """
    found = sample([15, 16, 17], [16, 14, 18], [10, 12, 11, 14]).measure(0)
    assert found["mae"].value == pytest.approx(4 / 3, abs=1e-12)
    assert found["mase"].value == pytest.approx(2 / 3, abs=1e-12)
    assert found["rmsse"].value == pytest.approx(math.sqrt(3 / 7), abs=1e-12)
    assert found["mae"].baseline == pytest.approx(2, abs=1e-12)
    assert found["mase"].baseline == pytest.approx(1, abs=1e-12)
    assert found["smape"].value == pytest.approx(200 / 3 * (1 / 31 + 2 / 30 + 1 / 35), abs=1e-12)


def test_published_example_of_scaled_errors() -> None:
    """sktime's documentation of its scaled errors has this history, truth and forecast, and an RMSSE of 0.20568."""
    found = sample([3, -0.5, 2, 7, 2], [2.5, 0.0, 2, 8, 1.25], [5, 0.5, 4, 6, 3, 5, 2]).measure(0)
    assert found["mase"].value == pytest.approx(0.18333333333333335, abs=1e-12)
    assert found["rmsse"].value == pytest.approx(0.20568833780186058, abs=1e-12)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_pinball_is_that_of_scikit_learn(rows: list[tuple[float, float]], level: float) -> None:
    """The loss of a quantile is scikit-learn's."""
    truth, predicted = (np.array(each) for each in zip(*rows, strict=True))
    assert pinball(truth, predicted, level).mean() == pytest.approx(
        sk.mean_pinball_loss(truth, predicted, alpha=level), abs=1e-9
    )


def test_symmetric_error_of_nothing_is_nothing() -> None:
    """Where truth and forecast are 0 nothing is wrong; opposite signs are as wrong as can be."""
    assert smape(np.array([0.0, 1.0, 0.0]), np.array([0.0, -1.0, 3.0])).tolist() == [0, 200, 200]


def test_quantiles_have_loss_coverage_and_width() -> None:
    """Levels that mirror each other are an interval; the share of truths inside has an interval of its own."""
    source = np.random.default_rng(0)
    truth = source.normal(size=200)
    quantiles = np.tile([-1.2815515655446004, 0.0, 1.2815515655446004], (200, 1))
    found = sample(truth, truth * 0, [0, 1, 0], quantiles=quantiles, levels=(0.1, 0.5, 0.9)).measure(0)
    inside = np.mean(np.abs(truth) <= 1.2815515655446004)
    assert found["coverage_80"].value == pytest.approx(inside, abs=1e-12)
    assert found["coverage_80"].low < 0.8 < found["coverage_80"].high
    assert found["width_80"].value == pytest.approx(2.563103131089201, abs=1e-9)
    losses = [sk.mean_pinball_loss(truth, quantiles[:, i], alpha=a) for i, a in enumerate((0.1, 0.5, 0.9))]
    assert found["pinball"].value == pytest.approx(np.mean(losses), abs=1e-9)


def test_series_count_alike() -> None:
    """Scaled errors are means over series, whatever their scale; one that never moved is left out, with a note."""
    past = np.array([[1.0, 1.0]] * 4 + [[100.0, 10_000.0]] * 4 + [[0.0, 0.0]] * 2)
    series = np.array([0] * 4 + [1] * 4 + [2] * 2)
    truth, predicted = np.zeros(10), np.array([1.0] * 4 + [300.0] * 4 + [5.0] * 2)
    units = time_blocks(np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1]), predicted)
    found = sample(truth, predicted, [], past=past, series=series, units=units).measure(0)
    assert found["mase"].value == pytest.approx(2.0, abs=1e-12)
    assert found["rmsse"].value == pytest.approx(2.0, abs=1e-12)
    assert "without 1 series" in found.notes[0]
    assert found["mae"].baseline is None


def test_without_a_past_nothing_is_scaled() -> None:
    """What is undefined is left out, and a note says why."""
    found = sample([1, 2], [1, 3], []).measure(0)
    assert "mase" not in found
    assert "no past" in found.notes[0]


def test_errors_that_hang_together_make_longer_blocks() -> None:
    """Of independent errors each time is a block, nearly; the more they persist, the fewer blocks there are.

    The variance of blocks that hang together is made greater by what a process of order 1 has between them.
    """
    source = np.random.default_rng(1)
    noise = source.normal(size=600)
    walk = noise.copy()
    for i in range(1, 600):
        walk[i] = 0.8 * walk[i - 1] + noise[i]
    apart, together = time_blocks(np.arange(600), noise), time_blocks(np.arange(600), walk)
    assert (apart.count, apart.inflation) == (200, pytest.approx(1.04, abs=0.01))
    assert 5 <= together.count < 60
    assert 1.1 < together.inflation < 1.5
    assert (np.diff(together.members) >= 0).all()
    alternating = time_blocks(np.arange(600), np.resize([1.0, 3.0], 600))
    assert (alternating.count, alternating.inflation) == (600, 1.0)


def test_what_blocks_have_in_common_is_known() -> None:
    """Blocks show a known share of the variance of the mean of a process of order 1."""
    alike, count, length = 0.6, 240, 8
    covariance = alike ** np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    whole = covariance.mean()
    blocks = covariance[:length, :length].mean() * length / count
    assert forecasting._left(alike, length) == pytest.approx(blocks / whole, rel=0.02)


def test_clusters_take_the_place_of_blocks() -> None:
    """Where series are named as clusters these are resampled."""
    one = sample([1.0, 2, 3, 4], [1.5, 2, 3, 5], [1, 2, 4])
    found = one.hanging(Units.of_clusters([0, 0, 1, 1])).measure(0)
    assert isinstance(found, Metrics)
    assert "2 clusters" in found["mae"].method
    assert one.hanging(Units.of_rows(4)) is one
    assert one.take(np.array([0, 2])).measure(0)["mae"].value == 0.25
