"""Intervals hold what a metric is on endlessly many rows about as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from tests.model.coverage import PAGE, measured, shown, tables
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


@pytest.mark.parametrize("name", SAMPLE)
def test_intervals_hold(name: str) -> None:
    """Of 80 intervals of each metric at most 12 miss: far below 95 of 100 something is wrong."""
    found = held(WORLDS[name][0], SAMPLE[name], 80, large=60_000)
    assert {metric: share for metric, share in found.items() if share < 85} == {}


def test_the_page_shows_each_world() -> None:
    """Each number of rows of each world has a column with all of its metrics, and reads back as it was written."""
    page = PAGE.read_text(encoding="utf-8")
    found = shown(page)
    assert set(found) == {(name, n) for name, (_, sizes) in WORLDS.items() for n in sizes}
    assert tables(found) in page
    source = np.random.default_rng(1)
    for (name, n), shares in found.items():
        assert set(shares) == {metric.name for metric in WORLDS[name][0](source, n).measure(0)}


@pytest.mark.campaign
@pytest.mark.parametrize("name", WORLDS)
def test_intervals_hold_as_the_page_says(name: str) -> None:
    """Of 2,000 intervals of each metric as many hold as the page says, to within what so many tries can tell."""
    page = shown(PAGE.read_text(encoding="utf-8"))
    for n in WORLDS[name][1]:
        found = measured(name, n)
        print(f"{name}, {n:,}:", ", ".join(f"{metric} {share:.1f}" for metric, share in found.items()))
        assert found == pytest.approx(page[name, n], abs=2.0)
