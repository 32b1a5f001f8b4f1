"""The exact numbers of a column, batch by batch: counts, moments, extremes, lengths, order in time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from filiera.core.value import dataclass
from filiera.data.profile import ColumnKind, Lengths
from filiera.data.sketch import RowSample

_DISTANCES = 1 << 16
_SECONDS: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Moments:
    """Number, mean and sum of squared deviations of values."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both together.

        Source:
            T. Chan, G. Golub, R. LeVeque, Updating formulae and a pairwise algorithm for computing sample variances,
            Stanford STAN-CS-79-773 (1979).

        >>> Moments(n=2, mean=1.0, m2=2.0).merged(Moments(n=1, mean=4.0, m2=0.0))
        Moments(n=3, mean=2.0, m2=8.0)
        """
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        delta = other.mean - self.mean
        return Moments(
            n=n, mean=self.mean + delta * other.n / n, m2=self.m2 + other.m2 + delta * delta * self.n * other.n / n
        )


def kind_of(dtype: pl.DataType) -> ColumnKind:
    """Return how values of a type are looked at; durations are numbers of seconds.

    >>> kind_of(pl.Duration("us")), kind_of(pl.Date()), kind_of(pl.List(pl.Int8))
    ('number', 'time', 'other')
    """
    if dtype.is_numeric() or dtype == pl.Duration:
        return "number"
    if dtype in (pl.Date, pl.Datetime, pl.Time):
        return "time"
    return "category" if dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) else "other"


def unit_s(dtype: pl.DataType) -> float:
    """Return how many seconds one step of the stored number of a duration, time or date is."""
    if isinstance(dtype, pl.Datetime | pl.Duration):
        return _SECONDS[dtype.time_unit]
    return 86_400.0 if dtype == pl.Date else 1e-9


def as_number(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return the values of a number or time as floats: numbers as they are, all of time in seconds."""
    if dtype.is_temporal():
        return value.to_physical().cast(pl.Float64) * unit_s(dtype)
    return value.cast(pl.Float64)


class Tally:
    """The exact numbers of one column so far."""

    def __init__(self, name: str, dtype: pl.DataType) -> None:
        self.name = name
        self.dtype = dtype
        self.kind = kind_of(dtype)
        self.rows = 0
        self.counts = dict.fromkeys(("nulls", "nan", "infinite", "zeros", "negative", "empty"), 0)
        self.minimum: Any = None  #: of the finite values; of times the stored number
        self.maximum: Any = None
        self.moments = Moments()
        self.order = Order() if dtype in (pl.Date, pl.Datetime) else None
        self._lengths: list[int] = []  #: rows, least, greatest, sum

    def expressions(self) -> Iterator[tuple[str, pl.Expr]]:
        """Yield what is asked of a batch, with the names under which ``add`` wants the answers."""
        column = pl.col(self.name)
        yield "nulls", column.null_count()
        if self.kind == "number":
            yield from self._of_numbers(column)
        elif self.kind == "time":
            yield "minimum", column.min().to_physical()
            yield "maximum", column.max().to_physical()
        length = self._length(column)
        if length is not None:
            yield "shortest", length.min()
            yield "longest", length.max()
            yield "length", length.cast(pl.UInt64).sum()
            yield "empty", (length == 0).sum()

    def _of_numbers(self, column: pl.Expr) -> Iterator[tuple[str, pl.Expr]]:
        finite, value = column, as_number(column, self.dtype)
        if self.dtype.is_float():
            finite = pl.when(column.is_finite()).then(column)
            value = finite.cast(pl.Float64)
            yield "nan", column.is_nan().sum()
            yield "infinite", column.is_infinite().sum()
        elif self.dtype == pl.Duration or isinstance(self.dtype, pl.Decimal):
            finite = value
        yield "minimum", finite.min()
        yield "maximum", finite.max()
        yield "mean", value.mean()
        yield "variance", value.var(ddof=0)
        yield "zeros", (finite == 0).sum()
        if not self.dtype.is_unsigned_integer():
            yield "negative", (finite < 0).sum()

    def _length(self, column: pl.Expr) -> pl.Expr | None:
        if self.dtype == pl.String:
            return column.str.len_chars()
        if self.dtype == pl.Binary:
            return column.bin.size()
        return column.list.len() if self.dtype == pl.List else None

    def add(self, batch: pl.DataFrame, found: Mapping[str, Any]) -> None:
        """Take up what was found in a batch."""
        self.rows += batch.height
        for name in self.counts:
            self.counts[name] += found.get(name) or 0
        rows = batch.height - found["nulls"]
        if found.get("minimum") is not None:
            self.minimum = found["minimum"] if self.minimum is None else min(self.minimum, found["minimum"])
            self.maximum = found["maximum"] if self.maximum is None else max(self.maximum, found["maximum"])
        if found.get("mean") is not None:
            n = rows - (found.get("nan") or 0) - (found.get("infinite") or 0)
            self.moments = self.moments.merged(Moments(n=n, mean=found["mean"], m2=(found["variance"] or 0.0) * n))
        if found.get("longest") is not None:
            new = (rows, found["shortest"], found["longest"], found["length"])
            old = self._lengths or [0, new[1], 0, 0]
            self._lengths = [old[0] + new[0], min(old[1], new[1]), max(old[2], new[2]), old[3] + new[3]]
        if self.order is not None:
            self.order.add(batch.get_column(self.name))

    @property
    def lengths(self) -> Lengths | None:
        """Return the lengths of texts (characters), binaries (bytes) or lists (items)."""
        if not self._lengths:
            return None
        rows, shortest, longest, total = self._lengths
        return Lengths(shortest=shortest, longest=longest, mean=total / rows)

    @property
    def mean(self) -> float | None:
        """Return the mean of the finite values; None when there are none, or it is too great for a float."""
        return _representable(self.moments.mean) if self.moments.n else None

    @property
    def deviation(self) -> float | None:
        """Return the standard deviation of the sample; None below two values, or when it is too great for a float."""
        n = self.moments.n
        return _representable(math.sqrt(self.moments.m2 / (n - 1))) if n > 1 and self.moments.m2 >= 0 else None


def _representable(value: float) -> float | None:
    return value if math.isfinite(value) else None


class Order:
    """Whether the values of a column of times ascend, and the longest stretch without any."""

    def __init__(self) -> None:
        self.is_ascending = True
        self.longest = 0  #: in steps of the stored number
        self.longest_from: int | None = None  #: the value before the longest stretch, as a stored number
        self._last: pl.Series | None = None
        self._apart = RowSample(rows=_DISTANCES, size_bytes=64 * _DISTANCES)

    @property
    def typical(self) -> float | None:
        """Return the median distance of neighbours that differ, in steps of the stored number; None without any."""
        found = self._apart.frame()
        return float(found.to_series().median()) if found.height else None  # type: ignore[arg-type]

    def add(self, values: pl.Series) -> None:
        """Look at further values."""
        steps = values.drop_nulls().to_physical().cast(pl.Int64)
        if not self.is_ascending or not len(steps):
            return
        if self._last is not None:
            steps = pl.concat([self._last, steps])
        self._last = steps.tail(1)
        apart = steps.diff()
        place = apart.arg_max()
        if place is None:
            return
        self.is_ascending = int(apart.min()) >= 0  # type: ignore[arg-type]
        self._apart.add(apart.filter(apart > 0).to_frame())
        if int(apart[place]) > self.longest:
            self.longest, self.longest_from = int(apart[place]), int(steps[place - 1])
