"""Metrics of a model on test rows, with 95 % intervals and what a dummy scores on the same rows.

Values are those of scikit-learn's functions of the same name. The intervals take the test rows as independent draws of
what the model will meet, and the model as given: they do not tell how much another training set would change it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from filiera.core.digest import digest
from filiera.core.metric import ClassScore, Metric, Metrics
from filiera.core.plain import encode
from filiera.errors import UsageError
from filiera.model.answers import (
    ClassAnswers,
    Codes,
    Floats,
    check_lengths,
    class_answers,
    matrix,
)
from filiera.model.metrics import interval

_EITHER = "bootstrap or wilson, the wider"
_PROBABILITY_TOLERANCE = 1e-6


def classification_metrics(
    truth: Any, predicted: Any, *, probabilities: Any = None, labels: Any = None, seed: int = 0
) -> Metrics:
    """Return accuracy, balanced accuracy, macro precision, recall and F1; with probabilities log loss and ROC AUC.

    The dummy always answers the class that is most frequent among these rows, and its share as the probability. Macro
    means are over the classes that occur in truth or predictions; a class that only *labels* names is left out.

    Args:
        truth: True labels, shape ``(n,)``: strings, integers or booleans; list, NumPy, polars or pandas.
        predicted: Labels the model gave, same length, order and kind.
        probabilities: Per class in the order of *labels*, shape ``(n, k)``, rows summing to 1; for two classes also
            that of the second, shape ``(n,)``. AUC is for two classes, the second of them the positive one.
        labels: All classes in the model's order (``model.classes_``); None: those that occur, sorted.
        seed: Of the bootstrap.

    Raises:
        UsageError: No rows, lengths that differ, missing or unlisted labels, or values that are no probabilities.

    >>> metrics = classification_metrics(["a", "a", "b", "b"], ["a", "a", "b", "a"])
    >>> print(metrics["accuracy"])
    accuracy 0.7500, 95 % interval 0.3006 to 0.9544, on 4 rows (dummy 0.5000)
    """
    answers = class_answers(truth, predicted, labels)
    counts = answers.counts()
    rng = np.random.Generator(np.random.PCG64(seed))
    found = [_accuracy(counts), *_macro_metrics(counts, rng)]
    notes = [
        f"Class {label!r} is neither in the truth nor in the predictions: nothing is known about it."
        for label, rows in zip(answers.labels, counts.sum(axis=0) + counts.sum(axis=1), strict=True)
        if rows == 0
    ]
    parts = [encode(answers.labels), answers.truth.astype("<i8").tobytes(), answers.predicted.astype("<i8").tobytes()]
    if probabilities is not None:
        table = _probabilities(probabilities, answers, labels_given=labels is not None)
        found.append(_log_loss(table, answers, rng))
        _add_auc(table, answers, found, notes)
        parts.append(table.astype("<f8").tobytes())
    return Metrics(
        tuple(found),
        task="classification",
        classes=_class_scores(answers.labels, counts),
        notes=tuple(notes),
        evaluation=digest("evaluation/1", *parts),
    )


def _accuracy(counts: Codes) -> Metric:
    hits, n = int(np.trace(counts)), int(counts.sum())
    low, high = interval.wilson(hits, n)
    return Metric(
        name="accuracy",
        value=hits / n,
        low=float(low),
        high=float(high),
        n=n,
        method="wilson",
        baseline=counts.sum(axis=1).max() / n,
    )


def _macro_metrics(counts: Codes, rng: np.random.Generator) -> list[Metric]:
    """Return the metrics that are means over classes, from the confusion matrix alone."""
    n = int(counts.sum())
    observed = np.stack((np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)))[:, None, :]
    dummy = np.zeros_like(observed)
    common = int(observed[1].argmax())
    dummy[0, 0, common], dummy[1], dummy[2, 0, common] = observed[1, 0, common], observed[1], n
    resampled = macro_values(interval.resampled_classes(counts, rng))
    values, baselines = macro_values(observed), macro_values(dummy)
    found = []
    for name, by_class in _shares_of_classes(counts).items():
        low, high = interval.wider(interval.percentile(resampled[name]), by_class)
        found.append(
            Metric(
                name=name,
                value=values[name][0],
                low=low,
                high=high,
                n=n,
                method=_EITHER,
                baseline=baselines[name][0],
            )
        )
    return found


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


def _shares_of_classes(counts: Codes) -> dict[str, interval.Interval]:
    """Return the interval of each macro metric from Wilson's intervals of its classes."""
    correct, rows, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    seen, occurs = rows > 0, rows + predicted > 0

    def mean(hits: Codes, n: Codes, where: Any) -> interval.Interval:
        return interval.mean_of_shares(_share(hits, n)[where], _at(interval.wilson(hits, n), where))

    # F1 = 2J / (1 + J), where J is the share of hits among the rows that are of the class, or were put into it.
    either = rows + predicted - correct
    jaccard_ends = _at(interval.wilson(correct, either), occurs)
    f1, f1_ends = (
        _share(2 * correct, rows + predicted)[occurs],
        (2 * jaccard_ends[0] / (1 + jaccard_ends[0]), 2 * jaccard_ends[1] / (1 + jaccard_ends[1])),
    )
    # An error counts in two classes. Where none was seen, this lets as many be missed as Wilson's interval of accuracy.
    inflation = max(1.0, 4 / len(f1))
    return {
        "balanced_accuracy": mean(correct, rows, seen),
        "precision_macro": mean(correct, predicted, occurs),
        "recall_macro": mean(correct, rows, occurs),
        "f1_macro": interval.mean_of_shares(f1, f1_ends, inflation),
    }


