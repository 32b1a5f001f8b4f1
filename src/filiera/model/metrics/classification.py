"""Metrics of predicted classes, with 95 % intervals and what a dummy scores on the same rows.

Values are those of scikit-learn's functions of the same name. The intervals take the test rows (or, with clusters, the
clusters) as independent draws of what the model will meet, and the model as given: they do not tell how much another
training set would change it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from filiera.core.digest import digest
from filiera.core.metric import ClassScore, Metrics
from filiera.core.plain import encode
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import ClassAnswers, Codes, Floats, check_lengths, class_answers, matrix
from filiera.model.metrics import interval
from filiera.model.metrics.estimate import Mean, Pull, measured
from filiera.model.metrics.probabilities import probability_metrics
from filiera.model.metrics.units import Units

_PROBABILITY_TOLERANCE = 1e-6
_EITHER = "linearised, with wilson where errors are few"
_SCARCE = 5


def classification_metrics(
    truth: Any, predicted: Any, *, probabilities: Any = None, labels: Any = None, seed: int = 0
) -> Metrics:
    """Return accuracy, balanced accuracy, macro and weighted precision, recall and F1, and Matthews' correlation (MCC).

    With probabilities also log loss, Brier score, ROC AUC and average precision (for more than two classes means over
    one against the rest) and, for three classes or more, the share of rows whose class is among the most probable.
    The dummy always answers the class that is most frequent among these rows, and the shares as probabilities. Macro
    means are over the classes that occur in truth or predictions; a class that only *labels* names is left out. What is
    undefined on these rows is left out, and a note says why.

    Args:
        truth: True labels, shape ``(n,)``: strings, integers or booleans; list, NumPy, polars or pandas.
        predicted: Labels the model gave, same length, order and kind.
        probabilities: Per class in the order of *labels*, shape ``(n, k)``, rows summing to 1; for two classes also
            that of the second, shape ``(n,)``. For two classes the second is the positive one.
        labels: All classes in the model's order (``model.classes_``); None: those that occur, sorted.
        seed: Of the bootstrap.

    Raises:
        UsageError: No rows, lengths that differ, missing or unlisted labels, or values that are no probabilities.

    >>> metrics = classification_metrics(["a", "a", "b", "b"], ["a", "a", "b", "a"])
    >>> print(metrics["accuracy"])
    accuracy 0.7500, 95 % interval 0.3006 to 0.9544, on 4 rows (dummy 0.5000)
    """
    answers = class_answers(truth, predicted, labels)
    table = None
    if probabilities is not None:
        table = checked_probabilities(probabilities, answers, labels_given=labels is not None)
    return ClassSample(answers, table, Units.of_rows(len(answers.truth))).measure(seed)


@dataclass(frozen=True, slots=True)
class ClassSample:
    """True and predicted classes of some rows, their probabilities, and which rows hang together."""

    answers: ClassAnswers
    table: Floats | None  #: probabilities, shape ``(n, k)``
    units: Units

    def take(self, rows: Codes) -> ClassSample:
        """Return the sample of some rows."""
        one = self.answers
        answers = ClassAnswers(labels=one.labels, truth=one.truth[rows], predicted=one.predicted[rows])
        return ClassSample(answers, None if self.table is None else self.table[rows], self.units.take(rows))

    def estimates(self, notes: list[str]) -> list[Mean | Pull]:
        """Return what is to be measured, accuracy first; what is undefined is told in *notes*."""
        counts = self.answers.counts()
        shares, correlation = _Shares(self.answers, counts, self.units), _matthews(self.answers, counts)
        wanted: list[Mean | Pull] = [shares.accuracy(), *shares.means(), *shares.weighted()]
        if correlation is None:
            notes.append("MCC is left out: all rows are of one class, or were put into one.")
        else:
            wanted.append(correlation)
        if self.table is not None:
            wanted += probability_metrics(self.table, self.answers.truth, self.units, notes)
        return wanted

    def measure(self, seed: int) -> Metrics:
        """Return the metrics of ``classification_metrics``."""
        answers = self.answers
        counts = answers.counts()
        notes = [
            f"Class {label!r} is neither in the truth nor in the predictions: nothing is known about it."
            for label, rows in zip(answers.labels, counts.sum(axis=0) + counts.sum(axis=1), strict=True)
            if rows == 0
        ]
        wanted = self.estimates(notes)
        parts = [encode(answers.labels), _bytes(answers.truth), _bytes(answers.predicted)]
        if self.table is not None:
            parts.append(self.table.astype("<f8").tobytes())
        return Metrics(
            tuple(measured(wanted, self.units, seed)),
            task="classification",
            classes=_class_scores(answers.labels, counts),
            notes=tuple(notes),
            evaluation=digest("evaluation/1", *parts),
        )


class _Shares:
    """The metrics that are made of recall, precision and F1 of the classes, and how each row pulls these."""

    def __init__(self, answers: ClassAnswers, counts: Codes, units: Units) -> None:
        self.truth, self.predicted, self.units = answers.truth, answers.predicted, units
        self.n = len(self.truth)
        self.hit = (self.truth == self.predicted).astype(np.float64)
        self.correct, self.rows, self.answered = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
        self.seen, self.occurs = self.rows > 0, self.rows + self.answered > 0
        self.recall, self.precision = _share(self.correct, self.rows), _share(self.correct, self.answered)
        self.f1 = _share(2 * self.correct, self.rows + self.answered)
        common = int(self.rows.argmax())
        self.common_share = float(self.rows[common] / self.n)
        self.common_f1 = 2 * self.common_share / (1 + self.common_share)

    def accuracy(self) -> Pull:
        ones = np.ones((self.n, 1))
        rows = float(self.units.effective(self.hit[:, None], ones)[0])
        value = float(self.correct.sum() / self.n)
        low, high = interval.wilson(value * rows, rows, interval.quantile(self.units))
        return Pull(
            name="accuracy",
            value=value,
            pulls=self.hit - value,
            baseline=self.common_share,
            within=(float(low), float(high)),
            method="wilson" if self.units.kind == "rows" else "wilson on effective rows",
            is_exact=True,
        )

    def means(self) -> list[Pull]:
        """Return the means over classes, none of which counts more than another."""
        seen, occurs = int(self.seen.sum()), int(self.occurs.sum())
        ends = self._ends() if self._is_scarce() else {}
        found = {
            "balanced_accuracy": (self.recall[self.seen].mean(), self._recall_pulls() / seen, 1 / seen),
            "precision_macro": (
                self.precision[self.occurs].mean(),
                self._precision_pulls() / occurs,
                self.common_share / seen,
            ),
            "recall_macro": (self.recall[self.occurs].mean(), self._recall_pulls() / occurs, 1 / seen),
            "f1_macro": (self.f1[self.occurs].mean(), self._f1_pulls() / occurs, self.common_f1 / seen),
        }
        return [
            Pull(name=name, value=float(value), pulls=pulls, baseline=dummy, within=ends.get(name), method=_EITHER)
            for name, (value, pulls, dummy) in found.items()
        ]

    def weighted(self) -> list[Pull]:
        """Return the means over classes by their rows; those over rows, which are accuracy again."""
        weights = self.rows / self.n
        precision, f1 = float(weights @ self.precision), float(weights @ self.f1)
        accurate = self.accuracy()
        within = accurate.within
        return [
            Pull(
                name="precision_weighted",
                value=precision,
                pulls=self._precision_pulls(weights) + self.precision[self.truth] - precision,
                baseline=self.common_share**2,
                within=within if precision in (0, 1) else None,
            ),
            Pull(
                name="f1_weighted",
                value=f1,
                pulls=self._f1_pulls(weights) + self.f1[self.truth] - f1,
                baseline=self.common_share * self.common_f1,
                within=within if f1 in (0, 1) else None,
            ),
            *(replace(accurate, name=name, method=_EITHER, is_exact=False) for name in ("recall_weighted", "f1_micro")),
        ]

    def _is_scarce(self) -> bool:
        """Tell whether a class has so few hits or misses that the spread of its rows says little."""
        counts = (self.correct, self.rows - self.correct, self.answered - self.correct)
        return min(int(count[self.occurs].min()) for count in counts) < _SCARCE

    def _recall_pulls(self) -> Floats:
        pulls: Floats = (self.hit - self.recall[self.truth]) * self.n / self.rows[self.truth]
        return pulls

    def _precision_pulls(self, weights: Floats | float = 1.0) -> Floats:
        each = weights * _share(np.full(len(self.answered), self.n), self.answered)
        pulls: Floats = (self.hit - self.precision[self.predicted]) * each[self.predicted]
        return pulls

    def _f1_pulls(self, weights: Floats | float = 1.0) -> Floats:
        each = weights * _share(np.full(len(self.rows), self.n), self.rows + self.answered)
        down = each * self.f1
        pulls: Floats = 2 * self.hit * each[self.truth] - down[self.truth] - down[self.predicted]
        return pulls

    def _ends(self) -> dict[str, interval.Interval]:
        """Return the interval of each mean from Wilson's intervals of its classes."""
        # F1 = 2J / (1 + J), where J is the share of hits among the rows that are of the class, or were put into it.
        either = self.rows + self.answered - self.correct
        least, most = self._wilson("either", self.correct, either)
        # An error counts in two classes. Where none was seen, as many may be missed as Wilson's interval of accuracy.
        inflation = max(1.0, 4 / int(self.occurs.sum()))
        recall = self._wilson("truth", self.correct, self.rows)
        precision = self._wilson("predicted", self.correct, self.answered)
        f1 = (2 * least / (1 + least), 2 * most / (1 + most))
        return {
            "balanced_accuracy": _mean(self.recall, recall, self.seen),
            "precision_macro": _mean(self.precision, precision, self.occurs),
            "recall_macro": _mean(self.recall, recall, self.occurs),
            "f1_macro": _mean(self.f1, f1, self.occurs, inflation),
        }

    def _wilson(self, of: str, hits: Codes, whole: Codes) -> tuple[Floats, Floats]:
        if self.units.kind == "rows":
            return interval.wilson(hits, whole)
        k, places = len(hits), np.arange(self.n)
        member = np.zeros((self.n, k))
        if of in ("truth", "either"):
            member[places, self.truth] = 1
        if of in ("predicted", "either"):
            member[places, self.predicted] = 1
        rows = self.units.effective(member * self.hit[:, None], member)
        return interval.wilson(_share(hits, whole) * rows, rows, interval.quantile(self.units))


