"""Intervals hold what a metric is on endlessly many rows about as often as they say."""

from __future__ import annotations

import pytest

from tests.model.worlds import WORLDS, held

SAMPLE = {
    "classification, 2 classes": 400,
    "regression, normal errors": 200,
    "regression, clusters of 10": 50,
    "ranking, queries": 50,
    "forecasting, errors alike by 0.5": 100,
    "anomaly detection, 5 of 100": 400,
}
"""Worlds, and on how many rows (queries, times, clusters) each is tried while tests run."""
LEAST = {
    ("forecasting, errors alike by 0.8", 100): 85,
    ("forecasting, errors alike by 0.8", 400): 88,
    ("forecasting, errors alike by 0.5", 100): 88,
    ("regression, skewed errors", 50): 85,
    ("regression, clusters of 10", 20): 88,
}
"""What is known to fall short, and is said so in the page on intervals."""


@pytest.mark.parametrize("name", SAMPLE)
def test_intervals_hold(name: str) -> None:
    """Of 80 intervals of each metric at most 12 miss: far below 95 of 100 something is wrong."""
    found = held(WORLDS[name][0], SAMPLE[name], 80, large=60_000)
    assert {metric: share for metric, share in found.items() if share < 85} == {}


@pytest.mark.campaign
@pytest.mark.parametrize("name", WORLDS)
def test_intervals_hold_as_the_page_says(name: str) -> None:
    """The table of the page on intervals: of 2,000 intervals of each metric 90 of 100 hold, or as many as are named."""
    world, sizes = WORLDS[name]
    for n in sizes:
        found = held(world, n, 2000, large=30_000 if "clusters of" in name else 300_000)
        print(f"{name}, {n:,}:", ", ".join(f"{metric} {share:.1f}" for metric, share in found.items()))
        assert min(found.values()) >= LEAST.get((name, n), 90)
