"""Arrow tables as Arrow IPC files, memory-mapped without a copy when they are large."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from filiera.adapters.codecs.mapping import content
from filiera.adapters.codecs.refusal import is_loaded, reading, unreadable, unstorable, watched
from filiera.ports import ArtifactReader, ArtifactWriter

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1 << 17
"""Rows in one record batch: part of the format, because it decides the bytes."""

_ONE_BATCH = b"filiera.record_batch"


class ArrowCodec:
    """``pyarrow.Table`` and ``pyarrow.RecordBatch``. Equal tables get equal bytes, however they were chunked."""

    name = "arrow-table/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "pyarrow", "Table", "RecordBatch")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        import pyarrow as pa

        table = value
        if isinstance(value, pa.RecordBatch):
            marked = {**(value.schema.metadata or {}), _ONE_BATCH: b""}
            table = pa.Table.from_batches([value]).replace_schema_metadata(marked)
        try:
            write_table(table, writer)
        except (pa.ArrowException, NotImplementedError) as error:
            raise unstorable(value, why=str(error), do="Convert the columns to types that Arrow IPC has.") from error

    def decode(self, reader: ArtifactReader) -> pa.Table | pa.RecordBatch:
        import pyarrow as pa

        table = read_table(reader, self.name)
        metadata = dict(table.schema.metadata or {})
        if metadata.pop(_ONE_BATCH, None) is None:
            return table
        table = table.replace_schema_metadata(metadata or None).combine_chunks()
        batches = table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]
        return batches[0]


def write_table(table: pa.Table, writer: ArtifactWriter) -> None:
    """Write *table* in batches of a fixed number of rows, without what a computation left under nulls.

    Raises:
        pyarrow.ArrowException: Arrow IPC cannot hold one of the types.
        OSError: The stream failed.
    """
    import pyarrow as pa

    table = table.unify_dictionaries()
    with (
        watched(writer.stream) as stream,
        pa.ipc.new_file(pa.PythonFile(stream, mode="w"), table.schema) as file,
    ):
        for batch in _batches(table):
            file.write_batch(batch)


def read_table(reader: ArtifactReader, codec: str) -> pa.Table:
    """Return the table: its columns are the artifact's bytes, mapped if they are many. Raises CodecError."""
    import pyarrow as pa

    found = content(reader)
    with reading(codec):
        try:
            source = pa.py_buffer(found) if isinstance(found, bytes) else pa.memory_map(str(found))
            table = pa.ipc.open_file(source).read_all()
            table.validate()
        except OSError as error:
            raise unreadable(codec, error) from error
    return table


def _batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for start in range(0, table.num_rows, BATCH_ROWS):
        rows = table.slice(start, BATCH_ROWS)
        columns = [_rebuilt(_one_array(column)) for column in rows.columns]
        yield pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _rebuilt(array: pa.Array) -> pa.Array:
    """Return an equal array whose buffers depend on its values alone, without a copy where there is nothing to lose."""
    import pyarrow as pa

    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(kind, _rebuilt(array.storage))
    if pa.types.is_struct(kind) and kind.num_fields:
        fields = [_rebuilt(field) for field in array.flatten()]
        return pa.StructArray.from_arrays(fields, fields=list(kind), mask=array.is_null() if array.null_count else None)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lists = array.take(_rows(array))
        return type(lists).from_arrays(
            lists.offsets, _rebuilt(lists.values), type=kind, mask=array.is_null() if array.null_count else None
        )
    if array.null_count == 0 and _is_flat(kind):
        return array
    return array.take(_rows(array))


def _is_flat(kind: pa.DataType) -> bool:
    """Tell whether slicing an array without nulls leaves just its values (bits and views need more than slicing)."""
    import pyarrow as pa

    numbers = pa.types.is_primitive(kind) and not pa.types.is_boolean(kind)
    offsets = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return numbers or offsets or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_decimal(kind)


def _rows(array: pa.Array) -> pa.Array:
    """Return the row numbers of *array*, null where it is null: taking no row writes zeros."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = _all_rows().slice(0, len(array)) if len(array) <= BATCH_ROWS else pa.array(range(len(array)), pa.int64())
    return rows if array.null_count == 0 else pc.if_else(array.is_valid(), rows, pa.scalar(None, pa.int64()))


@functools.cache
def _all_rows() -> pa.Array:
    import pyarrow as pa

    return pa.array(range(BATCH_ROWS), pa.int64())
