"""Metrics of probabilities and scores: losses, areas under curves, and how each row pulls them."""

from __future__ import annotations

import numpy as np

from filiera.model.answers import Codes, Floats
from filiera.model.metrics import interval
from filiera.model.metrics.estimate import Mean, Pull, mean_of
from filiera.model.metrics.units import Units

_MANY_CLASSES = 10
_FEW = 30


def probability_metrics(table: Floats, truth: Codes, units: Units, notes: list[str]) -> list[Mean | Pull]:
    """Return what is to be measured of probabilities, shape ``(n, k)``; what is undefined is told in *notes*."""
    n, k = table.shape
    shares = np.bincount(truth, minlength=k) / n
    known = shares[shares > 0]
    least = np.finfo(np.float64).eps
    given = np.clip(table, least, 1 - least)[np.arange(n), truth]
    found: list[Mean | Pull] = [
        mean_of(-np.log(given), "log_loss", baseline=-float((known * np.log(known)).sum())),
        mean_of(_squares(table, truth), "brier_score", baseline=(1 - float(known @ known)) / (2 if k == 2 else 1)),
    ]
    if k > 2:
        top = 5 if k >= _MANY_CLASSES else 2
        found.append(_top(table, truth, top, units, float(np.sort(shares)[-top:].sum())))
    if len(known) < k:
        what = f"no row is of {k - len(known)} of {k} classes" if len(known) > 1 else "all rows are of one class"
        notes.append(f"ROC AUC and average precision are left out: {what}.")
        return found
    classes = [1] if k == 2 else range(k)
    suffix = ("", "") if k == 2 else ("_ovr", "_macro")
    found.append(_area([(truth == c, table[:, c]) for c in classes], f"roc_auc{suffix[0]}", units))
    precisions = [average_precision(truth == c, table[:, c]) for c in classes]
    value = float(np.mean([one for one, _ in precisions]))
    pulls = np.mean([pull for _, pull in precisions], axis=0)
    dummy = float(np.mean(shares[list(classes)]))
    rows = np.bincount(truth, minlength=k)[list(classes)]
    within = None
    if rows.min() < _FEW or value in (0, 1):
        values = np.array([one for one, _ in precisions])
        within = interval.mean_of_shares(values, interval.wilson(values * rows, rows))
    found.append(Pull(name=f"average_precision{suffix[1]}", value=value, pulls=pulls, baseline=dummy, within=within))
    return found


def _squares(table: Floats, truth: Codes) -> Floats:
    """Return squared differences of probabilities and truth; for two classes those of the second alone."""
    truths = np.eye(table.shape[1])[truth]
    squares: Floats = np.square(table - truths).sum(axis=1)
    return squares / 2 if table.shape[1] == 2 else squares


def _top(table: Floats, truth: Codes, top: int, units: Units, dummy: float) -> Pull:
    """Return the share of rows whose class is among the *top* most probable; of equal ones the later comes first."""
    best = np.argsort(table, axis=1, kind="stable")[:, -top:]
    hit = (best == truth[:, None]).any(axis=1).astype(np.float64)
    value = float(hit.mean())
    rows = float(units.effective(hit[:, None], np.ones((len(hit), 1)))[0])
    low, high = interval.wilson(value * rows, rows, interval.quantile(units))
    within = (float(low), float(high))
    name = f"top_{top}_accuracy"
    pulls = hit - value
    return Pull(name=name, value=value, pulls=pulls, baseline=dummy, within=within, method="wilson", is_exact=True)


def roc_area(is_positive: np.ndarray[tuple[int], np.dtype[np.bool_]], score: Floats, units: Units) -> Pull:
    """Return the area under the ROC curve of scores, shape ``(n,)``, both kinds of rows being there."""
    return _area([(is_positive, score)], "roc_auc", units)


def _area(tasks: list[tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], Floats]], name: str, units: Units) -> Pull:
    """Return the mean area under the ROC curves of *tasks*: which rows are positive, and their scores."""
    areas = [interval.area_pulls(is_positive, score) for is_positive, score in tasks]
    values = np.array([area for area, _ in areas])
    scale = units.count / len(units.members)  # clusters count as one row each: their rows may be the same
    sides = np.array([(p.sum() * scale, (~p).sum() * scale) for p, _ in tasks])
    within = None
    if (units.kind == "rows" and sides.min() < 2 * _FEW) or {float(values.min()), float(values.max())} & {0.0, 1.0}:
        sides = np.maximum(sides, 1.0)
        ends = np.array([interval.newcombe_area(area, *side) for area, side in zip(values, sides, strict=True)])
        within = interval.mean_of_shares(values, (ends[:, 0], ends[:, 1]))
    return Pull(
        name=name,
        value=float(values.mean()),
        pulls=np.mean([pull for _, pull in areas], axis=0),
        baseline=0.5,
        within=within,
        method="delong, with newcombe where rows are few",
    )


def average_precision(is_positive: np.ndarray[tuple[int], np.dtype[np.bool_]], score: Floats) -> tuple[float, Floats]:
    """Return the mean precision over the positive rows, each at its own score, and how each row pulls it.

    Equal scores are one threshold. It is 1 when all positive rows come first, and the share of positive rows when all
    scores are equal.

    Source:
        The definition of scikit-learn's ``average_precision_score``; pulls by differentiating it by a row's weight.
    """
    n = len(score)
    levels, place = np.unique(-score, return_inverse=True)
    positive = np.bincount(place, is_positive, minlength=len(levels))
    found, listed = positive.cumsum(), np.bincount(place, minlength=len(levels)).cumsum()
    precision, all_positive = found / listed, found[-1]
    value = float(positive @ precision / all_positive)
    # A row adds to the precision at its own score and at all below: up if it is positive, down in any case.
    up = np.cumsum((positive / listed)[::-1])[::-1]
    down = np.cumsum((positive * found / listed**2)[::-1])[::-1]
    own = is_positive * (precision[place] - value + up[place])
    return value, n * (own - down[place]) / all_positive
