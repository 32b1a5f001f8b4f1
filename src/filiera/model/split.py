"""Training rows and test rows, the same on any machine."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
    _check(frame, test_share, seed, stratify)
    n = frame.height
    keys = np.random.PCG64(seed).random_raw(n)
    group = _first_equal(frame) if identical_together else np.arange(n)
    stratum = _first_equal(frame.select(stratify)) if stratify is not None else np.zeros(n)
    is_test = np.zeros(n, dtype=np.bool_)
    for first in np.unique(stratum):
        rows = np.flatnonzero(stratum == first)
        value = None if stratify is None else frame[int(first), stratify]
        is_test[rows] = _test_rows(
            keys[group[rows]], test_share, f"{stratify} = {value!r}" if stratify else "the frame"
        )
    mask = pl.Series(is_test)
    return frame.filter(~mask), frame.filter(mask)


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
    filled = sizes.cumsum()[:-1]
    taken = int(np.abs(filled - test_share * len(keys)).argmin()) + 1
    return np.asarray(member < taken)


def _check(frame: pl.DataFrame, test_share: float, seed: int, stratify: str | None) -> None:
    if not isinstance(frame, pl.DataFrame):
        raise UsageError(f"split takes a polars DataFrame, not {type(frame).__name__}.", do="polars.from_pandas(frame)")
    if not 0 < test_share < 1:
        raise UsageError(f"test_share is {test_share!r}.", why="It is a share: above 0 and below 1.")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed is {seed!r}.", why="It is a whole number, 0 or more.")
    if frame.height < 2:
        raise UsageError(f"A frame of {frame.height} rows cannot be split.", why="Both sides need at least one.")
    if stratify is not None and stratify not in frame.columns:
        raise UsageError(
            f"There is no column {stratify!r} to stratify by.", why=f"There are: {', '.join(frame.columns)}."
        )
