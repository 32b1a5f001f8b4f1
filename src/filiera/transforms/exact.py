"""Statistics of a column that depend on its values only, not on their order, the machine or the number of threads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain

import polars as pl

_HUGE, _SCALE = 2.0**400, 2.0**600
_CHUNK_ROWS = 100_000


def mean(values: pl.Series) -> float:
    """Return the mean of floats that are finite and there, rounded once.

    >>> mean(pl.Series([1e100, 1.0, -1e100, 2.0]))
    0.75
    """
    scale = _SCALE if _greatest(values) > _HUGE else 1.0
    return math.fsum(_each(values / scale if scale != 1.0 else values)) / len(values) * scale


def deviation(values: pl.Series, center: float) -> float:
    """Return the population standard deviation of floats around their mean *center*.

    >>> deviation(pl.Series([1.0, 3.0]), 2.0)
    1.0
    """
    apart = values - center
    scale = _SCALE if _greatest(apart) > _HUGE else 1.0
    scaled = apart / scale if scale != 1.0 else apart
    return math.sqrt(math.fsum(_each(scaled * scaled)) / len(values)) * scale


def most_frequent(values: pl.Series) -> object:
    """Return the value that occurs most often, the least of those that tie.

    >>> most_frequent(pl.Series(["b", "a", "b", "a", "c"]))
    'a'
    """
    counts = values.value_counts(name="rows").rows()
    most = max(count for _, count in counts)
    return min(value for value, count in counts if count == most)


def _greatest(values: pl.Series) -> float:
    found = values.abs().max()
    return float(found) if isinstance(found, float) else 0.0


def _each(values: pl.Series) -> Iterator[float]:
    """Yield the values as Python's numbers, a part of them in memory at a time."""
    return chain.from_iterable(
        values.slice(start, _CHUNK_ROWS).to_list() for start in range(0, len(values), _CHUNK_ROWS)
    )
