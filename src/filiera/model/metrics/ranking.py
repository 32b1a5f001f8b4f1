"""Metrics of rows put in order within queries, with 95 % intervals over queries and what a random order scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from filiera.core.digest import digest
from filiera.core.metric import Metrics
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Codes, Floats, check_lengths, number_array
from filiera.model.metrics import interval
from filiera.model.metrics.estimate import Pull, measured
from filiera.model.metrics.units import Units


def ranking_metrics(relevance: Any, scores: Any, queries: Any, *, k: int = 10, seed: int = 0) -> Metrics:
    """Return NDCG of the first *k*, mean average precision (MAP) and mean reciprocal rank (MRR), means over queries.

    Rows of equal score are taken in all orders, and the mean of what these give is the value; so the dummy is a model
    that gives all rows one score. Gains are the relevances themselves, discounted by the logarithm to base 2 of the
    place + 1; for MAP and MRR a row is relevant or not. Queries without a relevant row are left out, and a note says
    how many. ``n`` counts queries, and these are what is resampled.

    Args:
        relevance: How good each row is as an answer, 0 or more, shape ``(n,)``.
        scores: What the model put the rows in order by, highest first, same length.
        queries: What query each row belongs to, same length.
        k: So many of the first are looked at by NDCG.
        seed: Of the bootstrap.

    Raises:
        UsageError: No rows, lengths that differ, values that are not finite, a relevance below 0.

    Source:
        Järvelin and Kekäläinen (2002), Cumulated gain-based evaluation; ties as McSherry and Najork (2008).

    >>> found = ranking_metrics([0, 1, 1, 0], [0.9, 0.8, 0.3, 0.7], ["a", "a", "b", "b"])
    >>> found["mrr"].value, found["mrr"].baseline
    (0.5, 0.75)
    """
    return QuerySample.of(relevance, scores, queries, k).measure(seed)


@dataclass(frozen=True, slots=True)
class QuerySample:
    """Rows with relevance and score, which query each belongs to, and which queries hang together."""

    relevance: Floats
    scores: Floats
    queries: Codes
    k: int
    units: Units  #: of the rows; a query is of the unit that its first row is of

    @classmethod
    def of(cls, relevance: Any, scores: Any, queries: Any, k: int) -> QuerySample:
        """Return the sample of three columns; queries are independent. Raises UsageError."""
        good, score = number_array(relevance, "relevance"), number_array(scores, "the model's scores")
        members = Units.of_clusters(list(queries)).members
        check_lengths({"relevance": len(good), "scores": len(score), "queries": len(members)})
        if good.min() < 0:
            raise UsageError(f"The least relevance is {good.min():g}.", why="It is 0 for no use, more for more.")
        if k < 1:
            raise UsageError(f"k is {k}.", why="At least the first row is looked at.")
        return cls(good, score, members, k, Units.of_rows(len(good)))

    def hanging(self, units: Units) -> QuerySample:
        """Return the same rows in other units."""
        return QuerySample(self.relevance, self.scores, self.queries, self.k, units)

    def take(self, rows: Codes) -> QuerySample:
        """Return the sample of some rows."""
        queries = np.unique(self.queries[rows], return_inverse=True)[1]
        return QuerySample(self.relevance[rows], self.scores[rows], queries, self.k, self.units.take(rows))

    def measure(self, seed: int) -> Metrics:
        """Return the metrics of ``ranking_metrics``."""
        best = np.zeros(int(self.queries.max()) + 1)
        np.maximum.at(best, self.queries, self.relevance)
        usable = np.flatnonzero(best > 0)
        notes = []
        if len(usable) < len(best):
            notes.append(f"Left out: {len(best) - len(usable):,} of {len(best):,} queries, with no relevant row.")
        found = []
        if len(usable):
            units = self.units.take(np.unique(self.queries, return_index=True)[1]).take(usable)
            ours, dummies = (_per_query(self, scores) for scores in (self.scores, np.zeros_like(self.scores)))
            wanted = [_mean(name, values[usable], float(dummies[name][usable].mean())) for name, values in ours.items()]
            found = measured(wanted, units, seed)
        parts = [each.astype("<f8").tobytes() for each in (self.relevance, self.scores)]
        parts.append(self.queries.astype("<i8").tobytes())
        return Metrics(tuple(found), task="ranking", notes=tuple(notes), evaluation=digest("evaluation/1", *parts))


def _mean(name: str, values: Floats, dummy: float) -> Pull:
    value, within = float(values.mean()), None
    if value in (0, 1):
        low, high = interval.wilson(value * len(values), len(values))
        within = (float(low), float(high))
    return Pull(name=name, value=value, pulls=values - value, baseline=dummy, within=within)


def _per_query(sample: QuerySample, scores: Floats) -> dict[str, Floats]:
    """Return each metric of each query, shape ``(queries,)``; of those without a relevant row it says nothing."""
    count = int(sample.queries.max()) + 1
    order = np.lexsort((-scores, sample.queries))
    queries, score, good = sample.queries[order], scores[order], sample.relevance[order]
    sizes = np.bincount(queries, minlength=count)
    place = np.arange(len(order)) - np.repeat(sizes.cumsum() - sizes, sizes)
    discount = np.where(place < sample.k, 1 / np.log2(place + 2), 0.0)
    # Rows of one query and score are a tie; "ends" is where the next one begins.
    starts = np.flatnonzero(np.append(True, (queries[1:] != queries[:-1]) | (score[1:] != score[:-1])))
    of, tied = queries[starts], np.diff(np.append(starts, len(order)))
    gain = np.add.reduceat(good, starts) / tied * np.add.reduceat(discount, starts)
    best = sample.relevance[np.lexsort((-sample.relevance, sample.queries))]
    ideal = np.bincount(queries, best * discount, minlength=count)
    relevant = np.add.reduceat((good > 0).astype(np.float64), starts)
    found = relevant.cumsum()
    found -= np.concatenate(([0.0], found))[np.searchsorted(of, of)]
    listed = place[starts] + tied
    all_relevant = np.maximum(np.bincount(of, relevant, minlength=count), 1)
    precision = np.bincount(of, relevant * found / listed, minlength=count) / all_relevant
    first = np.flatnonzero((relevant > 0) & (found == relevant))
    ranks = np.zeros(count)
    ranks[of[first]] = [_reciprocal(int(place[starts[i]]), int(tied[i]), int(relevant[i])) for i in first]
    cumulated = np.divide(np.bincount(of, gain, minlength=count), ideal, out=np.zeros(count), where=ideal > 0)
    return {f"ndcg_at_{sample.k}": cumulated, "map": precision, "mrr": ranks}


def _reciprocal(before: int, tied: int, relevant: int) -> float:
    """Return the mean of 1 / place of the first of *relevant* among *tied* rows in random order, *before* ahead."""
    if relevant == tied:
        return 1 / (before + 1)
    orders = math.comb(tied, relevant)
    return sum(
        math.comb(tied - place, relevant - 1) / orders / (before + place) for place in range(1, tied - relevant + 2)
    )
