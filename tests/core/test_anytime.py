from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.anytime import log_evidence_above, log_evidence_of_more

SHARES = st.just(0.0) | st.floats(1e-6, 1)
FEW = st.integers(0, 12)


def chance(hits: int, of: int, share: float) -> float:
    """Return the probability of *hits* in *of* cases."""
    return float(math.comb(of, hits) * share**hits * (1 - share) ** (of - hits))


@given(of=st.integers(0, 30), limit=SHARES, below=SHARES)
def test_nothing_is_expected_of_a_share_within_the_limit(of: int, limit: float, below: float) -> None:
    """At most 1 is the mean evidence, summed over all that can happen, where the share is at most the limit."""
    share = limit * below
    mean = sum(
        chance(hits, of, share) * math.exp(log_evidence_above(hits, of, limit=limit)) for hits in range(of + 1)
        if chance(hits, of, share)
    )  # fmt: skip
    assert mean <= 1 + 1e-9


@given(tried=FEW, usual=FEW, share=SHARES, below=SHARES, margin=st.floats(0, 0.5))
def test_nothing_is_expected_of_a_group_that_is_no_worse(
    tried: int, usual: int, share: float, below: float, margin: float
) -> None:
    """Likewise for two groups, wherever the shares lie within the hypothesis."""
    worst = min(1.0, share + margin) * below
    mean = 0.0
    for hits in range(tried + 1):
        for others in range(usual + 1):
            likely = chance(hits, tried, worst) * chance(others, usual, share)
            if likely:
                mean += likely * math.exp(log_evidence_of_more((hits, tried), (others, usual), margin=margin))
    assert mean <= 1 + 1e-6


@given(data=st.data(), margin=st.floats(0, 0.5))
def test_the_best_explanation_is_found(data: st.DataObject, margin: float) -> None:
    """No pair of shares within the hypothesis, on a grid, explains the counts better than the one it is measured by."""
    counts = []
    for _ in range(2):
        of = data.draw(st.integers(1, 200))
        counts.append((data.draw(st.integers(0, of)), of))
    tried, usual = counts
    found = log_evidence_of_more(tried, usual, margin=margin)
    free = log_evidence_above(*tried, limit=1.0) + log_evidence_above(*usual, limit=1.0)
    best = _log_likelihood(*tried, tried[0] / tried[1]) + _log_likelihood(*usual, usual[0] / usual[1])
    for step in range(101):
        share = step / 100
        for other in {share + margin, min(tried[0] / tried[1], share + margin)}:
            if other <= 1:
                explained = _log_likelihood(*tried, other) + _log_likelihood(*usual, share)
                assert found <= free + best - explained + 1e-6


def _log_likelihood(hits: int, of: int, share: float) -> float:
    total = 0.0
    for count, part in ((hits, share), (of - hits, 1 - share)):
        if count:
            total += count * math.log(part) if part > 0 else -math.inf
    return total


@pytest.mark.parametrize(("tried", "usual"), [((0, 0), (0, 0)), ((0, 0), (5, 10)), ((0, 9), (0, 9)), ((9, 9), (9, 9))])
def test_nothing_speaks_for_a_difference_that_is_not_there(tried: tuple[int, int], usual: tuple[int, int]) -> None:
    """No cases, and equal shares at the ends, are no evidence."""
    assert log_evidence_of_more(tried, usual) <= 1e-9


def test_a_difference_is_found_by_a_few_cases() -> None:
    """Of a group that always fails four cases are enough to say so at 1 in 1,000; of one twice as bad, 400."""
    assert log_evidence_of_more((4, 4), (0, 100)) > math.log(1000)
    assert log_evidence_of_more((80, 400), (400, 4000)) > math.log(1000)