def _at(ends: tuple[Floats, Floats], where: Any) -> tuple[Floats, Floats]:
    return ends[0][where], ends[1][where]


def _share(part: Codes | Floats, whole: Codes | Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def _class_scores(labels: tuple[Any, ...], counts: Codes) -> tuple[ClassScore, ...]:
    columns = (counts.sum(axis=1).tolist(), counts.sum(axis=0).tolist(), np.diag(counts).tolist())
    return tuple(
        ClassScore(label=label, rows=rows, predicted=predicted, correct=correct)
        for label, rows, predicted, correct in zip(labels, *columns, strict=True)
    )


def _probabilities(values: Any, answers: ClassAnswers, *, labels_given: bool) -> Floats:
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


def _log_loss(table: Floats, answers: ClassAnswers, rng: np.random.Generator) -> Metric:
    """Return the mean negative log of the probability given to the true class, in nats."""
    least = np.finfo(np.float64).eps
    given = np.clip(table, least, 1 - least)[np.arange(len(table)), answers.truth]
    losses = -np.log(given)
    shares = np.bincount(answers.truth) / len(answers.truth)
    low, high = interval.percentile(interval.resampled_means(losses[:, None], rng)[:, 0])
    return Metric(
        name="log_loss",
        value=losses.mean(),
        low=low,
        high=high,
        n=len(losses),
        method="bootstrap",
        greater_is_better=False,
        baseline=-float((shares[shares > 0] * np.log(shares[shares > 0])).sum()),
    )


def _add_auc(table: Floats, answers: ClassAnswers, found: list[Metric], notes: list[str]) -> None:
    if len(answers.labels) != 2:
        notes.append(f"ROC AUC is for two classes; here are {len(answers.labels)}.")
        return
    is_positive = answers.truth == 1
    if is_positive.all() or not is_positive.any():
        notes.append("ROC AUC is left out: all rows are of one class.")
        return
    value, (low, high) = interval.auc(table[is_positive, 1], table[~is_positive, 1])
    found.append(
        Metric(
            name="roc_auc",
            value=value,
            low=low,
            high=high,
            n=len(table),
            method="delong or newcombe, the wider",
            baseline=0.5,
        )
    )