def _mean(values: Floats, ends: tuple[Floats, Floats], where: Any, inflation: float = 1.0) -> interval.Interval:
    return interval.mean_of_shares(values[where], (ends[0][where], ends[1][where]), inflation)


def _matthews(answers: ClassAnswers, counts: Codes) -> Pull | None:
    """Return the correlation of truth and predictions.

    Source:
        Gorodkin (2004), Comparing two K-category assignments by a K-category correlation coefficient.
    """
    n = counts.sum()
    true, answered = counts.sum(axis=1) / n, counts.sum(axis=0) / n
    apart_true, apart_answered = 1 - np.square(true).sum(), 1 - np.square(answered).sum()
    if min(len(true[true > 0]), len(answered[answered > 0])) < 2:
        return None
    hit = (answers.truth == answers.predicted).astype(np.float64)
    shared = float(true @ answered)
    above, below = float(hit.mean()) - shared, float(np.sqrt(apart_true * apart_answered))
    value = above / below
    of_truth, of_answer = true[answers.truth], answered[answers.predicted]
    above_pulls = hit - hit.mean() - (answered[answers.truth] + true[answers.predicted] - 2 * shared)
    # The denominator is the root of a product: each factor pulls by half of its own relative change.
    true_pulls = -2 * (of_truth - np.square(true).sum()) / apart_true
    answered_pulls = -2 * (of_answer - np.square(answered).sum()) / apart_answered
    pulls = above_pulls / below - value / 2 * (true_pulls + answered_pulls)
    ends = None if abs(value) < 1 else _perfect(value, int(n))
    return Pull(name="mcc", value=value, pulls=pulls, scale="correlation", baseline=0.0, within=ends)


