"""Arrow streams as bodies: the same verdicts as rows, and nothing but refusals for what is damaged or hostile."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.signature import Field, Signature
from filiera.serving import arrow_bodies
from filiera.serving.arrow_bodies import MEDIA_TYPE
from filiera.serving.batch import Batch
from filiera.serving.columns import ColumnDecoder
from filiera.serving.problem import Problem, RequestRefused
from filiera.serving.records import RowDecoder
from filiera.serving.served_model import request_body
from tests.serving.offers import GOOD, SIGNATURE, post, service, talk
from tests.serving.signatures import OUTPUT, rows_of, signatures

ROWS = [GOOD, {**GOOD, "duration": 90, "rate": None}]


def stream(table: Any, **options: Any) -> bytes:
    """Return a table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write(table)
    return bytes(sink.getvalue())


def signature_of(*inputs: Field, max_rows: int = 40) -> Signature:
    return Signature(task="regression", inputs=inputs, outputs=(OUTPUT,), max_rows=max_rows)


def read(signature: Signature, body: bytes) -> Batch:
    return arrow_bodies.read(ColumnDecoder(signature), body)


def refusal(signature: Signature, body: bytes) -> Problem:
    with pytest.raises(RequestRefused) as caught:
        read(signature, body)
    return caught.value.problem


def verdict(act: Callable[[], Batch]) -> dict[str, list[Any]] | Problem:
    try:
        return act().frame().to_dict(as_series=False)
    except RequestRefused as refused:
        return refused.problem


STRANGE = st.sampled_from(
    [
        pa.array([True, False, None, True, False]),
        pa.array([1, -1, 300, None, 2**62]),
        pa.array([0.5, None, -1e300, 3.0, 7.0]),
        pa.array(["a", None, "", "2026-01-31", "x" * 9]),
        pa.array([None] * 5),
    ]
)


@given(data=st.data())
def test_tables_and_rows_get_the_same_verdict(data: st.DataObject) -> None:
    """For any signature, a table is taken and refused as its rows are, in one batch or several."""
    signature = data.draw(signatures())
    height = data.draw(st.integers(1, signature.max_rows + 1))
    rows = data.draw(st.lists(rows_of(signature), min_size=height, max_size=height))
    columns: dict[str, Any] = {}
    for field in signature.inputs:
        if all(field.name in row for row in rows):
            values = [row[field.name] for row in rows]
            kind = {"bool": pa.bool_(), "uint64": pa.uint64()}.get(field.type)
            is_text = field.type in ("string", "date", "timestamp")
            columns[field.name] = pa.array(values, pa.string() if is_text else kind)
    if data.draw(st.booleans()):
        columns[data.draw(st.sampled_from(signature.inputs)).name] = data.draw(STRANGE).slice(0, height)
    table = pa.table(columns)
    if table.num_rows == 0:
        return
    expected = verdict(lambda: RowDecoder(signature).decode(request_body(table.to_pylist())))
    assert verdict(lambda: read(signature, stream(table))) == expected
    parts = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert verdict(lambda: read(signature, stream(parts))) == expected


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["tcp", None, "udp"]),
        pa.array(["tcp", None, "udp"], pa.large_string()),
        pa.array(["tcp", None, "udp"], pa.string_view()),
        pa.array(["tcp", None, "udp"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["tcp", None, "udp"])),
    ],
)
def test_texts_come_in_any_of_their_types(column: Any) -> None:
    """Plain, large, as views, or as categories."""
    signature = signature_of(Field(name="x", type="string", nullable=True, values=("tcp", "udp")))
    assert read(signature, stream(pa.table({"x": column}))).frame()["x"].to_list() == ["tcp", None, "udp"]


