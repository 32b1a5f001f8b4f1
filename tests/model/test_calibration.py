"""Probabilities and what came true."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm

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


WORLDS = {
    "true": lambda p: p,
    "too sure": lambda p: expit(0.6 * logit(p)),
    "too high": lambda p: expit(logit(p) - 0.5),
    "off in one bin": lambda p: np.where((p > 0.6) & (p <= 0.7), p - 0.3, p),
}
"""How often what has a probability comes true."""


def _came(world: str, source: np.random.Generator, n: int, size: int = 1) -> tuple[Any, Any]:
    """Return *n* probabilities and what came true, in clusters of *size* whose rows go together by 0.5."""
    probability = np.clip(source.beta(2, 2, size=n), 1e-6, 1 - 1e-6)
    shocks = source.normal(size=n)
    if size > 1:
        shocks = (shocks + np.repeat(source.normal(size=n // size), size)) / 2**0.5
    return probability, norm.cdf(shocks) < WORLDS[world](probability)


def _held(world: str, n: int, repeats: int, size: int = 1) -> float:
    """Return how many of 100 intervals of the calibration error hold what it is on endlessly many rows."""
    probability, _ = _came(world, np.random.default_rng(0), 2_000_000)
    away = np.bincount((probability * 10).astype(int), probability - WORLDS[world](probability))
    true, source, hits = float(np.abs(away).sum()) / len(probability), np.random.default_rng(1), 0
    for seed in range(repeats):
        drawn, came = _came(world, source, n, size)
        more = {"columns": {"host": np.arange(n) // size}, "clusters": "host"} if size > 1 else {}
        found = calibration(evaluated(drawn, np.where(came, "yes", "no"), **more), seed=seed)
        assert 0 <= found.low <= found.error <= found.high <= 1
        hits += found.low <= true + 1e-9 and true - 1e-9 <= found.high
    return 100 * hits / repeats


@pytest.mark.parametrize("world", ["too sure", "off in one bin"])
def test_the_interval_holds_what_the_error_is(world: str) -> None:
    """Of 60 intervals at most 8 miss, although the error itself is biased upwards."""
    assert _held(world, 400, 60) >= 87


def test_the_interval_of_a_true_model_begins_at_nothing() -> None:
    """Where chance explains the error nothing need be off; where it does not, something is."""
    assert _held("true", 400, 40) >= 95
    drawn, came = _came("too high", np.random.default_rng(5), 2000)
    found = calibration(evaluated(drawn, np.where(came, "yes", "no")))
    assert found.by_chance < found.low < found.error < found.high < 0.2


@pytest.mark.parametrize(
    ("probability", "came"),
    [([0.5], ["yes"]), ([1.0, 1.0], ["yes", "yes"]), ([0.0, 1.0], ["yes", "no"]), ([0.9] * 3, ["yes"] * 3)],
)
def test_of_few_rows_little_is_known(probability: list[float], came: list[str]) -> None:
    """One row, perfect ones and wholly wrong ones have an interval that holds the error."""
    found = calibration(evaluated(probability, came))
    assert 0 <= found.low <= found.error <= found.high <= 1


def test_an_error_that_rows_share_is_less_known() -> None:
    """The interval is wider where rows come true together."""
    drawn, came = _came("too high", np.random.default_rng(5), 1000, 10)
    truth, host = np.where(came, "yes", "no"), {"host": np.arange(1000) // 10}
    apart, together = evaluated(drawn, truth, columns=host), evaluated(drawn, truth, columns=host, clusters="host")
    widths = [one.high - one.low for one in (calibration(apart), calibration(together))]
    assert widths[1] > 1.3 * widths[0]


@pytest.mark.campaign
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("n", "size"), [(100, 1), (400, 1), (2000, 1), (500, 10), (2000, 10)])
def test_the_interval_holds_as_the_page_says(world: str, n: int, size: int) -> None:
    """The line of the page on intervals."""
    share = _held(world, n, 500, size)
    print(f"{world}, {n:,} rows in {n // size:,}: {share:.1f}")
    assert share >= 85


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
