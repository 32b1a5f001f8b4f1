"""Whether a classifier treats groups alike: rates per group, how far they are apart, and what chance alone would do.

No limit is built in: which difference matters, and of which rate, the user must say. With unequal shares of positive
rows not all criteria can hold at once (Kleinberg, Mullainathan and Raghavan 2016; Chouldechova 2017).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from filiera.core.evaluation import Fairness, Slice, Value
from filiera.core.metric import Metric, Metrics
from filiera.core.value import dataclass
from filiera.model.answers import Floats
from filiera.model.metrics import interval
from filiera.model.metrics.estimate import mean_of, measured
from filiera.model.metrics.units import Units
from filiera.model.slices import Part

MINIMUM = 30
"""Groups with fewer positive or fewer negative rows are shown, but not compared."""
_PERMUTATIONS = 1999

Flags = NDArray[np.bool_]
Interval = interval.Interval


@dataclass(frozen=True, slots=True)
class Decisions:
    """Which rows are positive, which the model decided to be, and with what probability."""

    positive: Value
    truth: Flags
    decided: Flags
    probability: Floats | None
    units: Units


class _Rate:
    """A share of some rows in each group: *hits* among *whole*."""

    def __init__(self, hits: Flags, whole: Flags, groups: Sequence[Part], units: Units) -> None:
        self.n = np.array([int(whole[part.rows].sum()) for part in groups])
        self.hits = np.array([int((hits & whole)[part.rows].sum()) for part in groups])
        self.values = np.divide(self.hits, self.n, out=np.full(len(groups), np.nan), where=self.n > 0)
        member = np.zeros((len(hits), len(groups)))
        for i, part in enumerate(groups):
            member[part.rows, i] = whole[part.rows]
        self.effective = units.effective(member * hits[:, None], member)
        self._t = interval.quantile(units) / interval.quantile(Units.of_rows(2))

    def ends(self, tries: int = 1) -> tuple[Floats, Floats]:
        """Return the groups' intervals, so wide that *tries* of them hold together at 95 %."""
        from scipy.special import ndtri

        z = self._t * float(ndtri(1 - (1 - interval.LEVEL) / 2 / tries))
        return interval.wilson(np.nan_to_num(self.values) * self.effective, self.effective, z)

    def apart(self, tries: int) -> Interval:
        """Return the interval of the greatest difference, from those of all pairs at once."""
        low, high = self.ends(tries)
        found = [_newcombe(self.values, (low, high), i, j) for i, j in itertools.permutations(range(len(self.n)), 2)]
        return max(0.0, *(pair[0] for pair in found)), max(pair[1] for pair in found)

    def by_chance(self, rng: np.random.Generator) -> Floats:
        """Return greatest differences with the groups dealt out at random among the rows, shape ``(1999,)``."""
        drawn = rng.multivariate_hypergeometric(self.n, int(self.hits.sum()), size=_PERMUTATIONS, method="marginals")
        shares = drawn / self.n
        return np.asarray(shares.max(axis=1) - shares.min(axis=1))


def fairness_of(
    decisions: Decisions, column: str, groups: Sequence[Part], *, seed: int, minimum: int = MINIMUM
) -> Fairness:
    """Return the rates of each group and how far they are apart.

    Differences are of the greatest and the least rate, with an interval that holds for all pairs at once; their
    ``baseline`` is the mean of what chance alone would show with these sizes, and a note gives the p-value. Groups of
    fewer than *minimum* positive or negative rows are not compared.

    Source:
        Rates as in fairlearn; intervals Wilson (1927) and Newcombe (1998), method 10, with Bonferroni's correction for
        the pairs; ratio by Donner and Zou (2012); p-values as Phipson and Smyth (2010).
    """
    slices = tuple(Slice(column=column, value=part.value, metrics=_rates(decisions, part, seed)) for part in groups)
    enough = [part for part in groups if min(_count(decisions.truth, part), _count(~decisions.truth, part)) >= minimum]
    notes = [
        f"{column} = {part.value!r} has fewer than {minimum} positive or negative rows: not enough data to compare."
        for part in groups
        if part not in enough
    ]
    found: list[Metric] = []
    if len(enough) > 1:
        found = _differences(decisions, enough, notes, np.random.Generator(np.random.PCG64(seed)))
    else:
        notes.append("There are no two groups to compare.")
    differences = Metrics(tuple(found), task="classification", notes=tuple(notes))
    return Fairness(column=column, positive=decisions.positive, groups=slices, differences=differences)


