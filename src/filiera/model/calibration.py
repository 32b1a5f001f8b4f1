"""Whether probabilities mean what they say: rows in bins of their probability, and how often they were right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filiera.core.evaluation import Evaluation
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Codes, Floats
from filiera.model.metrics import interval
from filiera.model.metrics.units import Units

Flags = NDArray[np.bool_]
_SIMULATED = 1000
_HALVINGS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Rows whose probability lies in one range."""

    least: float  #: end of the range
    most: float  #: end of the range
    n: int  #: rows
    predicted: float  #: their mean probability
    observed: float  #: share of them that came true
    low: float  #: lower end of its 95 % interval
    high: float  #: upper end


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How far probabilities are from shares, and what the Brier score is made of.

    The expected calibration error is above 0 for a perfect model too, since shares of few rows vary; so what a model
    would show whose probabilities are true stands beside it, and its interval, which takes that away, reaches farther
    down than up.
    ``brier = reliability - resolution + uncertainty + within``.
    """

    of: str  #: the class the probability is of, or "the predicted class"
    bins: tuple[Bin, ...]
    error: float  #: expected calibration error (ECE): mean distance of probability and share, 0 to 1
    low: float  #: lower end of the 95 % interval of what the error is on endlessly many rows, in the same bins
    high: float  #: upper end
    by_chance: float  #: its mean if the probabilities were true
    limit: float  #: what it would exceed in 5 of 100 such evaluations
    brier: float  #: mean squared distance of probability and truth, 0 to 1
    reliability: float  #: its part from bins whose share is not their probability
    resolution: float  #: what it gains from bins whose shares differ
    uncertainty: float  #: what always answering the share would cost
    within: float  #: what is left, of probabilities that differ inside a bin

    @property
    def is_off(self) -> bool:
        """Tell whether the error is larger than chance explains."""
        return self.error > self.limit


def calibration(evaluation: Evaluation, *, of: str = "", bins: int = 10, seed: int = 0) -> Calibration:
    """Return how well the probabilities of a classifier are calibrated, in *bins* of equal width.

    Args:
        evaluation: Of a classifier that gives probabilities.
        of: The class to look at; "": the second of two, of more the one that is predicted, with its probability.
        bins: How many; those without rows are left out.
        seed: Of the simulation.

    Raises:
        UsageError: There are no probabilities, or no such class.

    Source:
        Murphy (1973), A new vector partition of the probability score, with the terms inside bins of Stephenson, Coelho
        and Jolliffe (2008); ECE as Naeini, Cooper and Hauskrecht (2015).
    """
    rows = evaluation.rows
    labels = [name.removeprefix("p:") for name in rows.columns if name.startswith("p:")]
    if not labels:
        raise UsageError("This evaluation has no probabilities.", why="The model has no predict_proba.")
    if of and of not in labels:
        raise UsageError(f"There is no class {of!r}.", why=f"There are: {', '.join(labels)}.")
    units = Units.of_clusters(rows[evaluation.clusters].to_list()) if evaluation.clusters else Units.of_rows(len(rows))
    if of or len(labels) == 2:
        named = of or labels[1]
        probability = rows[f"p:{named}"].to_numpy()
        came = np.array([str(label) == named for label in rows["truth"].to_list()])
        return _calibration(named, probability, came, _Bins.of(probability, bins, units, seed))
    probability = rows.select(f"p:{label}" for label in labels).to_numpy().max(axis=1)
    came = (rows["truth"] == rows["predicted"]).to_numpy()
    return _calibration("the predicted class", probability, came, _Bins.of(probability, bins, units, seed))


@dataclass(frozen=True, slots=True)
class _Bins:
    """Which bin each row is in, what hangs together, and what is drawn by."""

    members: Codes
    edges: Floats
    units: Units
    seed: int

    @classmethod
    def of(cls, probability: Floats, bins: int, units: Units, seed: int) -> _Bins:
        edges = np.linspace(0, 1, bins + 1)
        # The upper end belongs to a bin, and 0 to the first.
        members = np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, bins - 1)
        return cls(members.astype(np.int64), edges, units, seed)

    def means(self, values: Floats) -> Floats:
        """Return the mean of *values* in each bin, 0 in those without rows."""
        sums = np.bincount(self.members, values, minlength=len(self.edges) - 1)
        return np.asarray(sums / np.maximum(self.sizes, 1))

    @property
    def sizes(self) -> Codes:
        return np.bincount(self.members, minlength=len(self.edges) - 1)


def _calibration(
    of: str, probability: Floats, came: np.ndarray[tuple[int], np.dtype[np.bool_]], bins: _Bins
) -> Calibration:
    true, n = came.astype(np.float64), len(came)
    sizes, predicted, observed = bins.sizes, bins.means(probability), bins.means(true)
    weights = sizes / n
    error = float(weights @ np.abs(predicted - observed))
    member = np.eye(len(sizes))[bins.members]
    rows = bins.units.effective(member * true[:, None], member)
    low, high = interval.wilson(observed * rows, rows, interval.quantile(bins.units))
    by_chance = _errors_by_chance(probability, bins)
    ends = _interval(probability - true, _chance(probability, bins), bins)
    reliability = float(weights @ np.square(predicted - observed))
    resolution = float(weights @ np.square(observed - true.mean()))
    uncertainty = float(true.mean() * (1 - true.mean()))
    brier = float(np.square(probability - true).mean())
    found = [
        Bin(
            least=float(bins.edges[i]),
            most=float(bins.edges[i + 1]),
            n=int(sizes[i]),
            predicted=float(predicted[i]),
            observed=float(observed[i]),
            low=min(float(low[i]), float(observed[i])),
            high=max(float(high[i]), float(observed[i])),
        )
        for i in np.flatnonzero(sizes)
    ]
    return Calibration(
        of=of,
        bins=tuple(found),
        error=error,
        low=min(ends[0], error),
        high=max(ends[1], error),
        by_chance=float(by_chance.mean()),
        limit=float(np.quantile(by_chance, 0.95)),
        brier=brier,
        reliability=reliability,
        resolution=resolution,
        uncertainty=uncertainty,
        within=brier - reliability + resolution - uncertainty,
    )


def _errors_by_chance(probability: Floats, bins: _Bins) -> Floats:
    """Return calibration errors of simulated truths for which the probabilities hold, shape ``(1000,)``."""
    rng = np.random.Generator(np.random.PCG64(bins.seed))
    away: Floats = np.abs(rng.normal(size=(_SIMULATED, len(bins.sizes)))) @ _chance(probability, bins)
    return away


def _chance(probability: Floats, bins: _Bins) -> Floats:
    """Return the standard error of each bin's part of the calibration error for which the probabilities hold.

    The number that comes true in a bin is nearly normal, with the variance of its rows; in clusters all rows of one
    bin are taken to come true together.
    """
    spread = bins.means(probability * (1 - probability))
    count = len(bins.sizes)
    pairs = np.bincount(bins.units.members * count + bins.members, minlength=bins.units.count * count)
    alike = np.square(pairs.reshape(-1, count).astype(np.float64)).sum(axis=0)
    return np.asarray(np.sqrt(spread * alike) / len(probability))


def _interval(errors: Floats, chance: Floats, bins: _Bins) -> interval.Interval:
    """Return the interval of the calibration error from the *errors* of rows, probability - truth.

    The calibration error is the sum of sizes of the means over rows of each bin's errors, and a sum of sizes is biased
    upwards by noise. So no bootstrap is taken around it, which would add the bias again: the ends are those errors
    under which what was found would be among the 2.5 % least, or greatest. Errors of any size are spread over the bins
    as those found, or as what is left of these when their standard errors are taken off; the wider interval counts,
    since the first alone lies too high where few bins are off. With one unit nothing is known.
    """
    units, count = bins.units, len(chance)
    if units.count < 2:
        return 0.0, 1.0
    sums = units.sums(np.eye(count)[bins.members] * errors[:, None])
    parts = sums.sum(axis=0) / len(errors)
    covariance = np.cov(sums.T, ddof=1).reshape(count, count) * units.count / len(errors) ** 2
    spread = np.sqrt(np.diag(covariance))
    # Where all rows of a bin came true they have no spread, and yet are few: what chance gives is the least.
    covariance *= np.outer(*[np.maximum(1, np.divide(chance, spread, out=np.ones(count), where=spread > 0))] * 2)
    covariance += np.diag(np.where(spread > 0, 0.0, chance**2))
    rng = np.random.Generator(np.random.PCG64(bins.seed))
    values, vectors = np.linalg.eigh(covariance)
    noise = rng.normal(size=(_SIMULATED, count)) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    noise /= np.sqrt(rng.chisquare(units.count - 1, size=(_SIMULATED, 1)) / (units.count - 1))
    left = np.sign(parts) * np.maximum(np.abs(parts) - np.sqrt(np.diag(covariance)), 0)
    found = float(np.abs(parts).sum())
    ways = [way for way in (parts, left) if way.any()] or [np.sqrt(np.diag(covariance))]
    lows, highs = zip(
        *[[_size_under(found, way, noise, level) for level in (0.975, 0.025)] for way in ways], strict=True
    )
    return min(lows), min(max(highs), 1.0)


def _size_under(found: float, way: Floats, noise: Floats, level: float) -> float:
    """Return how large errors spread as *way* must be for *found* to be their quantile at *level*; 0: none need be."""

    def is_too_small(times: float) -> bool:
        return float(np.quantile(np.abs(times * way + noise).sum(axis=1), level)) < found

    if not is_too_small(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while is_too_small(high):
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_too_small(middle) else (low, middle)
    return high * float(np.abs(way).sum())