@pytest.mark.parametrize(
    ("kind", "column", "expected"),
    [
        ("date", pa.array([dt.date(2026, 1, 31), None]), [dt.date(2026, 1, 31), None]),
        ("date", pa.array([dt.date(2026, 1, 31), None], pa.date64()), [dt.date(2026, 1, 31), None]),
        ("timestamp", pa.array([1, None], pa.timestamp("ms")), [dt.datetime(1970, 1, 1, 0, 0, 0, 1000), None]),
        ("timestamp", pa.array([1, None], pa.timestamp("s", "Europe/Rome")), [dt.datetime(1970, 1, 1, 0, 0, 1), None]),
        ("timestamp", pa.array(["1970-01-01T01:00:00+01:00", None]), [dt.datetime(1970, 1, 1), None]),
    ],
)
def test_dates_and_times_are_understood(kind: Any, column: Any, expected: list[Any]) -> None:
    """In every unit; times without a zone are UTC."""
    signature = signature_of(Field(name="x", type=kind, nullable=True))
    assert read(signature, stream(pa.table({"x": column}))).frame()["x"].to_list() == expected


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("date", pa.array([2**30], pa.int32()).view(pa.date32())),
        ("timestamp", pa.array([2**62], pa.timestamp("us"))),
        ("timestamp", pa.array([dt.date(2026, 1, 31)])),
        ("date", pa.array([0], pa.timestamp("us"))),
        ("string", pa.array([b"x"])),
        ("float64", pa.array([[1.0]])),
        ("float64", pa.array([{"a": 1.0}])),
        ("float64", pa.array([1], pa.decimal128(5))),
        ("int8", pa.array([1.5])),
        ("float64", pa.array([float("inf")])),
    ],
)
def test_values_of_other_types_are_refused_by_place(kind: Any, column: Any) -> None:
    """No year that a calendar lacks, no list, no decimal."""
    problem = refusal(signature_of(Field(name="x", type=kind)), stream(pa.table({"x": column})))
    assert (problem.kind, [error.at for error in problem.errors]) == ("invalid-rows", ["instances[0].x"])


FLOATS = signature_of(*(Field(name=name, type="float64", nullable=name == "b") for name in "abc"))


def test_a_table_of_numbers_is_not_copied_value_by_value() -> None:
    """Columns in any order, nulls of nullable inputs as NaN; a copy would not share the memory of the body."""
    table = pa.table({"c": [5.0, 6.0], "a": [1.0, 2.0], "b": [3.0, None]})
    assert read(FLOATS, stream(table)).frame().rows() == [(1.0, 3.0, 5.0), (2.0, None, 6.0)]
    assert refusal(FLOATS, stream(pa.table({"a": [None, 1.0], "b": [1.0, 1.0], "c": [1.0, 1.0]}))).errors[0].at == (
        "instances[0].a"
    )
    body = stream(pa.table({"x": np.arange(8.0), "y": np.arange(8)}))
    batch = read(signature_of(Field(name="x", type="float64"), Field(name="y", type="int64")), body)
    memory = np.frombuffer(body, dtype=np.uint8)
    assert all(np.shares_memory(memory, np.asarray(column)) for column in batch.columns)


def test_a_frame_of_polars_is_taken_as_it_writes_itself() -> None:
    """Views, categories and enums too."""
    frame = pl.DataFrame({"s": ["a", "b"], "c": ["x", "y"], "e": ["x", "y"]}).with_columns(
        pl.col("c").cast(pl.Categorical), pl.col("e").cast(pl.Enum(["x", "y"]))
    )
    file = io.BytesIO()
    frame.write_ipc_stream(file)
    signature = signature_of(*(Field(name=name, type="string") for name in "sce"))
    assert read(signature, file.getvalue()).frame().rows() == [("a", "x", "x"), ("b", "y", "y")]


