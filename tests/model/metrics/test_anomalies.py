"""Rows that look like anomalies."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from filiera.errors import UsageError
from filiera.model.metrics.anomalies import AnomalySample, anomaly_metrics
from filiera.model.metrics.units import Units


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_values_are_those_of_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    """Average precision and the area equal scikit-learn's; where nothing tells rows apart nothing is measured."""
    truth, scores = map(list, zip(*rows, strict=True))
    found = anomaly_metrics(truth, scores)
    if len(set(truth)) < 2:
        assert found.names == ()
        assert "nothing tells them apart" in found.notes[0]
        return
    assert found["average_precision"].value == pytest.approx(sk.average_precision_score(truth, scores), abs=1e-9)
    assert found["roc_auc"].value == pytest.approx(sk.roc_auc_score(truth, scores), abs=1e-9)
    assert all(metric.low <= metric.value <= metric.high for metric in found)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=2, max_size=7), st.floats(0.05, 0.95))
def test_ties_at_the_end_are_chosen_at_random(rows: list[tuple[bool, int]], share: float) -> None:
    """Precision and recall are means over all choices of so many rows with the highest scores."""
    truth, scores = (np.array(each) for each in zip(*rows, strict=True))
    if len(set(truth.tolist())) < 2:
        return
    k = max(1, round(share * len(truth)))
    chosen = [list(rows) for rows in itertools.combinations(range(len(truth)), k)]
    highest = max(scores[rows].sum() for rows in chosen)
    hits = np.mean([truth[rows].sum() for rows in chosen if scores[rows].sum() == highest])
    found = anomaly_metrics(truth, scores, contamination=share)
    assert found["precision_at_contamination"].value == pytest.approx(hits / k, abs=1e-12)
    assert found["recall_at_contamination"].value == pytest.approx(hits / truth.sum(), abs=1e-12)


def test_flags_are_measured_too() -> None:
    """What the model flagged has precision and recall; without truth, only a share of rows."""
    truth, flagged = np.array([True, True, False, False]), np.array([True, False, True, False])
    scores = [0.9, 0.2, 0.8, 0.1]
    found = AnomalySample.of(truth, scores, flagged, None).measure(0)
    assert (found["precision"].value, found["recall"].value, found["flagged_share"].value) == (0.5, 0.5, 0.5)
    assert found["precision"].baseline == 0.5
    unknown = AnomalySample.of(None, scores, flagged, None).measure(0)
    assert unknown.names == ("flagged_share",)
    assert "No anomalies are known" in unknown.notes[0]
    part = AnomalySample.of(truth, scores, flagged, None).hanging(Units.of_clusters("abab")).take(np.array([0, 2]))
    assert part.measure(0)["precision"].n == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"truth": [0, 2], "scores": [1, 2]}, "which rows are anomalies"),
        ({"truth": [0, 1], "scores": [1]}, "numbers of rows differ"),
        ({"truth": [0, 1], "scores": [1, 2], "contamination": 1.0}, "above 0 and below 1"),
    ],
    ids=["truth", "lengths", "share"],
)
def test_bad_input_is_explained(given: dict[str, Any], words: str) -> None:
    """Each impossible input has one clear message."""
    with pytest.raises(UsageError, match=words):
        anomaly_metrics(**given)
