"""Columns that say nearly the same."""

from __future__ import annotations

import numpy as np
import polars as pl


def related(rows: pl.DataFrame, least: float) -> list[tuple[str, ...]]:
    """Return sets of columns that hang together: each is correlated with another of its set, by *least* or more.

    Spearman's correlation, its sign left out, of numbers, booleans, dates and times; other columns are in no set. What
    is missing counts as the mean rank.

    >>> related(pl.DataFrame({"a": [1, 2, 3, 4], "b": [9, 7, 6, 1], "c": [1, 4, 1, 4]}), 0.8)
    [('a', 'b')]
    """
    names = [
        name for name, kind in rows.schema.items() if kind.is_numeric() or kind.is_temporal() or kind == pl.Boolean
    ]
    if len(names) < 2 or rows.height < 2:
        return []
    ranks = np.column_stack([_ranks(rows[name]) for name in names])
    ranks -= ranks.mean(axis=0)
    sizes = np.sqrt(np.square(ranks).sum(axis=0))
    ranks /= np.where(sizes > 0, sizes, 1.0)
    alike = np.abs(ranks.T @ ranks) >= least - 1e-12
    seen: set[int] = set()
    found = []
    for first in range(len(names)):
        together, waiting = set(), [first]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                together.add(one)
                waiting += np.flatnonzero(alike[one]).tolist()
        if len(together) > 1:
            found.append(tuple(names[place] for place in sorted(together)))
    return found


def _ranks(column: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    known = column.fill_nan(None) if column.dtype.is_float() else column
    if known.dtype == pl.Boolean:
        known = known.cast(pl.Int8)
    ranks = known.rank("average")
    return np.asarray(ranks.fill_null(ranks.mean() or 0.0).cast(pl.Float64).to_numpy(), dtype=np.float64).copy()
