"""What passes between a surface and a model: rows as columns in, one array per output out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from filiera.core.signature import Field, FieldType
from filiera.core.value import dataclass

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Rows of one or several requests, checked against the signature, as columns in its order.

    Dates are ``date``; times are ``datetime`` in UTC without an offset.
    """

    fields: tuple[Field, ...]
    columns: tuple[Column, ...]
    height: int  #: rows

    @classmethod
    def of_frame(cls, fields: Sequence[Field], frame: pl.DataFrame) -> Batch:
        """Return the columns of *frame* that *fields* name, in their order."""
        columns = tuple(frame[field.name].to_list() for field in fields)
        return cls(fields=tuple(fields), columns=columns, height=frame.height)

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


def polars_type(kind: FieldType) -> pl.DataType:
    """Return the polars type of a column. Times are UTC in microseconds, without a zone."""
    import polars as pl

    if kind == "timestamp":
        return pl.Datetime("us")
    found: pl.DataType = getattr(pl, _POLARS_NAMES.get(kind, kind.capitalize()))()
    return found