def test_what_could_grow_is_refused_before_it_does() -> None:
    """Compressed buffers, more rows than a request may have, and texts that all lie at the same place."""
    signature = signature_of(Field(name="x", type="float64"))
    table = pa.table({"x": np.zeros(30)})
    for codec in ("zstd", "lz4"):
        assert refusal(signature, stream(table, compression=codec)).kind == "encoded-body"
    assert refusal(signature, stream(pa.table({"x": np.zeros(41)}))).kind == "too-many-rows"
    nulls = stream(pa.table({"x": pa.nulls(1000)})).replace((1000).to_bytes(8, "little"), (2**40).to_bytes(8, "little"))
    assert refusal(signature, nulls).kind == "too-many-rows"
    assert refusal(signature, stream(table.slice(0, 0))).kind == "invalid-rows"
    text = pa.py_buffer(b"x" * 4_000_000)
    view = np.array([4_000_000, int.from_bytes(b"xxxx", "little"), 0, 0] * 40, dtype=np.int32)
    views = pa.Array.from_buffers(pa.string_view(), 40, [None, pa.py_buffer(view), text])
    assert refusal(signature_of(Field(name="x", type="string")), stream(pa.table({"x": views}))).kind == (
        "body-too-large"
    )
    coded = pa.DictionaryArray.from_arrays(pa.array([0] * 40), pa.array(["x" * 4_000_000]))
    column = read(signature_of(Field(name="x", type="string")), stream(pa.table({"x": coded}))).columns[0]
    assert len({id(value) for value in column}) == 1


def test_columns_are_named_once_and_known() -> None:
    """As the fields of a row."""
    twice = pa.Table.from_arrays([pa.array([1.0]), pa.array([1.0])], ["x", "x"])
    signature = signature_of(Field(name="x", type="float64"))
    assert [error.at for error in refusal(signature, stream(twice)).errors] == ["columns.x"]
    unknown = refusal(signature, stream(pa.table({"x": [1.0], "__index_level_0__": [0]})))
    assert [(error.at, error.rule) for error in unknown.errors] == [
        ("instances[0].__index_level_0__", "is not a field of this model")
    ]


GOOD_STREAM = stream(pa.table({name: [row[name] for row in ROWS] for name in GOOD}))


@given(data=st.data())
def test_nothing_but_a_refusal_comes_of_a_damaged_stream(data: st.DataObject) -> None:
    """Some bytes changed, cut off or put in: taken or refused."""
    damaged = bytearray(GOOD_STREAM)
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=6)):
        damaged[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    verdict(lambda: read(SIGNATURE, bytes(damaged[:end]) + data.draw(st.binary(max_size=8))))


@given(body=st.binary(max_size=200))
def test_nothing_but_a_refusal_comes_of_other_bytes(body: bytes) -> None:
    """Whatever is sent under the name of Arrow."""
    assert isinstance(verdict(lambda: read(SIGNATURE, body)), Problem)


def ask(body: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return talk(service(), lambda client: client.post("/v1/models/flows:predict", content=body, headers=named))


def test_tables_get_the_answers_that_records_get() -> None:
    """As a table, its columns those of the JSON answer; or as JSON, whichever is asked for."""
    expected = [{**each, "id": None} for each in post(service(), ROWS).json()["predictions"]]
    answer = ask(GOOD_STREAM, content_type=MEDIA_TYPE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPE)
    table = pa.ipc.open_stream(answer.content).read_all()
    assert [{**each, "id": None} for each in table.to_pylist()] == expected
    assert table.schema.metadata == {b"model": b"flows", b"version": b"3"}
    assert {len(each) for each in table["id"].to_pylist()} == {26}
    as_json = ask(GOOD_STREAM, content_type=MEDIA_TYPE, accept="application/json")
    assert [{**each, "id": None} for each in as_json.json()["predictions"]] == expected
    rows = json.dumps({"instances": ROWS}).encode()
    as_table = ask(rows, content_type="application/json", accept=MEDIA_TYPE)
    assert len(pa.ipc.open_stream(as_table.content).read_all()) == 2


def test_without_pyarrow_a_service_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; JSON works without."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    answer = ask(GOOD_STREAM, content_type=MEDIA_TYPE)
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:filiera:problem:media-type")
    assert "filiera[arrow]" in answer.json()["detail"]
