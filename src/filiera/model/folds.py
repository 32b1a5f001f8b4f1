"""Parts of the training rows for cross-validation, the same on any machine."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.errors import UsageError
from filiera.model.split import check_frame, check_seed, group_keys, row_keys, split_by_time, strata, times

Fold = tuple[pl.DataFrame, pl.DataFrame]
"""Rows to train on and rows to validate on."""


def folds(
    frame: pl.DataFrame, count: int = 5, *, seed: int = 0, stratify: str | None = None, group: str | None = None
) -> list[Fold]:
    """Return *count* pairs of training and validation rows; each row validates exactly once.

    Rows that are equal in every column, and with *group* all rows of a group, are in one part, as in ``split`` and
    ``split_by_group``. The parts are as equal in rows as that allows.

    Args:
        frame: Rows to divide: those to train on, with the test rows taken away before.
        count: Number of pairs, 2 or more.
        seed: 0 or more.
        stratify: Column whose values are divided one by one; not with *group*.
        group: Column that names an entity whose rows stay together.

    Raises:
        UsageError: A count or column that cannot be, or fewer different rows or groups than parts.

    >>> parts = folds(pl.DataFrame({"x": range(10)}), 5)
    >>> [validation.height for _, validation in parts]
    [2, 2, 2, 2, 2]
    """
    check_seed(seed)
    for column in (stratify, group):
        check_frame(frame, column)
    _check_count(count)
    if stratify is not None and group is not None:
        raise UsageError("Folds are either stratified or grouped.", why="Whole groups have the shares that they have.")
    keys = row_keys(frame, seed, identical_together=True) if group is None else group_keys(frame, group, seed)
    part = np.zeros(frame.height, dtype=np.int64)
    for rows, name in strata(frame, stratify):
        part[rows] = _parts(keys[rows], count, f"{group} in {name}" if group else name)
    return [(frame.filter(part != number), frame.filter(part == number)) for number in range(count)]


def time_folds(
    frame: pl.DataFrame, time: str, count: int = 5, *, gap: dt.timedelta | float | None = None
) -> list[Fold]:
    """Return *count* pairs in which the model is trained on all rows before a period and validated on that period.

    The times are cut into ``count + 1`` periods of as equal numbers of rows as whole times allow; the first is only
    trained on.

    Args:
        frame: Rows to divide: those to train on, with the test rows taken away before.
        time: Column of dates, times or numbers that grow with time; none may be missing.
        count: Number of pairs, 2 or more.
        gap: As in ``split_by_time``.

    Raises:
        UsageError: A count or column that cannot be, or fewer different times than periods.

    >>> days = pl.DataFrame({"day": [1, 2, 3, 4, 5, 6]})
    >>> [(train["day"].to_list(), later["day"].to_list()) for train, later in time_folds(days, "day", 2)]
    [([1, 2], [3, 4]), ([1, 2, 3, 4], [5, 6])]
    """
    check_frame(frame, time)
    _check_count(count)
    column = times(frame, time)
    part = _parts(column.to_physical().to_numpy(), count + 1, f"the column {time!r}")
    pairs = []
    for number in range(1, count + 1):
        known = frame.filter(part <= number)
        pairs.append(split_by_time(known, time, since=column.filter(part == number).min(), gap=gap))  # type: ignore[arg-type]
    return pairs


def _parts(keys: NDArray[np.generic], count: int, name: str) -> NDArray[np.int64]:
    """Return the number of each row's part; rows of equal key stay together, and parts follow the order of keys."""
    distinct, member, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    if len(distinct) < count:
        raise UsageError(
            f"{name[0].upper()}{name[1:]} has {len(distinct)} different rows for {count} parts.",
            why="Each part needs at least one.",
            do="Make fewer parts, or add rows.",
        )
    part, filled = np.zeros(len(distinct), dtype=np.int64), 0
    left = int(sizes.sum())
    number = 0
    for place, size in enumerate(sizes.tolist()):
        still = len(distinct) - place  # keys that have no part yet
        wanted = left / (count - number)
        is_full = filled > 0 and (filled + size / 2 > wanted or still <= count - number - 1)
        if is_full and number < count - 1:
            left, number, filled = left - filled, number + 1, 0
        part[place] = number
        filled += size
    return np.asarray(part[member])


def _check_count(count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 2:
        raise UsageError(f"count is {count!r}.", why="It is a whole number, 2 or more.")
