"""Truth and predictions, from whatever holds them, as checked arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.core.value import dataclass
from filiera.errors import UsageError

Label = str | int | bool
Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassAnswers:
    """Class labels as numbers: row i is of class ``labels[truth[i]]`` and was put into ``labels[predicted[i]]``."""

    labels: tuple[Label, ...]
    truth: Codes  #: shape ``(n,)``
    predicted: Codes  #: shape ``(n,)``

    def counts(self) -> Codes:
        """Return the confusion matrix, shape ``(k, k)``: truth in rows, predictions in columns."""
        k = len(self.labels)
        return np.bincount(self.truth * k + self.predicted, minlength=k * k).reshape(k, k)


def class_answers(truth: Any, predicted: Any, labels: Iterable[Any] | None) -> ClassAnswers:
    """Return *truth* and *predicted* over *labels*, or over the sorted labels that occur when None.

    Raises:
        UsageError: No rows, different lengths, missing labels, labels of different kinds, or one that is not listed.
    """
    columns = {"truth": label_series(truth, "truth"), "predicted": label_series(predicted, "predicted")}
    check_lengths({name: len(column) for name, column in columns.items()})
    if columns["truth"].dtype != columns["predicted"].dtype:
        examples = ", ".join(f"{name} has {column[0]!r}" for name, column in columns.items())
        raise UsageError(
            "Truth and predictions are not labels of one kind.",
            why=f"For example, {examples}.",
            do="Give the predictions as the labels that the model was trained with.",
        )
    both = pl.concat(list(columns.values())).unique().sort()
    known = both if labels is None else pl.Series([plain_label(label) for label in labels])
    strangers = [label for label in both.to_list() if label not in set(known.to_list())]
    if strangers or known.dtype != both.dtype:
        raise UsageError(
            f"Labels occur that are not listed: {', '.join(map(repr, strangers or both.to_list()))}.",
            why=f"labels = {known.to_list()!r}",
            do="Give all classes, such as model.classes_.",
        )
    return ClassAnswers(
        labels=tuple(known.to_list()),
        truth=_codes(columns["truth"], known),
        predicted=_codes(columns["predicted"], known),
    )


def label_series(values: Any, name: str) -> pl.Series:
    """Return labels as a Series of strings, 64-bit integers or booleans. Raises UsageError."""
    series = _series(values, name)
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    missing = series.null_count() + (int(series.is_nan().sum()) if series.dtype.is_float() else 0)
    if missing:
        raise UsageError(
            f"{name} has {missing:,} missing values among {len(series):,}.",
            why="A row without a label cannot be counted as right or wrong.",
            do="Drop such rows before evaluating, or repair the model that gave them.",
        )
    if series.dtype.is_float() and bool((series == series.round()).all()):
        series = series.cast(pl.Int64)
    if series.dtype.is_integer():
        return series.cast(pl.Int64)
    if series.dtype in (pl.String, pl.Boolean):
        return series
    raise UsageError(
        f"{name} holds {series.dtype}, which are not class labels.",
        why="Labels are strings, integers or booleans.",
        do="For numbers to be predicted use regression_metrics.",
    )


def plain_label(label: Any) -> Label:
    """Return a label as str, int or bool, whatever NumPy made of it. Raises UsageError.

    >>> plain_label(np.int64(3)), plain_label(np.str_("tcp")), plain_label(np.bool_(True))
    (3, 'tcp', True)
    """
    value = label.item() if isinstance(label, np.generic) else label
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str | int | bool):
        return value
    raise UsageError(f"{label!r} is not a class label.", why="Labels are strings, integers or booleans.")


def number_array(values: Any, name: str) -> Floats:
    """Return numbers as floats, shape ``(n,)``, all finite. Raises UsageError."""
    series = _series(values, name)
    if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        raise UsageError(f"{name} holds {series.dtype}, not numbers.")
    array: Floats = series.cast(pl.Float64).to_numpy()
    _check_finite(array, name)
    return array


def matrix(values: Any, name: str) -> Floats:
    """Return a table of numbers as floats, shape ``(n, columns)``, all finite. Raises UsageError."""
    raw = values.to_numpy() if hasattr(values, "to_numpy") else values
    try:
        array = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is not a table of numbers.", why=str(error)) from error
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or not array.size:
        raise UsageError(f"{name} has shape {array.shape}; it needs rows and columns.")
    _check_finite(array, name)
    return array


def check_lengths(rows: dict[str, int]) -> None:
    """Refuse columns of different lengths. Raises UsageError."""
    told = ", ".join(f"{name} has {count:,}" for name, count in rows.items())
    if len(set(rows.values())) != 1:
        raise UsageError(f"The numbers of rows differ: {told}.", do="Give one prediction per row, in the same order.")


def _series(values: Any, name: str) -> pl.Series:
    series = values if isinstance(values, pl.Series) else _as_series(values, name)
    if series.is_empty():
        raise UsageError(f"{name} has no rows to evaluate.", do="Check what the split returned as test rows.")
    return series


def _as_series(values: Any, name: str) -> pl.Series:
    try:
        raw = values.to_numpy() if hasattr(values, "to_numpy") else values
        array = raw if isinstance(raw, np.ndarray) else None
        if array is not None and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array is not None and array.ndim != 1:
            raise UsageError(f"{name} has shape {array.shape}; it needs one value per row.")
        if array is not None and array.dtype != object:
            return pl.Series(array)
        return pl.Series(list(values if array is None else array), strict=True)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"{name} is not a column of values of one type.", why=str(error)) from error


def _codes(column: pl.Series, labels: pl.Series) -> Codes:
    numbers = pl.Series(range(len(labels)), dtype=pl.Int64)
    return column.replace_strict(labels, numbers, return_dtype=pl.Int64).to_numpy()


def _check_finite(array: Floats, name: str) -> None:
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise UsageError(
            f"{name} has {bad:,} values that are NaN, infinite or missing, among {array.size:,}.",
            why="An average over them would be NaN as well.",
            do="Drop such rows before evaluating, or repair the model that gave them.",
        )
