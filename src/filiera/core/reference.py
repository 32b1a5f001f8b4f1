"""What the training data looked like, small enough to keep with a model: what monitoring compares live data against.

Bins and categories are frozen here, once, so that the same statistic over two windows is comparable.
"""

from __future__ import annotations

from bisect import bisect_left
from math import inf, isfinite

from filiera.core.signature import FieldType
from filiera.core.value import dataclass

MAX_PROBABILITY = "max_probability"
"""Name of the reference of the greatest class probability per row, which has no output column of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NumericReference:
    """Counts of one numeric column in frozen bins; bin i holds the values x with ``edges[i] < x <= edges[i + 1]``.

    The first edge is -inf and the last +inf, so that every finite value has a bin; with NumPy the bin of x is
    ``searchsorted(edges[1:-1], x, side="left")``. A value that is frequent of its own has a bin of its own, and a bin
    may be empty (below the least value, or between two frequent ones). Dates are days and timestamps are seconds since
    1970-01-01 UTC. NaN and infinities are in no bin and in no moment: they are counted in *non_finite*.

    >>> reference = NumericReference(
    ...     name="x", type="int64", rows=5, nulls=1, edges=(-inf, 0.0, 2.0, inf), counts=(1, 2, 1),
    ...     mean=1.5, sd=1.118, minimum=0.0, maximum=3.0)
    >>> reference.total, reference.bin_of(2.0), reference.bin_of(2.1)
    (4, 1, 2)
    """

    name: str  #: column name
    type: FieldType  #: Arrow's name of the type
    rows: int  #: rows looked at, nulls and non-finite values included
    nulls: int  #: rows without a value
    non_finite: int = 0  #: rows with NaN or an infinity
    edges: tuple[float, ...]  #: ascending, one more than bins, from -inf to +inf
    counts: tuple[int, ...]  #: rows per bin; their sum is rows - nulls - non_finite
    mean: float | None  #: of the finite values; None when there are none
    sd: float | None  #: population standard deviation of the finite values (divisor n)
    minimum: float | None  #: least finite value
    maximum: float | None  #: greatest finite value

    def __post_init__(self) -> None:
        _check_rows(self.name, self.rows, self.nulls, self.non_finite, *self.counts)
        if len(self.edges) != len(self.counts) + 1 or self.edges[0] != -inf or self.edges[-1] != inf:
            raise ValueError(f"{self.name}: need one more edge than bins, from -inf to +inf")
        if any(not low < high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"{self.name}: edges must ascend")
        if self.rows - self.nulls - self.non_finite != sum(self.counts):
            raise ValueError(f"{self.name}: counts must sum to the rows that have a finite value")
        if sum(self.counts) and not all(
            x is not None and isfinite(x) for x in (self.mean, self.sd, self.minimum, self.maximum)
        ):
            raise ValueError(f"{self.name}: mean, sd, minimum and maximum must be finite when there are values")

    @property
    def total(self) -> int:
        """Return how many rows have a finite value."""
        return sum(self.counts)

    def bin_of(self, value: float) -> int:
        """Return the number of the bin, from 0, that a finite *value* falls into."""
        return bisect_left(self.edges, value, 1, len(self.edges) - 1) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoricalReference:
    """Counts of one column's values, the most frequent first; equal counts are ordered by value.

    Strings and booleans are categorical, and integers with few distinct values (at most 20).

    >>> CategoricalReference(
    ...     name="p", type="string", rows=9, nulls=1, values=("tcp", "udp"), counts=(5, 2), other=1).total
    8
    """

    name: str  #: column name
    type: FieldType  #: Arrow's name of the type
    rows: int  #: rows looked at, nulls included
    nulls: int  #: rows without a value
    values: tuple[str | int | bool, ...]  #: the values counted one by one
    counts: tuple[int, ...]  #: rows per value
    other: int = 0  #: rows with a value too rare to be listed

    def __post_init__(self) -> None:
        _check_rows(self.name, self.rows, self.nulls, self.other, *self.counts)
        if len(self.values) != len(self.counts):
            raise ValueError(f"{self.name}: need one count per value")
        if len({(type(value), value) for value in self.values}) != len(self.values):
            raise ValueError(f"{self.name}: a value is listed twice")
        if self.rows - self.nulls != sum(self.counts) + self.other:
            raise ValueError(f"{self.name}: counts and other must sum to the rows that have a value")

    @property
    def total(self) -> int:
        """Return how many rows have a value."""
        return sum(self.counts) + self.other


Reference = NumericReference | CategoricalReference


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceProfile:
    """The inputs of a model in its training rows, and what it answered on the rows it was evaluated on.

    *columns* follow the order of the model's inputs. *outputs* carry the names of the signature's outputs: ``label``,
    ``value`` or ``cluster``; a classifier with probabilities has ``MAX_PROBABILITY`` (numeric, 0 to 1) besides.
    """

    rows: int  #: training rows
    columns: tuple[Reference, ...]  #: one per input of the model
    outputs: tuple[Reference, ...] = ()  #: one per output, on *their* ``rows``

    def __post_init__(self) -> None:
        for group in (self.columns, self.outputs):
            names = [reference.name for reference in group]
            if len(set(names)) != len(names):
                raise ValueError(f"a name is listed twice: {', '.join(names)}")

    def column(self, name: str) -> Reference:
        """Return the reference of the input column *name*. Raises KeyError."""
        return _named(self.columns, name)

    def output(self, name: str) -> Reference:
        """Return the reference of the output *name*. Raises KeyError."""
        return _named(self.outputs, name)


def _named(references: tuple[Reference, ...], name: str) -> Reference:
    for reference in references:
        if reference.name == name:
            return reference
    raise KeyError(f"{name!r}; there are: {', '.join(reference.name for reference in references) or 'none'}")


def _check_rows(name: str, *counts: int) -> None:
    if any(count < 0 for count in counts):
        raise ValueError(f"{name}: a count is negative")
