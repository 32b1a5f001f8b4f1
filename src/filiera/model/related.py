"""Columns that say nearly the same."""

from __future__ import annotations

import numpy as np
import polars as pl

from filiera.model.answers import Floats


def related(rows: pl.DataFrame, least: float) -> list[tuple[str, ...]]:
    """Return sets of columns that hang together: each is correlated with another of its set, by *least* or more.

    Spearman's correlation, its sign left out, of numbers, booleans, dates and times; other columns are in no set. What
    is missing counts as the mean rank.

    >>> related(pl.DataFrame({"a": [1, 2, 3, 4], "b": [9, 7, 6, 1], "c": [1, 4, 1, 4]}), 0.8)
    [('a', 'b')]
    """
    ranked = {name: own for name in rows.columns if (own := ranks_of(rows[name])) is not None}
    names = list(ranked)
    if len(names) < 2 or rows.height < 2:
        return []
    ranks = np.column_stack([ranked[name] for name in names])
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


def ranks_of(column: pl.Series) -> Floats | None:
    """Return the ranks of values, equal ones the mean of theirs and missing ones the mean of all, shape ``(n,)``.

    None of a column whose values have no order: texts, lists.

    >>> ranks_of(pl.Series([7, 5, None, 5])).tolist()
    [3.0, 1.5, 2.0, 1.5]
    """
    kind = column.dtype
    if not (kind.is_numeric() or kind.is_temporal() or kind == pl.Boolean):
        return None
    known = column.fill_nan(None) if kind.is_float() else column
    ranks = (known.cast(pl.Int8) if kind == pl.Boolean else known).rank("average")
    return np.array(ranks.fill_null(ranks.mean() or 0.0).cast(pl.Float64).to_numpy(), dtype=np.float64)
