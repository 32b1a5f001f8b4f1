"""Arrow IPC streams as bodies: a table of rows in, a table of predictions out.

Columns are read where they lie. What a stream says of itself is looked at before anything is allocated for it: rows are
counted, and compressed buffers, which may be small and become large, are refused. Then its buffers are validated, for
the offsets in them are the caller's.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.batch import Batch
from filiera.serving.columns import ColumnDecoder, Given, moments
from filiera.serving.contract import ModelContract
from filiera.serving.problem import Problem, RequestRefused, RowError, invalid_rows, place_of

if TYPE_CHECKING:
    from filiera.serving.served_model import Predictions

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
_HEADER_TYPE, _HEADER = 1, 2  # fields of Message, by their place in Arrow's Message.fbs
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # kinds of header
_DICTIONARY_DATA = 1  # field of DictionaryBatch
_ROWS, _COMPRESSION = 0, 3  # fields of RecordBatch
_VIEW_BYTES = 16  # length, then the text or where it is
_MAX_TEXT_BYTES = 64 * 1024 * 1024
_STRANGE = object()
"""Stands for a value of a type that no field has."""


def read(decoder: ColumnDecoder, body: bytes) -> Batch:
    """Return the rows of an Arrow IPC stream.

    Raises:
        RequestRefused: With status 400 (no such stream, or damaged), 413 (too many rows), 415 (compressed, or
            pyarrow is not installed) or 422 (breaks the signature).
    """
    pyarrow = _pyarrow()
    try:
        decoder.check_height(_counted_rows(pyarrow, body))
        options = pyarrow.ipc.IpcReadOptions(use_threads=False)
        with pyarrow.ipc.open_stream(pyarrow.py_buffer(body), options=options) as reader:
            batches = list(reader)
        for batch in batches:
            batch.validate(full=True)
        return _batch(decoder, pyarrow, reader.schema, batches)
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, struct.error) as error:
        detail = f"It is damaged, or uses what no table of a model needs ({type(error).__name__})."
        raise RequestRefused(Problem(kind="not-arrow", detail=detail)) from None


def write(contract: ModelContract, predictions: Predictions) -> bytes:
    """Return *predictions* as an Arrow IPC stream: the columns of the JSON answer, probabilities as a struct.

    Its schema's metadata has ``model`` and ``version``.
    """
    pyarrow = _pyarrow()
    columns: dict[str, Any] = {"id": pyarrow.array(predictions.ids, pyarrow.string())}
    for output, values in zip(predictions.promised, predictions.outputs, strict=True):
        key = ANSWER_KEYS[output.semantics]
        if output.semantics == "probability":
            names = [label_key(label) for label in output.labels]
            columns[key] = pyarrow.StructArray.from_arrays([pyarrow.array(each) for each in values.T], names)
        else:
            columns[key] = pyarrow.array(values.tolist() if values.dtype.kind in "OU" else values)
    table = pyarrow.RecordBatch.from_pydict(
        columns, metadata={"model": contract.name, "version": str(contract.version)}
    )
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        detail = "This service has no pyarrow (pip install 'filiera[arrow]'); send application/json."
        raise RequestRefused(Problem(kind="media-type", detail=detail)) from error
    return pyarrow


def _counted_rows(pyarrow: Any, body: bytes) -> int:
    """Return how many rows a stream says it has. Raises RequestRefused for compressed buffers."""
    rows = 0
    for message in pyarrow.ipc.MessageReader.open_stream(pyarrow.py_buffer(body)):
        header = _Table.root(memoryview(message.metadata))
        kind = header.number(_HEADER_TYPE, "<B")
        if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
            continue
        batch = header.table(_HEADER)
        if kind == _DICTIONARY_BATCH:
            batch = batch.table(_DICTIONARY_DATA)
        if batch.has(_COMPRESSION):
            raise RequestRefused(Problem(kind="encoded-body", detail="Write the stream without compression."))
        if kind == _RECORD_BATCH:
            rows += batch.number(_ROWS, "<q")
    return rows


class _Table:
    """A table of a FlatBuffer, as far as Arrow's verifier has let it pass."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - struct.unpack_from("<i", data, at)[0]
        self._vtable_bytes = struct.unpack_from("<H", data, self._vtable)[0]

    @classmethod
    def root(cls, data: memoryview) -> _Table:
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def has(self, field: int) -> bool:
        return self._place(field) is not None

    def number(self, field: int, code: str) -> int:
        """Return a number; 0 when it is left out."""
        place = self._place(field)
        return 0 if place is None else int(struct.unpack_from(code, self._data, place)[0])

    def table(self, field: int) -> _Table:
        place = self._place(field)
        if place is None:
            raise ValueError("a table is left out")
        return _Table(self._data, place + struct.unpack_from("<I", self._data, place)[0])

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry >= self._vtable_bytes:
            return None
        offset: int = struct.unpack_from("<H", self._data, self._vtable + entry)[0]
        return self._at + offset if offset else None