def _rates(decisions: Decisions, part: Part, seed: int) -> Metrics:
    truth, decided = decisions.truth[part.rows], decisions.decided[part.rows]
    everyone, units = np.ones(len(truth), dtype=np.bool_), decisions.units.take(part.rows)
    found = []
    for name, hits, whole in (
        ("selection_rate", decided, everyone),
        ("true_positive_rate", decided, truth),
        ("false_positive_rate", decided, ~truth),
        ("predictive_value", truth, decided),
    ):
        rate = _Rate(hits, whole, [Part(None, np.arange(len(truth)))], units)
        if rate.n[0]:
            low, high = (float(end[0]) for end in rate.ends())
            value = float(rate.values[0])
            found.append(_metric(name, value, (low, high), int(rate.n[0]), "wilson"))
    if decisions.probability is not None:
        gap = decisions.probability[part.rows] - truth
        found += measured([mean_of(gap, "calibration_gap", scale="plain")], units, seed)
    return Metrics(tuple(found), task="classification")


def _differences(
    decisions: Decisions, groups: Sequence[Part], notes: list[str], rng: np.random.Generator
) -> list[Metric]:
    truth, decided, units = decisions.truth, decisions.decided, decisions.units
    inside = np.zeros(len(truth), dtype=np.bool_)
    for part in groups:
        inside[part.rows] = True
    selection = _Rate(decided, inside, groups, units)
    hit, false = _Rate(decided, inside & truth, groups, units), _Rate(decided, inside & ~truth, groups, units)
    rates: dict[str, list[_Rate]] = {
        "demographic_parity_difference": [selection],
        "equal_opportunity_difference": [hit],
        "equalized_odds_difference": [hit, false],
    }
    value = _Rate(truth, inside & decided, groups, units)
    if value.n.min() > 0:
        rates["predictive_parity_difference"] = [value]
    else:
        notes.append("Predictive parity is left out: in a group nobody was decided to be positive.")
    pairs = len(groups) * (len(groups) - 1) // 2
    found = []
    for name, each in rates.items():
        observed = max(float(np.ptp(rate.values)) for rate in each)
        ends = [rate.apart(pairs * len(each)) for rate in each]
        by_chance = np.max([rate.by_chance(rng) for rate in each], axis=0) if units.kind == "rows" else None
        if by_chance is not None:
            p = (1 + int((by_chance >= observed - 1e-12).sum())) / (_PERMUTATIONS + 1)
            notes.append(f"{name}: p = {p:.2g} if groups were dealt out at random.")
        low, high = max(end[0] for end in ends), max(end[1] for end in ends)
        dummy = None if by_chance is None else float(by_chance.mean())
        n = int(sum(rate.n.sum() for rate in each))
        found.append(_metric(name, observed, (low, high), n, "newcombe, all pairs", dummy))
    if units.kind != "rows":
        notes.append("What chance alone would show is not known where rows hang together: there are no p-values.")
    found.append(_ratio(selection, pairs))
    return found


def _newcombe(values: Floats, ends: tuple[Floats, Floats], i: int, j: int) -> Interval:
    """Return the interval of the difference of two rates from their own."""
    (low, high), difference = ends, values[i] - values[j]
    down = np.hypot(values[i] - low[i], high[j] - values[j])
    up = np.hypot(high[i] - values[i], values[j] - low[j])
    return float(difference - down), float(difference + up)


def _ratio(selection: _Rate, pairs: int) -> Metric:
    """Return the least selection rate over the greatest; its interval is that of the two."""
    ends, values = selection.ends(pairs), selection.values
    least, most = int(values.argmin()), int(values.argmax())
    one, other = values[least], values[most]
    if not other:
        return _metric("demographic_parity_ratio", 1.0, (0.0, 1.0), int(selection.n.sum()), "donner and zou")
    (low1, low2), (high1, high2) = ((end[least], end[most]) for end in ends)
    both = one * other

    def end(first: float, second: float, sign: int) -> float:
        below = second * (2 * other - second)
        root = np.sqrt(max(both**2 - first * (2 * one - first) * below, 0.0))
        return float((both + sign * root) / below) if below > 0 else float("inf")

    low, high = end(low1, high2, -1), end(high1, low2, 1)
    bounds = (max(0.0, low), min(1.0, high))
    return _metric("demographic_parity_ratio", float(one / other), bounds, int(selection.n.sum()), "donner and zou")


def _metric(name: str, value: float, ends: Interval, n: int, method: str, dummy: float | None = None) -> Metric:
    return Metric(
        name=name,
        value=value,
        low=min(ends[0], value),
        high=max(min(ends[1], 1.0), value),
        n=n,
        method=method,
        greater_is_better=not name.endswith(("difference", "false_positive_rate")),
        baseline=dummy,
    )


def _count(flags: Flags, part: Part) -> int:
    return int(flags[part.rows].sum())
