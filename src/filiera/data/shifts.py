"""How the distributions of two tables' columns differ: the rows of each side in cells that are the same for both.

The cells come from a sample of the rows of both, evenly spaced; the rows in them are counted exactly, on both sides.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from filiera.core.value import dataclass
from filiera.data.difference import Cell, Shift, total_variation

_SAMPLED_ROWS = 20_000
_RANGES = 10
_VALUES = 10
_OTHERS = "(others)"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cells:
    """What rows of one column are counted in: ranges up to each of *edges*, or *values*; and the others."""

    name: str
    edges: tuple[float, ...] = ()  #: ascending; a range ends with its edge
    values: tuple[Any, ...] = ()

    @property
    def is_numeric(self) -> bool:
        return bool(self.edges)


def shifts_between(before: pl.LazyFrame, after: pl.LazyFrame, *, heights: tuple[int, int]) -> tuple[Shift, ...]:
    """Return how each column's distribution moved, in the order of the columns; lists and structures are left out.

    Args:
        before: One table.
        after: Another one with the same columns and types.
        heights: Rows of each.
    """
    schema = before.collect_schema()
    names = [name for name, kind in schema.items() if not kind.is_nested() and kind not in (pl.Binary, pl.Null)]
    if not names:
        return ()
    samples = [
        side.select(names).gather_every(max(1, height // _SAMPLED_ROWS))
        for side, height in zip((before, after), heights, strict=True)
    ]
    sample = pl.concat(samples).collect(engine="streaming")
    cells = [_cells_of(sample[name]) for name in names]
    counting = [expression for i, one in enumerate(cells) for expression in _counting(i, one, schema[one.name])]
    queries = [side.select(pl.len().alias("rows"), *counting) for side in (before, after)]
    counted = [found.row(0, named=True) for found in pl.collect_all(queries, engine="streaming")]
    return tuple(_shift(i, one, counted[0], counted[1]) for i, one in enumerate(cells))


def _cells_of(sample: pl.Series) -> _Cells:
    if not sample.dtype.is_numeric():
        return _Cells(name=sample.name, values=_frequent(sample))
    numbers = sample.cast(pl.Float64)
    numbers = numbers.filter(numbers.is_finite())
    if not len(numbers) or sample.n_unique() <= _VALUES:
        return _Cells(name=sample.name, values=tuple(numbers.unique().sort()))
    quantiles = (numbers.quantile(i / _RANGES, "nearest") for i in range(1, _RANGES))
    return _Cells(name=sample.name, edges=tuple(sorted({float(edge) for edge in quantiles if edge is not None})))


def _frequent(sample: pl.Series) -> tuple[Any, ...]:
    counts = sample.drop_nulls().value_counts(name="filiera rows")
    counts = counts.sort(["filiera rows", sample.name], descending=[True, False])
    return tuple(counts[sample.name].head(_VALUES))


def _counting(i: int, cells: _Cells, dtype: pl.DataType) -> list[pl.Expr]:
    value = pl.col(cells.name)
    if not dtype.is_numeric():
        found = [value.is_not_null().sum().alias(f"{i}.present")]
        return found + [(value == pl.lit(one, dtype)).sum().alias(f"{i}.{n}") for n, one in enumerate(cells.values)]
    number = value.cast(pl.Float64)
    number = pl.when(number.is_finite()).then(number)
    found = [number.count().alias(f"{i}.present"), number.mean().alias(f"{i}.mean")]
    found += [(number <= edge).sum().alias(f"{i}.{n}") for n, edge in enumerate(cells.edges)]
    return found + [(number == one).sum().alias(f"{i}.{n}") for n, one in enumerate(cells.values)]


def _shift(i: int, cells: _Cells, before: dict[str, Any], after: dict[str, Any]) -> Shift:
    counts = [_counts(i, cells, side) for side in (before, after)]
    labels = [*_labels(cells), *([] if cells.is_numeric else [_OTHERS])]
    found = [Cell(label=label, before=b, after=a) for label, b, a in zip(labels, *counts, strict=True)]
    if found and found[-1].label == _OTHERS and not (found[-1].before or found[-1].after):
        found.pop()
    return Shift(
        name=cells.name,
        missing=(before["rows"] - before[f"{i}.present"], after["rows"] - after[f"{i}.present"]),
        mean=(_mean(before, i), _mean(after, i)),
        cells=tuple(found),
        distance=total_variation([cell.before for cell in found], [cell.after for cell in found]),
    )


def _counts(i: int, cells: _Cells, found: dict[str, Any]) -> list[int]:
    present: int = found[f"{i}.present"]
    if not cells.is_numeric:
        listed = [found[f"{i}.{n}"] for n in range(len(cells.values))]
        return [*listed, present - sum(listed)]
    below = [0, *(found[f"{i}.{n}"] for n in range(len(cells.edges))), present]
    return [high - low for low, high in itertools.pairwise(below)]


def _labels(cells: _Cells) -> list[str]:
    if not cells.is_numeric:
        return [f"{one:g}" if isinstance(one, float) else str(one) for one in cells.values]
    edges = [f"{edge:,.0f}" if 1e4 <= abs(edge) < 1e9 else f"{edge:.4g}" for edge in cells.edges]
    return [f"up to {edges[0]}", *_between(edges), f"above {edges[-1]}"]


def _between(edges: Sequence[str]) -> list[str]:
    return [f"{low} to {high}" for low, high in itertools.pairwise(edges)]


def _mean(found: dict[str, Any], i: int) -> float | None:
    mean = found.get(f"{i}.mean")
    return mean if mean is not None and math.isfinite(mean) else None
