"""Pandas frames and series as Arrow IPC files, with their index, names and dtypes."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from filiera.adapters.codecs.arrow_tables import read_table, write_table
from filiera.adapters.codecs.refusal import is_loaded, reading, unreadable, unstorable
from filiera.ports import ArtifactReader, ArtifactWriter

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_PANDAS = b"pandas"
_SERIES = b"filiera.series"
_MISSING_IS_NAN = b"filiera.missing_is_nan"
_NAMED, _UNNAMED = b"named", b"unnamed"
_EXACT_KINDS = "biufmM"  # NumPy's numbers and times: Arrow has each of them


class PandasCodec:
    """Frames and series. Columns of Python objects are kept if Arrow has a type for them and they come back equal.

    The ``freq`` of a date index is not kept; pandas infers it when asked.
    """

    name = "pandas-arrow/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "pandas", "DataFrame", "Series")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        import pandas as pd
        import pyarrow as pa

        if type(value) not in (pd.DataFrame, pd.Series):
            raise unstorable(
                value, why="A subclass would come back as the plain class.", do="Return pd.DataFrame(value)."
            )
        is_series = isinstance(value, pd.Series)
        table = _table(value.to_frame() if is_series else value, value)
        if is_series:
            kind = _UNNAMED if value.name is None else _NAMED
            table = table.replace_schema_metadata({**table.schema.metadata, _SERIES: kind})
        try:
            write_table(table, writer)
        except (pa.ArrowException, NotImplementedError) as error:
            raise unstorable(value, why=str(error), do=_ADVICE) from error

    def decode(self, reader: ArtifactReader) -> pd.DataFrame | pd.Series[Any]:
        table = read_table(reader, self.name)
        with reading(self.name):
            kind = (table.schema.metadata or {}).get(_SERIES)
            frame = _frame(table)
        if kind is None:
            return frame
        if frame.shape[1] != 1:
            raise unreadable(self.name, f"a table of {frame.shape[1]} columns instead of a series")
        series = frame.iloc[:, 0]
        return series if kind == _NAMED else series.rename(None)


_ADVICE = (
    "Convert the column: frame[column].astype(str), .astype(float) or .astype('category'). "
    "For lists and dictionaries in a column return a Polars frame."
)


def _table(frame: pd.DataFrame, value: object) -> pa.Table:
    """Return *frame* as an Arrow table that becomes an equal frame again. Raises CodecError naming the column."""
    import pyarrow as pa

    try:
        table = pa.Table.from_pandas(frame)
        table = table.replace_schema_metadata(_metadata(table, frame))
        changed = _changed_part(frame, table)
    except (pa.ArrowException, ValueError, TypeError, NotImplementedError) as error:
        reason = ". ".join(str(part) for part in error.args)
        raise unstorable(value, why=reason, do=_ADVICE) from error
    if changed:
        raise unstorable(value, why=f"{changed} would not come back as it is.", do=_ADVICE)
    return table


def _changed_part(frame: pd.DataFrame, table: pa.Table) -> str:
    """Return which column, or the index, would come back changed, or ''."""
    width = frame.shape[1]
    index = table.select(range(width, table.num_columns)).to_pandas().index
    if not (index.equals(frame.index) and index.dtype == frame.index.dtype):
        return "The index"
    for position, name in enumerate(frame.columns):
        if not _survives(frame.iloc[:, position], table.select([position])):
            return f"Column {name!r} of dtype {frame.dtypes.iloc[position]}"
    return ""


def _survives(column: pd.Series[Any], table: pa.Table) -> bool:
    import pandas as pd
    import pyarrow as pa

    dtype = column.dtype
    if not isinstance(dtype, pd.api.extensions.ExtensionDtype) and dtype.kind in _EXACT_KINDS:
        return True
    try:
        restored = _frame(table).iloc[:, 0]
    except (TypeError, ValueError, NotImplementedError):
        return False
    if restored.dtype != dtype:
        return False
    if pd.api.types.is_object_dtype(dtype):
        # Lists would come back as NumPy arrays, and the integers of a dictionary as floats.
        nested = pa.types.is_nested(table.schema.field(0).type)
        return not nested and all(map(_is_same_object, restored, column))
    return bool(restored.array.equals(column.array))


def _is_same_object(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other or (one != one and other != other))


def _frame(table: pa.Table) -> pd.DataFrame:
    """Return *table* as a frame, with Python objects again in the columns that held them."""
    frame: pd.DataFrame = table.to_pandas()
    metadata = table.schema.metadata or {}
    missing_is_nan = json.loads(metadata.get(_MISSING_IS_NAN, b"[]"))
    columns = json.loads(metadata.get(_PANDAS, b'{"columns": []}'))["columns"]
    object_columns = {column["field_name"] for column in columns if column["numpy_type"] == "object"}
    for position, field in enumerate(table.schema.names[: frame.shape[1]]):
        if field in object_columns:
            missing = math.nan if field in missing_is_nan else None
            objects: Any = frame.iloc[:, position].astype(object)
            frame.isetitem(position, objects.where(objects.notna(), missing))
    return frame


def _metadata(table: pa.Table, frame: pd.DataFrame) -> dict[bytes, bytes]:
    """Return the table's metadata without the versions of the libraries, and with what Arrow does not tell apart."""
    described = json.loads(table.schema.metadata[_PANDAS])
    del described["creator"], described["pandas_version"]
    missing_is_nan = [
        table.schema.names[position] for position in range(frame.shape[1]) if _missing_is_nan(frame.iloc[:, position])
    ]
    return {
        **table.schema.metadata,
        _PANDAS: json.dumps(described).encode(),
        _MISSING_IS_NAN: json.dumps(missing_is_nan).encode(),
    }


def _missing_is_nan(column: pd.Series[Any]) -> bool:
    import pandas as pd

    if not pd.api.types.is_object_dtype(column.dtype):
        return False
    missing = column[column.isna()]
    return len(missing) > 0 and all(type(item) is float for item in missing)