def _batch(decoder: ColumnDecoder, pyarrow: Any, schema: Any, batches: Sequence[Any]) -> Batch:
    twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
    if twice:
        raise invalid_rows([RowError(at=place_of("columns", name), rule="is given more than once") for name in twice])
    if len(batches) == 1:
        matrix = _try_matrix(decoder, pyarrow, batches[0])
        if matrix is not None:
            return decoder.of_matrix(matrix)
    table = pyarrow.Table.from_batches(batches, schema).combine_chunks()
    given = {name: _given(pyarrow, each.chunk(0)) for name, each in zip(schema.names, table.columns, strict=True)}
    return decoder.batch(given, table.num_rows)


def _try_matrix(decoder: ColumnDecoder, pyarrow: Any, batch: Any) -> Any:
    """Return all columns in the signature's order as one array, where they are floats of the type of all inputs."""
    if decoder.matrix_type not in ("float32", "float64") or set(batch.schema.names) != set(decoder.names):
        return None
    kind = pyarrow.from_numpy_dtype(decoder.matrix_type)
    if any(field.type != kind for field in batch.schema):
        return None
    return batch.select(list(decoder.names)).to_tensor(null_to_nan=True, row_major=False).to_numpy()


def _given(pyarrow: Any, column: Any) -> Given:
    types, kind = pyarrow.types, column.type
    if types.is_dictionary(kind):
        return _coded(pyarrow, column)
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return Given(values=_numbers(column), missing=_missing(column))
    if types.is_date32(kind) or types.is_date64(kind) or types.is_timestamp(kind):
        return Given(values=_with_none(_times(pyarrow, column), _missing(column)))
    if types.is_string_view(kind):
        _check_views(column)
        return Given(values=column.to_pylist())
    if types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind):
        return Given(values=column.to_pylist())
    return Given(values=[None if is_null else _STRANGE for is_null in column.is_null().to_pylist()])


def _coded(pyarrow: Any, column: Any) -> Given:
    """Return values of a dictionary: each of its words is made once, however often it stands in a row."""
    words = _given(pyarrow, column.dictionary)
    listed: Any = words.values if isinstance(words.values, Sequence) else words.values.tolist()
    missing = _missing(column)
    if words.missing is not None:
        listed = _with_none(listed, words.missing)
    return Given(values=_with_none([listed[code] for code in _numbers(column.indices).tolist()], missing))


def _check_views(column: Any) -> None:
    """Raise RequestRefused for texts that together are large: they may all lie at the same place."""
    import numpy as np

    views = np.frombuffer(column.buffers()[1], dtype=np.int32).reshape(-1, _VIEW_BYTES // 4)
    if int(views[column.offset : column.offset + len(column), 0].sum(dtype=np.int64)) > _MAX_TEXT_BYTES:
        detail = f"Texts of one column have at most {_MAX_TEXT_BYTES} bytes."
        raise RequestRefused(Problem(kind="body-too-large", detail=detail))


def _numbers(column: Any) -> Any:
    """Return the values as an array, with anything where one is missing."""
    filled = column.fill_null(False if str(column.type) == "bool" else 0) if column.null_count else column
    return filled.to_numpy(zero_copy_only=False)


def _missing(column: Any) -> Any:
    return column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None


def _times(pyarrow: Any, column: Any) -> list[Any]:
    types = pyarrow.types
    if types.is_timestamp(column.type):
        return moments("timestamp", column.type.unit, _numbers(column.view(pyarrow.int64())))
    if types.is_date32(column.type):
        return moments("date", "D", _numbers(column.view(pyarrow.int32())))
    return moments("date", "ms", _numbers(column.view(pyarrow.int64())))


def _with_none(values: Sequence[Any], missing: Any) -> Sequence[Any]:
    if missing is None:
        return values
    return [None if is_missing else value for value, is_missing in zip(values, missing.tolist(), strict=True)]
