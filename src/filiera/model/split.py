"""Training rows and test rows, the same on any machine.

Which of the four is honest depends on what the model will meet: more rows of the same kind (``split``), entities it has
not seen (``split_by_group``), the future (``split_by_time``); ``split_by_key`` keeps each row's side when rows are
added. Each returns two frames, which become artifacts when a step returns them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.core.digest import digest
from filiera.errors import UsageError


def split(
    frame: pl.DataFrame,
    *,
    test_share: float = 0.2,
    seed: int = 0,
    stratify: str | None = None,
    identical_together: bool = True,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return training rows and test rows of *frame*, each in its former order; no row is in both or in neither.

    Each row gets a 64-bit key from the raw stream of PCG64, which NumPy promises not to change, by its place in the
    frame; the rows with the least keys are the test rows. The same frame and seed give the same split everywhere; the
    same rows in another order give another one.

    Rows that are equal in every column go to the same side: a model that has memorised a row would otherwise be
    rewarded for it, as on KDD Cup 99, where three of four rows are repeated (NSL-KDD has none). The price is that a
    frame with few distinct rows is tested on kinds of rows it never saw, and that the share is met only as nearly as
    the groups allow. Where repeated rows are honest independent observations, say ``identical_together=False``.

    Args:
        frame: Rows to split.
        test_share: Share of test rows, above 0 and below 1.
        seed: 0 or more.
        stratify: Column whose values are split one by one, so that both sides have their share of each, and at least
            one row. Null is a value like others.
        identical_together: Keep equal rows on one side.

    Raises:
        UsageError: A share or column that cannot be, or too few different rows for two sides.

    >>> train, test = split(pl.DataFrame({"x": range(10)}), test_share=0.3)
    >>> train.height, test.height
    (7, 3)
    """
    check_seed(seed)
    check_frame(frame, stratify)
    _check_share(test_share)
    keys = row_keys(frame, seed, identical_together=identical_together)
    is_test = np.zeros(frame.height, dtype=np.bool_)
    for rows, name in strata(frame, stratify):
        is_test[rows] = _test_rows(keys[rows], test_share, name)
    return _sides(frame, is_test)


