"""Rows in order within queries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from filiera.errors import UsageError
from filiera.model.metrics.ranking import QuerySample, _reciprocal, ranking_metrics
from filiera.model.metrics.units import Units

queries = st.lists(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=2, max_size=9), min_size=1, max_size=6
)


@settings(max_examples=40, deadline=None)
@given(queries, st.integers(1, 12))
def test_values_are_those_of_scikit_learn(rows: list[list[tuple[int, int]]], k: int) -> None:
    """NDCG and MAP are the means of scikit-learn's of each query, with ties, over queries with a relevant row."""
    flat = [(good, score, query) for query, each in enumerate(rows) for good, score in each]
    found = ranking_metrics(*map(list, zip(*flat, strict=True)), k=k)
    usable = [np.array(each).T for each in rows if any(good for good, _ in each)]
    if not usable:
        assert found.names == ()
        assert "no relevant row" in found.notes[0]
        return
    ndcg = np.mean([sk.ndcg_score([good], [score], k=k) for good, score in usable])
    precision = np.mean([sk.average_precision_score(good > 0, score) for good, score in usable])
    assert found[f"ndcg_at_{k}"].value == pytest.approx(ndcg, abs=1e-9)
    assert found["map"].value == pytest.approx(precision, abs=1e-9)
    assert found["mrr"].n == len(usable)
    dummy = np.mean([sk.ndcg_score([good], [score * 0], k=k) for good, score in usable])
    assert found[f"ndcg_at_{k}"].baseline == pytest.approx(dummy, abs=1e-9)
    assert all(metric.low <= metric.value <= metric.high for metric in found)


@given(st.integers(0, 4), st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_ties_are_taken_in_all_orders(before: int, case: tuple[int, int]) -> None:
    """The reciprocal rank is the mean over all orders of the tied rows."""
    tied, relevant = case
    places = itertools.combinations(range(1, tied + 1), relevant)
    expected = sum(1 / (before + place[0]) for place in places) / math.comb(tied, relevant)
    assert _reciprocal(before, tied, relevant) == pytest.approx(expected, abs=1e-12)


def test_worked_example() -> None:
    """By hand: gains 3, 2, 3, 0, 1, 2 in this order have a DCG of 6.8611, in the best one of 7.1410."""
    found = ranking_metrics([3, 2, 3, 0, 1, 2], [6, 5, 4, 3, 2, 1], ["q"] * 6, k=6)
    assert found["ndcg_at_6"].value == pytest.approx(6.861126688593502 / 7.140995184095699, abs=1e-9)
    assert found["mrr"].value == 1


def test_queries_are_the_units_and_may_hang_together() -> None:
    """Rows of a query say nothing twice, nor do queries of one user; a slice is measured alone."""
    source = np.random.default_rng(0)
    query = np.repeat(np.arange(80), 5)
    good, score = source.integers(0, 2, 400), source.normal(size=400)
    apart = QuerySample.of(good, score, query, 10).measure(0)
    together = QuerySample.of(good, score, query, 10).hanging(Units.of_clusters(query // 20)).measure(0)
    for one, other in zip(apart, together, strict=True):
        assert one.value == other.value
        assert "4 clusters" in other.method
    half = QuerySample.of(good, score, query, 10).take(np.flatnonzero(query < 40)).measure(0)
    assert half == ranking_metrics(good[:200], score[:200], query[:200])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (([-1, 1], [1, 2], [0, 0]), "least relevance is -1"),
        (([1], [1, 2], [0, 0]), "numbers of rows differ"),
        (([], [], []), "no rows"),
        (([1, 1], [1, float("nan")], [0, 0]), "NaN"),
    ],
    ids=["negative", "lengths", "none", "nan"],
)
def test_bad_input_is_explained(given: tuple[list[float], ...], words: str) -> None:
    """Each impossible input has one clear message."""
    with pytest.raises(UsageError, match=words):
        ranking_metrics(*given)
