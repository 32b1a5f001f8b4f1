"""Evidence about shares that may be looked at after every observation, without more false alarms for it.

A test with a p-value is made for one look; whoever looks each second finds a difference sooner or later where none is.
What is here is made for looking: under "no difference" the evidence exceeds ``1/alpha`` *at any time, ever,* with
probability at most ``alpha``.
"""

from __future__ import annotations

import math

_PRIOR = 0.5
"""Both parameters of the beta distribution that shares are averaged over: Jeffreys'."""
_NARROWINGS = 60
_GOLDEN = (math.sqrt(5) - 1) / 2


def log_evidence_above(hits: int, of: int, *, limit: float) -> float:
    """Return the natural logarithm of the evidence that something happens in more than a share *limit* of all cases.

    Args:
        hits: How often it happened, from 0 to *of*.
        of: In how many cases, which are independent and have one probability.
        limit: From 0 to 1.

    Returns:
        The log of an e-value against "at most *limit*": below 0 when nothing speaks for more.

    Source:
        The mixture martingale of Robbins (1970), "Statistical methods related to the law of the iterated logarithm",
        for a binomial share; that it holds at any time is Ville's inequality.

    >>> log_evidence_above(2, 100, limit=0.05) < 0 < log_evidence_above(20, 100, limit=0.05)
    True
    """
    return _log_mixture(hits, of) - _log_likelihood(hits, of, min(limit, hits / of) if of else limit)


def log_evidence_of_more(tried: tuple[int, int], usual: tuple[int, int], *, margin: float = 0.0) -> float:
    """Return the natural logarithm of the evidence that something happens more often in one group than in another.

    Args:
        tried: In the group that may be worse: how often, and in how many cases.
        usual: In the other group, likewise. Neither need have any case.
        margin: More often by so much is still no difference; from 0 up to, not including, 1.

    Returns:
        The log of an e-value against "the share in *tried* is at most that in *usual* plus *margin*". It depends on the
        counts alone, so those of many services can be added up, in whatever order they come.

    Source:
        As ``log_evidence_above``: the product of the martingales of two independent groups, at the pair of shares
        within the hypothesis that explains the counts best; so for every pair in it the bound of Ville holds.

    >>> log_evidence_of_more((1, 50), (20, 1000)) < 0 < log_evidence_of_more((10, 50), (20, 1000))
    True
    """
    mixture = _log_mixture(*tried) + _log_mixture(*usual)
    best_tried, best_usual = _share(tried), _share(usual)
    if best_tried <= best_usual + margin:
        return mixture - _log_likelihood(*tried, best_tried) - _log_likelihood(*usual, best_usual)

    def explains(share: float) -> float:
        return _log_likelihood(*tried, share + margin) + _log_likelihood(*usual, share)

    low, high = 0.0, 1.0 - margin  # what explains best lies on the border, where this has one hill
    for _ in range(_NARROWINGS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if explains(left) < explains(right):
            low = left
        else:
            high = right
    return mixture - explains((low + high) / 2)


def _share(count: tuple[int, int]) -> float:
    hits, of = count
    return hits / of if of else 0.0


def _log_mixture(hits: int, of: int) -> float:
    """Return the log of the probability of one order of *hits* in *of* cases, averaged over all shares."""
    return _log_beta(_PRIOR + hits, _PRIOR + of - hits) - _log_beta(_PRIOR, _PRIOR)


def _log_beta(first: float, second: float) -> float:
    return math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)


def _log_likelihood(hits: int, of: int, share: float) -> float:
    return _times_log(hits, share) + _times_log(of - hits, 1.0 - share)


def _times_log(count: int, share: float) -> float:
    if not count:
        return 0.0
    return count * math.log(share) if share > 0.0 else -math.inf