def _perfect(value: float, n: int) -> interval.Interval:
    """Return the ends where no error was seen: as many may be missed as Wilson's interval of accuracy allows."""
    low = 2 * float(interval.wilson(n, n)[0]) - 1
    return (low, 1.0) if value > 0 else (-1.0, -low)


def macro_values(counts: Codes | Floats) -> dict[str, Floats]:
    """Return each metric, shape ``(m,)``, from correct, true and predicted rows per class, shape ``(3, m, k)``."""
    correct, rows, predicted = counts
    recall, precision = _share(correct, rows), _share(correct, predicted)
    f1 = _share(2 * correct, rows + predicted)
    occurs = np.maximum((rows + predicted > 0).sum(axis=1), 1)
    return {
        "balanced_accuracy": recall.sum(axis=1) / np.maximum((rows > 0).sum(axis=1), 1),
        "precision_macro": precision.sum(axis=1) / occurs,
        "recall_macro": recall.sum(axis=1) / occurs,
        "f1_macro": f1.sum(axis=1) / occurs,
    }


def _share(part: Codes | Floats, whole: Codes | Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def _bytes(codes: Codes) -> bytes:
    return codes.astype("<i8").tobytes()


def _class_scores(labels: tuple[Any, ...], counts: Codes) -> tuple[ClassScore, ...]:
    columns = (counts.sum(axis=1).tolist(), counts.sum(axis=0).tolist(), np.diag(counts).tolist())
    return tuple(
        ClassScore(label=label, rows=rows, predicted=predicted, correct=correct)
        for label, rows, predicted, correct in zip(labels, *columns, strict=True)
    )


def checked_probabilities(values: Any, answers: ClassAnswers, *, labels_given: bool) -> Floats:
    """Return probabilities, shape ``(n, k)``. Raises UsageError."""
    table, k = matrix(values, "probabilities"), len(answers.labels)
    if table.shape[1] == 1 and k == 2:
        table = np.column_stack((1 - table[:, 0], table[:, 0]))
    check_lengths({"truth": len(answers.truth), "probabilities": len(table)})
    if table.shape[1] != k:
        hint = "Give labels=model.classes_." if not labels_given else "Give one column per label."
        raise UsageError(f"There are {table.shape[1]} probabilities per row for {k} classes.", do=hint)
    off = int((np.abs(table.sum(axis=1) - 1) > _PROBABILITY_TOLERANCE).sum()) + int(((table < 0) | (table > 1)).sum())
    if off:
        raise UsageError(
            f"{off:,} rows or values of probabilities are impossible.",
            why="Each must lie between 0 and 1, and a row must sum to 1.",
            do="Give what predict_proba returned, not scores.",
        )
    return table
