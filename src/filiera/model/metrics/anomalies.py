"""Metrics of rows flagged or scored as anomalies, with 95 % intervals and what a random score gets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from filiera.core.digest import digest
from filiera.core.metric import Metrics
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Codes, Floats, check_lengths, number_array
from filiera.model.metrics import interval
from filiera.model.metrics.estimate import Mean, Pull, measured
from filiera.model.metrics.probabilities import average_precision, roc_area
from filiera.model.metrics.units import Units

Flags = NDArray[np.bool_]
_SCARCE = 5


def anomaly_metrics(truth: Any, scores: Any, *, contamination: float | None = None, seed: int = 0) -> Metrics:
    """Return average precision, ROC AUC, and precision and recall among the rows that look most like anomalies.

    The last two are of the share *contamination* of rows with the highest scores; of equal scores at its end a random
    choice, in the mean. The dummy scores at random.

    Args:
        truth: Which rows are anomalies, booleans or 0 and 1, shape ``(n,)``.
        scores: How much each row looks like one: higher is more; same length.
        contamination: Share of rows that can be looked at, above 0, below 1; None: the share of anomalies.
        seed: Of the bootstrap.

    Raises:
        UsageError: No rows, lengths that differ, values that are not finite, or no such share.

    >>> found = anomaly_metrics([1, 0, 0, 1, 0], [0.9, 0.8, 0.1, 0.7, 0.2])
    >>> round(found["average_precision"].value, 4), found["precision_at_contamination"].value
    (0.8333, 0.5)
    """
    return AnomalySample.of(flags(truth, "truth"), scores, None, contamination).measure(seed)


def flags(values: Any, name: str) -> Flags:
    """Return booleans from booleans or 0 and 1, shape ``(n,)``. Raises UsageError."""
    numbers = number_array(values, name)
    if not np.isin(numbers, (0, 1)).all():
        raise UsageError(f"{name} does not say which rows are anomalies.", why="It holds more than 0 and 1.")
    return np.asarray(numbers == 1)


@dataclass(frozen=True, slots=True)
class AnomalySample:
    """Which rows are anomalies, where known; how they were scored and flagged; and which hang together."""

    truth: Flags | None
    scores: Floats
    flagged: Flags | None
    contamination: float | None
    units: Units

    @classmethod
    def of(cls, truth: Flags | None, scores: Any, flagged: Flags | None, contamination: float | None) -> AnomalySample:
        """Return the sample of some columns; rows are independent. Raises UsageError."""
        score = number_array(scores, "the model's scores")
        lengths = {"truth": truth, "scores": score, "flags": flagged}
        check_lengths({name: len(each) for name, each in lengths.items() if each is not None})
        if contamination is not None and not 0 < contamination < 1:
            raise UsageError(f"contamination is {contamination!r}.", why="It is a share: above 0 and below 1.")
        return cls(truth, score, flagged, contamination, Units.of_rows(len(score)))

    def hanging(self, units: Units) -> AnomalySample:
        """Return the same rows in other units."""
        return AnomalySample(self.truth, self.scores, self.flagged, self.contamination, units)

    def take(self, rows: Codes) -> AnomalySample:
        """Return the sample of some rows."""
        truth, flagged = (None if each is None else each[rows] for each in (self.truth, self.flagged))
        return AnomalySample(truth, self.scores[rows], flagged, self.contamination, self.units.take(rows))

    def estimates(self, notes: list[str]) -> list[Mean | Pull]:
        """Return what is to be measured; what is undefined is told in *notes*."""
        wanted: list[Mean | Pull] = []
        if self.truth is None:
            notes.append("No anomalies are known: all that can be said is how many rows were flagged.")
        elif self.truth.all() or not self.truth.any():
            notes.append(f"{'All' if self.truth.all() else 'No'} rows are anomalies: nothing tells them apart.")
        else:
            wanted += _scored(self, self.truth)
        if self.flagged is not None:
            wanted += _flagged(self.flagged, self.truth, self.units)
        return wanted

    def measure(self, seed: int) -> Metrics:
        """Return the metrics of ``anomaly_metrics``; with flags also their precision, recall and share of rows."""
        notes: list[str] = []
        wanted = self.estimates(notes)
        parts = [b"" if self.truth is None else self.truth.tobytes(), self.scores.astype("<f8").tobytes()]
        parts.append(b"" if self.flagged is None else self.flagged.tobytes())
        found = measured(wanted, self.units, seed)
        return Metrics(
            tuple(found), task="anomaly_detection", notes=tuple(notes), evaluation=digest("evaluation/1", *parts)
        )


def _scored(sample: AnomalySample, truth: Flags) -> list[Pull]:
    common = float(truth.mean())
    value, pulls = average_precision(truth, sample.scores)
    found = int(truth.sum())
    within = _few(value * found, found)
    return [
        Pull(name="average_precision", value=value, pulls=pulls, baseline=common, within=within),
        roc_area(truth, sample.scores, sample.units),
        *_looked_at(truth, sample.scores, sample.contamination or common),
    ]


def _looked_at(truth: Flags, scores: Floats, contamination: float) -> list[Pull]:
    """Return precision and recall among the highest scores, and how each row pulls them.

    A row pulls by being looked at, and by moving the end of what is looked at, past rows as those around it are.
    """
    n = len(truth)
    k = max(1, round(contamination * n))
    order = np.argsort(-scores, kind="stable")
    end = scores[order[k - 1]]
    above, tied = scores > end, scores == end
    looked = above + tied * ((k - int(above.sum())) / int(tied.sum()))
    around = max(2, int(n**0.5) // 2)
    at_end = float(truth[order[max(0, k - around) : k + around]].mean())
    hits, share, common = float((looked * truth).mean()), k / n, float(truth.mean())
    pulls = looked * truth - hits - at_end * (looked - share)
    precision, recall = hits / share, hits / common
    known = int(truth.sum())
    return [
        Pull(
            name="precision_at_contamination",
            value=precision,
            pulls=pulls / share,
            baseline=common,
            within=_few(precision * k, k),
        ),
        Pull(
            name="recall_at_contamination",
            value=recall,
            pulls=(pulls - recall * (truth - common)) / common,
            baseline=share,
            within=_few(recall * known, known),
        ),
    ]


def _flagged(flagged: Flags, truth: Flags | None, units: Units) -> list[Pull]:
    ones, share = np.ones(len(flagged)), float(flagged.mean())
    found = [_share_of(flagged.astype(np.float64), ones, "flagged_share", units, None)]
    if truth is None or truth.all() or not truth.any():
        return found
    both = (flagged & truth).astype(np.float64)
    if flagged.any():
        found.append(_share_of(both, flagged.astype(np.float64), "precision", units, float(truth.mean())))
    found.append(_share_of(both, truth.astype(np.float64), "recall", units, share))
    return found


def _share_of(hits: Floats, whole: Floats, name: str, units: Units, dummy: float | None) -> Pull:
    """Return a share with Wilson's interval on the rows that it is known on."""
    value = float(hits.sum() / whole.sum())
    rows = float(units.effective(hits[:, None], whole[:, None])[0])
    low, high = interval.wilson(value * rows, rows, interval.quantile(units))
    within = (float(low), float(high))
    pulls = (hits - value * whole) / whole.mean()
    return Pull(name=name, value=value, pulls=pulls, baseline=dummy, within=within, method="wilson", is_exact=True)


def _few(hits: float, n: int) -> interval.Interval | None:
    if min(hits, n - hits) >= _SCARCE:
        return None
    low, high = interval.wilson(hits, n)
    return float(low), float(high)