def split_by_group(
    frame: pl.DataFrame, group: str, *, test_share: float = 0.2, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return training rows and test rows such that all rows of a group (a customer, a host) are on one side.

    Rows of one entity resemble each other: a model tested on entities it was trained on is rewarded for knowing them.
    The share is met as nearly as whole groups allow, in rows.

    Args:
        frame: Rows to split.
        group: Column that names the entity. Null is a group like others.
        test_share: Share of test rows, above 0 and below 1.
        seed: 0 or more.

    Raises:
        UsageError: A share or column that cannot be, or only one group.

    >>> flows = pl.DataFrame({"host": ["a", "a", "b", "b", "c"], "bytes": [1, 2, 3, 4, 5]})
    >>> train, test = split_by_group(flows, "host", test_share=0.4)
    >>> set(train["host"]) & set(test["host"])
    set()
    """
    check_seed(seed)
    check_frame(frame, group)
    _check_share(test_share)
    keys = group_keys(frame, group, seed)
    return _sides(frame, _test_rows(keys, test_share, f"the column {group!r}"))


def split_by_time(
    frame: pl.DataFrame,
    time: str,
    *,
    test_share: float = 0.2,
    since: dt.date | dt.datetime | float | None = None,
    gap: dt.timedelta | float | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the earlier rows to train on and the later ones to test on, each in its former order.

    Rows of one time are on one side, so that the share is met as nearly as whole times allow.

    Args:
        frame: Rows to split.
        time: Column of dates, times or numbers that grow with time; none may be missing.
        test_share: Share of test rows, above 0 and below 1; without meaning when *since* is given.
        since: The first time that is tested on.
        gap: Training rows less than this before the first test row are left out of both sides: what is computed over
            a window (a mean of the last hour, a label known a week later) would otherwise tell of the test rows.

    Raises:
        UsageError: A share or column that cannot be, missing times, or a side without rows.

    >>> days = pl.DataFrame({"day": [4, 1, 3, 2, 5], "visits": [40, 10, 30, 20, 50]})
    >>> train, test = split_by_time(days, "day", test_share=0.4)
    >>> train["day"].to_list(), test["day"].to_list()
    ([1, 3, 2], [4, 5])
    """
    check_frame(frame, time)
    column = times(frame, time)
    if since is None:
        _check_share(test_share)
        distinct, counts = np.unique(column.to_physical().to_numpy(), return_counts=True)
        if len(distinct) < 2:
            raise UsageError(f"All rows have the same {time!r}.", why="No time divides them.")
        first = column[int((column.to_physical() == distinct[_cut(counts[::-1], test_share, reverse=True)]).arg_max())]
    else:
        first = since
    is_test = _later(column, first)
    is_kept = is_test | _before(column, first, gap)
    for side, name in ((is_test, "to test on"), (is_kept & ~is_test, "to train on")):
        if not side.any():
            span = f"{time!r} goes from {column.min()!s} to {column.max()!s}"
            raise UsageError(f"No rows are left {name}.", why=f"{span}, the test begins at {first}, the gap is {gap}.")
    return frame.filter(is_kept & ~is_test), frame.filter(is_test)


def split_by_key(
    frame: pl.DataFrame, key: str | list[str], *, test_share: float = 0.2, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return training rows and test rows; a hash of its key decides on which side a row is.

    A row is on the same side in every version of a dataset, however many rows are added, dropped or reordered: models
    of different versions can be compared on their common test rows, and none was trained on a row that another was
    tested on. The share is met as nearly as chance allows.

    Args:
        frame: Rows to split.
        key: Column or columns that name a row: whole numbers, texts, dates, times or booleans.
        test_share: Share of test rows, above 0 and below 1.
        seed: 0 or more.

    Raises:
        UsageError: A share or column that cannot be, missing keys, or a side without rows.

    >>> orders = pl.DataFrame({"id": range(1000)})
    >>> _, test = split_by_key(orders, "id")
    >>> _, later = split_by_key(pl.DataFrame({"id": range(2000)}), "id")
    >>> set(test["id"]) <= set(later["id"])
    True
    """
    columns = [key] if isinstance(key, str) else list(key)
    check_seed(seed)
    for column in columns:
        check_frame(frame, column)
        _check_key(frame[column])
    _check_share(test_share)
    limit = int(test_share * 2**64)
    numbers = dict.fromkeys(zip(*(_texts(frame[column]) for column in columns), strict=True))
    sides = {row: _hash(row, seed) < limit for row in numbers}
    is_test = np.fromiter(
        (sides[row] for row in zip(*(_texts(frame[column]) for column in columns), strict=True)), np.bool_, frame.height
    )
    if is_test.all() or not is_test.any():
        raise UsageError(
            f"All {frame.height:,} rows are on one side.",
            why=f"The hash of {', '.join(columns)} decides; with few keys that can happen.",
            do="Choose another seed, or split().",
        )
    return _sides(frame, is_test)


def overlap(train: pl.DataFrame, test: pl.DataFrame) -> int:
    """Return how many rows of *test* have an equal row in *train*, null and NaN being equal to themselves.

    Drop the label from both first to count rows that look the same, whatever they were called.

    Raises:
        UsageError: The frames have different columns.

    >>> overlap(pl.DataFrame({"x": [1, 2, 2]}), pl.DataFrame({"x": [2, 2, 3]}))
    2
    """
    if train.schema != test.schema:
        raise UsageError(
            "Training and test rows have different columns or types.", why=f"{train.schema}; {test.schema}"
        )
    first = _first_equal(pl.concat((train, test), rechunk=True))
    return int((first[train.height :] < train.height).sum())


def row_keys(frame: pl.DataFrame, seed: int, *, identical_together: bool) -> NDArray[np.uint64]:
    """Return a random 64-bit key of each row, shape ``(n,)``; rows that belong together have equal ones."""
    keys = np.random.PCG64(seed).random_raw(frame.height)
    return keys[_first_equal(frame)] if identical_together else keys


def group_keys(frame: pl.DataFrame, group: str, seed: int) -> NDArray[np.uint64]:
    """Return a random 64-bit key of each row's group, shape ``(n,)``. Raises UsageError when there is one only."""
    first = _first_equal(frame.select(group))
    if len(np.unique(first)) < 2:
        raise UsageError(f"The column {group!r} has one value only.", why="A group is not divided.")
    return np.random.PCG64(seed).random_raw(frame.height)[first]


def strata(frame: pl.DataFrame, stratify: str | None) -> Iterator[tuple[NDArray[np.int64], str]]:
    """Yield the numbers of the rows of each value of *stratify*, or of all, and what to call them."""
    if stratify is None:
        yield np.arange(frame.height), "the frame"
        return
    stratum = _first_equal(frame.select(stratify))
    for first in np.unique(stratum):
        yield np.flatnonzero(stratum == first), f"{stratify} = {frame[int(first), stratify]!r}"


def times(frame: pl.DataFrame, time: str) -> pl.Series:
    """Return the column of times, checked. Raises UsageError."""
    column = frame[time]
    if not (column.dtype.is_temporal() or column.dtype.is_numeric()) or column.dtype == pl.Time:
        raise UsageError(
            f"The column {time!r} is of type {column.dtype}.",
            why="Rows are put in order by dates, times or numbers.",
            do=f'Turn it into one first: pl.col("{time}").str.to_datetime()',
        )
    missing = column.null_count() + (int(column.is_nan().sum()) if column.dtype.is_float() else 0)
    if missing:
        raise UsageError(
            f"{missing:,} rows have no {time!r}.",
            why="Whether they are before or after the others is not known.",
            do=f'Drop them or find their time: frame.drop_nulls("{time}")',
        )
    return column


def _later(column: pl.Series, first: Any) -> pl.Series:
    try:
        is_later: pl.Series = column >= first
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"{column.name!r} is of type {column.dtype} and cannot be compared with {first!r}.") from error
    return is_later


def _before(column: pl.Series, first: Any, gap: dt.timedelta | float | None) -> pl.Series:
    """Tell which rows lie before *first*, by at least *gap*."""
    if gap is None:
        return ~_later(column, first)
    zero = dt.timedelta(0) if column.dtype.is_temporal() else 0
    if isinstance(gap, dt.timedelta) != isinstance(zero, dt.timedelta) or not gap >= zero:  # type: ignore[operator]
        want = "a timedelta" if column.dtype.is_temporal() else "a number"
        raise UsageError(f"The gap is {gap!r}.", why=f"{column.name!r} is of type {column.dtype}: {want}, 0 or more.")
    last: Any = pl.Series([first], dtype=column.dtype)[0]
    is_before: pl.Series = ~_later(column, first) & (column <= last - gap)
    return is_before


def _cut(counts: NDArray[np.int64], test_share: float, *, reverse: bool = False) -> int:
    """Return how many of the first groups come nearest to the share of all rows; at least one, and not all."""
    taken = int(np.abs(counts.cumsum()[:-1] - test_share * counts.sum()).argmin()) + 1
    return len(counts) - taken if reverse else taken


def _first_equal(frame: pl.DataFrame) -> NDArray[np.uint32]:
    """Return for each row the number of the first row that equals it, shape ``(n,)``."""
    name = "row"
    while name in frame.columns:
        name += "_"
    return frame.with_row_index(name).select(pl.col(name).min().over(frame.columns)).to_series().to_numpy()


def _test_rows(keys: NDArray[np.uint64], test_share: float, name: str) -> NDArray[np.bool_]:
    """Tell which rows are test rows: those with the least keys; rows of equal key stay together."""
    distinct, member, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    if len(distinct) < 2:
        raise UsageError(
            f"There are too few rows to split: {name} has {len(keys):,}, of which {len(distinct)} different.",
            why="Both sides need at least one.",
            do="Add rows, drop that value, split without stratify, or (for equal rows) with identical_together=False.",
        )
    return np.asarray(member < _cut(sizes, test_share))


def _sides(frame: pl.DataFrame, is_test: NDArray[np.bool_]) -> tuple[pl.DataFrame, pl.DataFrame]:
    mask = pl.Series(is_test)
    return frame.filter(~mask), frame.filter(mask)


def _texts(column: pl.Series) -> list[str]:
    if column.dtype.is_temporal():
        column = column.dt.cast_time_unit("us").to_physical() if column.dtype == pl.Datetime else column.to_physical()
    return [str(value) for value in column.to_list()]


def _hash(row: tuple[str, ...], seed: int) -> int:
    return int(digest("split-key/1", str(seed).encode(), *(part.encode() for part in row))[:16], 16)


def _check_key(column: pl.Series) -> None:
    kind = column.dtype
    if not (kind.is_integer() or kind.is_temporal() or kind in (pl.String, pl.Boolean, pl.Categorical, pl.Enum)):
        raise UsageError(
            f"The column {column.name!r} is of type {kind}, which is no key.",
            why="A key is written the same wherever it comes from: whole numbers, texts, dates, times, booleans.",
        )
    if column.null_count():
        raise UsageError(f"{column.null_count():,} rows have no {column.name!r}.", why="Their side cannot be decided.")


def _check_share(test_share: float) -> None:
    if not 0 < test_share < 1:
        raise UsageError(f"test_share is {test_share!r}.", why="It is a share: above 0 and below 1.")


def check_seed(seed: int) -> None:
    """Raise UsageError unless it is a whole number, 0 or more."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed is {seed!r}.", why="It is a whole number, 0 or more.")


def check_frame(frame: pl.DataFrame, column: str | None) -> None:
    """Raise UsageError unless it is a frame that can be split, with that column."""
    if not isinstance(frame, pl.DataFrame):
        raise UsageError(f"split takes a polars DataFrame, not {type(frame).__name__}.", do="polars.from_pandas(frame)")
    if frame.height < 2:
        raise UsageError(f"A frame of {frame.height} rows cannot be split.", why="Both sides need at least one.")
    if column is not None and column not in frame.columns:
        raise UsageError(f"There is no column {column!r} to split by.", why=f"There are: {', '.join(frame.columns)}.")
