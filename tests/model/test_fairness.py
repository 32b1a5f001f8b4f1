"""Groups are treated alike, or not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.core.evaluation import Fairness
from filiera.model.fairness import Decisions, fairness_of
from filiera.model.metrics.units import Units
from filiera.model.slices import Part


def compared(truth: Any, decided: Any, group: Any, **more: Any) -> Fairness:
    truth, decided, group = np.asarray(truth, dtype=bool), np.asarray(decided, dtype=bool), np.asarray(group)
    units = more.pop("units", Units.of_rows(len(truth)))
    decisions = Decisions("yes", truth, decided, more.pop("probability", None), units)
    parts = [Part(name, np.flatnonzero(group == name)) for name in dict.fromkeys(group.tolist())]
    return fairness_of(decisions, "group", parts, seed=0, **more)


rows = st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from("abc")), min_size=6, max_size=60)


@settings(max_examples=40, deadline=None)
@given(rows)
def test_differences_are_those_of_the_definitions(given: list[tuple[bool, bool, str]]) -> None:
    """Each is the greatest rate less the least, over groups that have positive and negative rows."""
    truth, decided, group = (np.array(each) for each in zip(*given, strict=True))
    found = compared(truth, decided, group, minimum=1)
    usable = [name for name in "abc" if len(set(truth[group == name])) == 2]
    if len(usable) < 2:
        assert found.differences.names == ()
        return
    selection = [decided[group == name].mean() for name in usable]
    hits = [decided[(group == name) & truth].mean() for name in usable]
    false = [decided[(group == name) & ~truth].mean() for name in usable]
    values = {metric.name: metric.value for metric in found.differences}
    assert values["demographic_parity_difference"] == pytest.approx(np.ptp(selection), abs=1e-12)
    assert values["equal_opportunity_difference"] == pytest.approx(np.ptp(hits), abs=1e-12)
    assert values["equalized_odds_difference"] == pytest.approx(max(np.ptp(hits), np.ptp(false)), abs=1e-12)
    ratio = min(selection) / max(selection) if max(selection) else 1.0
    assert values["demographic_parity_ratio"] == pytest.approx(ratio, abs=1e-12)
    assert all(0 <= metric.low <= metric.value <= metric.high <= 1 for metric in found.differences)


def test_rates_per_group_are_shares_with_intervals() -> None:
    """Counts worked by hand: group a has 3 positive of 4, of which 2 were found, and 1 false alarm."""
    found = compared([1, 1, 1, 0, 0, 1], [1, 1, 0, 1, 0, 1], list("aaaabb"), probability=np.full(6, 0.5))
    rates = {metric.name: metric.value for metric in found.groups[0].metrics}
    assert rates == {
        "selection_rate": 0.75,
        "true_positive_rate": pytest.approx(2 / 3),
        "false_positive_rate": 1.0,
        "predictive_value": pytest.approx(2 / 3),
        "calibration_gap": -0.25,
    }
    assert found.groups[0].metrics["true_positive_rate"].n == 3
    assert "not enough data" in found.differences.notes[0]
    assert "no two groups" in found.differences.notes[-1]


def test_two_groups_have_the_interval_of_newcombe() -> None:
    """Newcombe's published example: 56 of 70 and 48 of 80 differ by 0.2, 0.0524 to 0.3339 (1998, method 10)."""
    decided = [1] * 56 + [0] * 14 + [1] * 48 + [0] * 32
    truth = ([1, 0] * 35) + ([1, 0] * 40)
    found = compared(truth, decided, ["a"] * 70 + ["b"] * 80).differences["demographic_parity_difference"]
    assert found.value == pytest.approx(0.2, abs=1e-12)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_chance_alone_sets_groups_apart() -> None:
    """Without a difference the p-value is not small, and the baseline is what many small groups show by themselves."""
    source = np.random.default_rng(0)
    group = source.integers(0, 8, 1600)
    truth, decided = source.random(1600) < 0.5, source.random(1600) < 0.5
    found = compared(truth, decided, group).differences["demographic_parity_difference"]
    assert found.baseline is not None and abs(found.value - found.baseline) < 0.1
    worse = compared(truth, decided | (group == 3), group).differences
    assert worse["demographic_parity_difference"].low > 0.2
    assert "p = 0.0005" in worse.notes[0]


def test_intervals_of_many_groups_cover() -> None:
    """The greatest difference of five equal groups is 0: at least 93 of 100 intervals hold it."""
    source, hits = np.random.default_rng(1), 0
    for _ in range(200):
        group = np.repeat(np.arange(5), 80)
        found = compared(np.tile([1, 0], 200), source.random(400) < 0.4, group)
        hits += found.differences["demographic_parity_difference"].low <= 0
    assert hits >= 186


def test_rows_that_hang_together_widen_differences() -> None:
    """Copies of rows as clusters say no more than the rows, and no p-value is given that would need them apart."""
    source = np.random.default_rng(2)
    group, truth, decided = np.tile(["a", "b"], 80), np.tile([1, 1, 0, 0], 40), source.random(160) < 0.5
    once = compared(truth, decided, group)
    copies = [np.repeat(each, 5) for each in (truth, decided, group)]
    many = compared(*copies, units=Units.of_clusters(np.repeat(np.arange(160), 5).tolist()))
    for one, other in itertools.pairwise(
        [once.differences["demographic_parity_difference"], many.differences["demographic_parity_difference"]]
    ):
        assert other.value == pytest.approx(one.value)
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.1)
    assert not any("p =" in note for note in many.differences.notes)
    assert "no p-values" in many.differences.notes[-1]
