"""What passes between a surface and a model: rows in, one array per output out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from filiera.core.signature import Field, FieldType
from filiera.serving.answer_cache import key_of

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

Column: TypeAlias = "Sequence[Any] | np.ndarray[Any, Any]"
"""Values of one field: a list of Python values with None for missing ones, or a NumPy array of its type, in which NaN
is missing; times only as a list."""

Outputs: TypeAlias = "tuple[np.ndarray[Any, Any], ...]"
"""One array per output of the signature, in its order, each with one entry per row; probabilities have one column per
label, in the order of the labels."""

_POLARS_NAMES: Mapping[FieldType, str] = {
    "bool": "Boolean", "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
}  # fmt: skip


class Batch:
    """Rows of one or several requests, checked against the signature.

    It holds columns, or rows until somebody asks for columns: to join a few rows of JSON and to turn them into a matrix
    costs a tenth of what their columns would. Dates are ``date``; times are ``datetime`` in UTC without an offset.
    """

    __slots__ = ("_columns", "_matrix", "_rows", "deadline_s", "fields", "height", "source")

    def __init__(self, *, fields: Sequence[Field], columns: Sequence[Column], height: int) -> None:
        """Take *columns*, each with *height* values, in the order of *fields*."""
        self.fields = tuple(fields)
        self.height = height  #: rows
        self.source: bytes | None = None  #: the JSON that says no more and no less than these rows, if there is one
        self.deadline_s = math.inf  #: of ``time.perf_counter``: a later answer is of no use to anybody
        self._columns: Sequence[Column] | None = columns
        self._rows: Sequence[Sequence[Any]] | None = None
        self._matrix: np.ndarray[Any, Any] | None = None

    @classmethod
    def of_rows(cls, fields: tuple[Field, ...], rows: Sequence[Sequence[Any]], source: bytes | None = None) -> Batch:
        """Return *rows*, each with one value for each of *fields*."""
        made = cls.__new__(cls)
        made.fields, made.height, made._columns, made._rows, made.source = fields, len(rows), None, rows, source
        made._matrix, made.deadline_s = None, math.inf
        return made

    @classmethod
    def of_frame(cls, fields: Sequence[Field], frame: pl.DataFrame) -> Batch:
        """Return the columns of *frame* that *fields* name, in their order."""
        columns = tuple(frame[field.name].to_list() for field in fields)
        return cls(fields=tuple(fields), columns=columns, height=frame.height)

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """Return the rows of all *batches* of one signature, in their order."""
        first = batches[0]
        if len(batches) == 1:
            return first
        if all(batch._rows is not None for batch in batches):
            made = cls.of_rows(first.fields, list(chain.from_iterable(batch._rows or () for batch in batches)))
        else:
            columns = [_joined(parts) for parts in zip(*(batch.columns for batch in batches), strict=True)]
            made = cls(fields=first.fields, columns=columns, height=sum(batch.height for batch in batches))
        made.deadline_s = max([batch.deadline_s for batch in batches])
        return made

    @classmethod
    def of_matrix(cls, fields: tuple[Field, ...], matrix: np.ndarray[Any, Any]) -> Batch:
        """Return the rows of *matrix*, shape ``(height, len(fields))``, of the type that all *fields* have."""
        made = cls(fields=fields, columns=tuple(matrix.T), height=len(matrix))
        made._matrix = matrix
        return made

    @property
    def is_columnar(self) -> bool:
        """Tell whether it was made of columns."""
        return self._rows is None

    @property
    def columns(self) -> Sequence[Column]:
        """Return one column per field, in their order."""
        if self._columns is None:
            assert self._rows is not None
            self._columns = list(zip(*self._rows, strict=True))
        return self._columns

    def column(self, index: int) -> Column:
        """Return one column."""
        if self._columns is None and self._rows is not None:
            return [row[index] for row in self._rows]
        return self.columns[index]

    def key(self) -> bytes:
        """Return a digest of the values, the same whatever JSON they came as; rows and columns have different ones."""
        if self._rows is not None:
            return key_of(b"rows", msgspec.msgpack.encode(self._rows))
        return key_of(b"columns", *(_packed(column) for column in self.columns))

    def part(self, start: int, stop: int) -> Batch:
        """Return the rows from *start* to before *stop*."""
        if self._rows is not None:
            return Batch.of_rows(self.fields, self._rows[start:stop])
        columns = [column[start:stop] for column in self.columns]
        return Batch(fields=self.fields, columns=columns, height=min(stop, self.height) - start)

    def filled(self, name: str, value: Any) -> Batch:
        """Return the rows with *value* where that of the field *name* is missing."""
        place = [field.name for field in self.fields].index(name)
        columns = list(self.columns)
        columns[place] = [value if old is None or old != old else old for old in columns[place]]
        return Batch(fields=self.fields, columns=columns, height=self.height)

    def matrix(self, order: Sequence[int] | None = None) -> np.ndarray[Any, Any]:
        """Return columns of numbers as float64, shape ``(height, columns)``, missing values as NaN.

        Args:
            order: Positions of the columns; None: all as they are.
        """
        import numpy as np

        if self._matrix is not None and (order is None or list(order) == list(range(len(self.fields)))):
            return self._matrix.astype(np.float64, copy=False)
        if self._rows is None:
            places = range(len(self.fields)) if order is None else order
            return np.column_stack([np.asarray(self.columns[place], dtype=np.float64) for place in places])
        if order is None:
            return np.array(self._rows, dtype=np.float64)
        return np.array([[row[place] for place in order] for row in self._rows], dtype=np.float64)

    def frame(self) -> pl.DataFrame:
        """Return the rows as a table with the signature's types, missing values as nulls."""
        import polars as pl

        pairs = zip(self.fields, self.columns, strict=True)
        return pl.DataFrame(
            {
                field.name: pl.Series(values=values, dtype=polars_type(field.type), strict=True, nan_to_null=True)
                for field, values in pairs
            }
        )


def _packed(column: Column) -> bytes:
    dtype = getattr(column, "dtype", None)
    if dtype is None or dtype.hasobject:
        return msgspec.msgpack.encode(list(column))
    return key_of(str(dtype).encode(), column.tobytes())  # type: ignore[union-attr]


def polars_type(kind: FieldType) -> pl.DataType:
    """Return the polars type of a column. Times are UTC in microseconds, without a zone."""
    import polars as pl

    if kind == "timestamp":
        return pl.Datetime("us")
    found: pl.DataType = getattr(pl, _POLARS_NAMES.get(kind, kind.capitalize()))()
    return found


def together(parts: Sequence[Outputs]) -> Outputs:
    """Return the answers to several batches as those to one."""
    import numpy as np

    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def _joined(parts: Sequence[Column]) -> Column:
    if any(isinstance(part, (list, tuple)) for part in parts):
        # What is missing is None in a list, and NaN in an array.
        return [None if value != value else value for part in parts for value in part]
    import numpy as np

    return np.concatenate([np.asarray(part) for part in parts])
