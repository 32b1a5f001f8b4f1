"""Worlds whose truth is known: samples of any size, to count how often intervals hold it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filiera.model.answers import ClassAnswers
from filiera.model.asked import Sample
from filiera.model.metrics.anomalies import AnomalySample
from filiera.model.metrics.classification import ClassSample
from filiera.model.metrics.clustering import GroupSample
from filiera.model.metrics.forecasting import ForecastSample, time_blocks
from filiera.model.metrics.ranking import QuerySample
from filiera.model.metrics.regression import NumberSample
from filiera.model.metrics.units import Units

World = Callable[[np.random.Generator, int], Sample]
"""Makes a sample of so many rows (queries, times); in clusters, so many clusters."""
_CLUSTER_ROWS = 10


def _units(n: int, clustered: bool) -> tuple[Units, NDArray[np.int64]]:
    """Return units and which of *n* shocks hits each row: its own, or its cluster's."""
    if not clustered:
        return Units.of_rows(n), np.arange(n)
    members = np.repeat(np.arange(n), _CLUSTER_ROWS)
    return Units.of_clusters(members.tolist()), members


def classes(k: int, strength: float, *, clustered: bool = False) -> World:
    """Return a classifier of *k* classes, the rarer the later; the greater *strength*, the better it is."""

    def world(source: np.random.Generator, n: int) -> Sample:
        units, shock = _units(n, clustered)
        rows = len(shock)
        prior = 0.5 ** np.arange(k)
        prior /= prior.sum()
        truth = source.choice(k, size=rows, p=prior)
        evidence = np.log(prior) + strength * np.eye(k)[truth] + source.normal(size=(rows, k))
        evidence += source.normal(size=(n, k))[shock] if clustered else 0
        table = np.exp(evidence)
        table /= table.sum(axis=1, keepdims=True)
        answers = ClassAnswers(labels=tuple(range(k)), truth=truth, predicted=table.argmax(axis=1))
        return ClassSample(answers, table, units)

    return world


def numbers(errors: str, *, clustered: bool = False) -> World:
    """Return a regression with "normal" or "skewed" errors."""

    def world(source: np.random.Generator, n: int) -> Sample:
        units, shock = _units(n, clustered)
        truth = source.normal(size=len(shock))
        away = source.normal(size=len(shock)) if errors == "normal" else source.exponential(size=len(shock)) - 1
        if clustered:
            away = (away + source.normal(size=n)[shock]) / 2**0.5
        return NumberSample(truth, truth + 0.5 * away, units)

    return world


def queries(source: np.random.Generator, n: int) -> Sample:
    """Return a ranking of ten rows a query, of which about three are relevant."""
    query = np.repeat(np.arange(n), 10)
    relevance = np.maximum(source.integers(-5, 4, size=10 * n), 0).astype(np.float64)
    return QuerySample.of(relevance, relevance + 2 * source.normal(size=10 * n), query.tolist(), 10)


def times(persistence: float) -> World:
    """Return forecasts of one series, whose errors are as alike as *persistence* from time to time."""

    def world(source: np.random.Generator, n: int) -> Sample:
        from scipy.signal import lfilter

        noise = source.normal(size=n + 200) * (1 - persistence**2) ** 0.5
        errors: Any = lfilter([1.0], [1.0, -persistence], noise)[200:]
        truth = 20 + 5 * np.sin(np.arange(n) / 4)
        predicted = truth + errors
        return ForecastSample(
            truth=truth,
            predicted=predicted,
            quantiles=np.column_stack((predicted - 1.5, predicted + 1.5)),
            levels=(0.1, 0.9),
            series=np.zeros(n, dtype=np.int64),
            naive=np.full(n, np.nan),
            past=np.ones((n, 2)),
            units=time_blocks(np.arange(n), errors),
        )

    return world


def anomalies(source: np.random.Generator, n: int) -> Sample:
    """Return scores of rows of which 5 of 100 are anomalies."""
    truth = source.random(n) < 0.05
    return AnomalySample.of(truth, source.normal(size=n) + 2 * truth, source.random(n) < 0.05 + 0.6 * truth, 0.05)


def groups(source: np.random.Generator, n: int) -> Sample:
    """Return rows around three centres, put to the nearest."""
    centres = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    truth = source.choice(3, size=n, p=[0.5, 0.3, 0.2])
    points = centres[truth] + source.normal(size=(n, 2))
    nearest = np.square(points[:, None] - centres[None]).sum(axis=-1).argmin(axis=1)
    clusters, known = (ClassAnswers(labels=(0, 1, 2), truth=each, predicted=each) for each in (nearest, truth))
    return GroupSample(points, clusters, known, Units.of_rows(n))


WORLDS: Mapping[str, tuple[World, tuple[int, ...]]] = {
    "classification, 2 classes": (classes(2, 2.0), (100, 400, 2000)),
    "classification, 4 classes": (classes(4, 2.5), (100, 400, 2000)),
    "classification, 4 classes, clusters of 10": (classes(4, 2.5, clustered=True), (50, 200)),
    "regression, normal errors": (numbers("normal"), (50, 200, 1000)),
    "regression, skewed errors": (numbers("skewed"), (50, 200, 1000)),
    "regression, clusters of 10": (numbers("normal", clustered=True), (20, 50, 200)),
    "ranking, queries": (queries, (50, 200)),
    "forecasting, independent errors": (times(0.0), (50, 200)),
    "forecasting, errors alike by 0.5": (times(0.5), (100, 400)),
    "forecasting, errors alike by 0.8": (times(0.8), (100, 400, 1600)),
    "anomaly detection, 5 of 100": (anomalies, (400, 2000)),
    "clustering": (groups, (200, 1000)),
}


@functools.cache
def truth_of(world: World, n: int) -> dict[str, float]:
    """Return what metrics are on endlessly many rows, nearly."""
    source = np.random.default_rng(12345)
    found: dict[str, list[float]] = {}
    for _ in range(64 if world is groups else 1):
        for metric in world(source, 2000 if world is groups else n).measure(0):
            found.setdefault(metric.name, []).append(metric.value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def held(world: World, n: int, repeats: int, *, large: int = 300_000) -> dict[str, float]:
    """Return for each metric how many of 100 intervals, made from *n* rows each, hold its true value."""
    truth, source = truth_of(world, large), np.random.default_rng(1)
    hits: dict[str, list[bool]] = {name: [] for name in truth}
    for seed in range(repeats):
        for metric in world(source, n).measure(seed):
            # This index grows with the number of rows; the truth was taken on 2,000.
            growth = (n - 3) / (2000 - 3) if metric.name == "calinski_harabasz" else 1.0
            hits[metric.name].append(metric.low <= growth * truth[metric.name] <= metric.high)
    return {name: 100 * float(np.mean(each)) for name, each in hits.items() if each}
