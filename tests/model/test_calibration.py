"""Probabilities and what came true."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.core.evaluation import Evaluation
from filiera.core.metric import Metrics
from filiera.errors import UsageError
from filiera.model.calibration import calibration


def evaluated(probability: Any, truth: Any, **more: Any) -> Evaluation:
    second = np.asarray(probability, dtype=float)
    rows = pl.DataFrame({"truth": np.asarray(truth), "p:no": 1 - second, "p:yes": second, **more.pop("columns", {})})
    return Evaluation(metrics=Metrics((), task="classification"), rows=rows, **more)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 15))
def test_parts_add_up_to_the_brier_score(rows: list[tuple[float, bool]], bins: int) -> None:
    """Bins hold all rows; error and parts are those of the definitions."""
    probability, came = (np.array(each) for each in zip(*rows, strict=True))
    found = calibration(evaluated(probability, np.where(came, "yes", "no")), bins=bins)
    assert sum(each.n for each in found.bins) == len(rows)
    assert found.brier == pytest.approx(np.square(probability - came).mean(), abs=1e-12)
    parts = found.reliability - found.resolution + found.uncertainty + found.within
    assert parts == pytest.approx(found.brier, abs=1e-12)
    expected = 0.0
    for each in found.bins:
        inside = (probability > each.least) | ((each.least == 0) & (probability == 0))
        inside &= probability <= each.most
        assert each.n == inside.sum()
        expected += abs(probability[inside].mean() - came[inside].mean()) * inside.mean()
        assert each.low <= each.observed <= each.high
    assert found.error == pytest.approx(expected, abs=1e-9)


def test_a_few_bins_by_hand() -> None:
    """Two rows at 0.2 of which one came true, two at 0.9 that did: error (0.3 + 0.1) / 2."""
    found = calibration(evaluated([0.2, 0.2, 0.9, 0.9], ["no", "yes", "yes", "yes"]), bins=2)
    assert found.error == pytest.approx(0.2)
    assert (found.reliability, found.resolution) == (pytest.approx((0.09 + 0.01) / 2), pytest.approx(0.0625))
    assert (found.uncertainty, found.within) == (pytest.approx(0.1875), pytest.approx(0.0, abs=1e-12))


def test_chance_explains_the_error_of_a_true_model() -> None:
    """Of models whose probabilities are true about 5 of 100 are called off; one that is too sure is."""
    source, off = np.random.default_rng(0), 0
    for seed in range(200):
        probability = source.beta(2, 2, size=400)
        truth = np.where(source.random(400) < probability, "yes", "no")
        off += calibration(evaluated(probability, truth), seed=seed).is_off
    assert 2 <= off <= 20
    sure = np.where(probability > 0.5, 0.95, 0.05)
    assert calibration(evaluated(sure, truth)).is_off


def test_clusters_explain_more() -> None:
    """Where rows come true together, the error that chance explains is larger."""
    source = np.random.default_rng(0)
    probability = np.repeat(source.beta(2, 2, size=40), 10)
    truth = np.where(np.repeat(source.random(40), 10) < probability, "yes", "no")
    host = {"host": np.repeat(np.arange(40), 10)}
    apart, together = evaluated(probability, truth), evaluated(probability, truth, columns=host, clusters="host")
    assert calibration(apart).is_off
    assert not calibration(together).is_off
    assert calibration(together).bins[0].high > calibration(apart).bins[0].high


def test_of_many_classes_the_predicted_one_is_looked_at() -> None:
    """Its probability is compared with how often it is right; a class can be asked for."""
    rows = pl.DataFrame(
        {"truth": ["a", "b"], "predicted": ["a", "c"], "p:a": [0.6, 0.1], "p:b": [0.3, 0.1], "p:c": [0.1, 0.8]}
    )
    found = Evaluation(metrics=Metrics((), task="classification"), rows=rows)
    assert calibration(found).brier == pytest.approx((0.4**2 + 0.8**2) / 2)
    assert calibration(found, of="b").brier == pytest.approx((0.3**2 + 0.9**2) / 2)
    with pytest.raises(UsageError, match="no class 'd'"):
        calibration(found, of="d")
    with pytest.raises(UsageError, match="no probabilities"):
        calibration(Evaluation(metrics=found.metrics, rows=rows.select("truth")))
