"""Types of the columns that transforms read, and one form for their values, the same in a frame and in a single row.

NaN counts as missing. Texts are strings, times are UTC in microseconds without a zone, as a service hands them over.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from filiera.core.signature import FIELD_TYPES, FieldType
from filiera.core.value import dataclass
from filiera.errors import UsageError

Value = str | int | float | bool | dt.date | dt.datetime
"""What a cell may hold besides null."""

_TYPES: Mapping[type[pl.DataType], FieldType] = {getattr(pl, name): kind for name, kind in FIELD_TYPES.items()}
_POLARS: Mapping[FieldType, pl.DataType] = {
    **{kind: found() for found, kind in _TYPES.items() if kind not in ("string", "timestamp")},
    "string": pl.String(),
    "timestamp": pl.Datetime("us"),
}
_BITS = {kind: int(kind.lstrip("uint")) for kind in _POLARS if "int" in kind}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column as transforms know it."""

    name: str
    type: FieldType


def polars_type(kind: FieldType) -> pl.DataType:
    """Return the polars type of a column of this type."""
    return _POLARS[kind]


def column_type(name: str, dtype: pl.DataType) -> FieldType:
    """Return the type of a column. Raises UsageError for one that transforms do not take."""
    kind = _TYPES.get(dtype.base_type())
    if kind is None:
        raise UsageError(
            f"Column {name!r} has type {dtype}, which transforms do not take.",
            why="They take booleans, integers up to 64 bits, 32- and 64-bit floats, texts, dates and times.",
            do="Cast the column before.",
        )
    return kind


def is_number(kind: FieldType) -> bool:
    """Tell whether values of this type are integers or floats."""
    return kind in _BITS or kind.startswith("float")


def canonical(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Return the expression that gives the values of a column that has *dtype* in their one form.

    Raises:
        UsageError: The column holds something else than when the transforms were fitted.

    >>> rows = pl.DataFrame({"a": [1.0, float("nan")]})
    >>> rows.select(canonical(Column(name="a", type="float64"), rows.schema["a"])).rows()
    [(1.0,), (None,)]
    """
    found = pl.col(column.name)
    if dtype == pl.Null:
        return found.cast(polars_type(column.type))
    kind = _TYPES.get(dtype.base_type())
    if kind is None or not _fits(kind, column.type):
        raise UsageError(
            f"Column {column.name!r} has type {dtype}; the transforms were fitted on {column.type}.",
            do="Give the rows the types that the training rows had.",
        )
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        found = found.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    found = found.cast(polars_type(column.type))
    return found.fill_nan(None) if column.type.startswith("float") else found


def _fits(kind: FieldType, wanted: FieldType) -> bool:
    """Tell whether every value of one type is a value of another."""
    if kind == wanted or (wanted == "float64" and is_number(kind)):
        return True
    if kind not in _BITS or wanted not in _BITS:
        return False
    grows = _BITS[kind] < _BITS[wanted]
    return grows and (kind.startswith("u") or not wanted.startswith("u"))


def reader(column: Column) -> Callable[[Any], Any]:
    """Return the function that gives one value of a column in its one form; it raises UsageError for other types.

    >>> reader(Column(name="a", type="float64"))(3), reader(Column(name="a", type="float64"))(float("nan"))
    (3.0, None)
    """
    is_right, convert = _READERS[column.type]

    def read(value: Any) -> Any:
        if value is None:
            return None
        if not is_right(value):
            raise UsageError(
                f"Column {column.name!r} has {value!r}; the transforms were fitted on {column.type}.",
                do="Give the row the types that the training rows had.",
            )
        return value if convert is None else convert(value)

    return read


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _is_real(value: Any) -> bool:
    return type(value) is float or type(value) is int


def _single(value: float) -> float | None:
    if value != value:
        return None
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:  # beyond the greatest float32
        return float("inf") if value > 0 else float("-inf")


def _utc(value: dt.datetime) -> dt.datetime:
    return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value


_Reader = tuple[Callable[[Any], bool], Callable[[Any], Any] | None]
_READERS: Mapping[FieldType, _Reader] = {
    "bool": (lambda value: type(value) is bool, None),
    "string": (lambda value: isinstance(value, str), None),
    "date": (lambda value: type(value) is dt.date, None),
    "timestamp": (lambda value: isinstance(value, dt.datetime), _utc),
    "float64": (_is_real, lambda value: float(value) if value == value else None),
    "float32": (_is_real, _single),
    **{
        kind: (
            _whole(0, 2**bits - 1) if kind.startswith("u") else _whole(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
            None,
        )
        for kind, bits in _BITS.items()
    },
}
