"""Arrow tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.codecs import arrow_tables
from filiera.adapters.codecs.arrow_tables import ArrowCodec
from filiera.testing.codec import CodecContract, MemoryArtifact

pa = pytest.importorskip("pyarrow")
pc = pytest.importorskip("pyarrow.compute")


def all_types() -> Any:
    return pa.table(
        {
            "int": pa.array([1, None, 3], pa.int8()),
            "float": pa.array([1.5, float("nan"), None]),
            "bool": [True, None, False],
            "text": ["così", None, "x" * 40],
            "bytes": pa.array([b"", b"\0", None], pa.large_binary()),
            "day": [dt.date(2024, 2, 29), None, None],
            "time": pa.array([1, None, 2], pa.timestamp("ns", "Europe/Rome")),
            "decimal": [Decimal("1.50"), None, Decimal("2.25")],
            "list": [[1, None], None, []],
            "struct": [{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}],
            "fixed": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int16(), 2)),
            "category": pa.array(["u", None, "v"]).dictionary_encode(),
            "null": pa.nulls(3),
            "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32())),
        }
    )


def hidden(values: list[Any], kind: Any = None) -> Any:
    """Return the values with each None written over another value, which stays in the buffer."""
    visible = pa.array(values, kind)
    filler = next(value for value in values if value is not None)
    full = pa.array([filler if value is None else value for value in values], visible.type)
    buffers = [visible.buffers()[0], *full.buffers()[1:]]
    return pa.Array.from_buffers(full.type, len(full), buffers, null_count=visible.null_count)


class TestArrowCodec(CodecContract):
    def make_codec(self) -> ArrowCodec:
        return ArrowCodec()

    def make_values(self) -> Sequence[Any]:
        table = all_types()
        return [
            table,
            table.slice(0, 0),
            pa.table({}),
            table.replace_schema_metadata({"source": "sensor"}),
            table.to_batches()[0],
            table.slice(0, 0).combine_chunks().schema.empty_table(),
            pa.RecordBatch.from_pylist([], schema=pa.schema([("a", pa.int8())])),
        ]

    def assert_same(self, decoded: Any, original: Any) -> None:
        assert type(decoded) is type(original)
        assert decoded.schema.equals(original.schema, check_metadata=True)
        assert str(decoded.to_pylist()) == str(original.to_pylist())

    def test_chunks_do_not_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However a table was put together, equal tables get equal bytes."""
        monkeypatch.setattr(arrow_tables, "BATCH_ROWS", 4)
        table = pa.concat_tables([all_types()] * 5).combine_chunks()
        cut = pa.concat_tables([table.slice(0, 1), table.slice(1, 6), table.slice(7)])
        longer = pa.concat_tables([table, table]).combine_chunks().slice(15)
        assert table.column("int").num_chunks == 1
        assert self.digest_of(cut) == self.digest_of(table) == self.digest_of(longer)

    @pytest.mark.parametrize("values", [[1, None, 3], [1.5, None], [True, None, False]], ids=repr)
    def test_what_lies_under_a_null_does_not_count(self, values: list[Any]) -> None:
        """Values that a null hides leave no trace."""
        assert self.digest_of(pa.table({"x": hidden(values)})) == self.digest_of(pa.table({"x": values}))
        nested = pa.StructArray.from_arrays([hidden(values)], ["a"])
        assert self.digest_of(pa.table({"x": nested})) == self.digest_of(
            pa.table({"x": [{"a": value} for value in values]})
        )
        lists = pa.ListArray.from_arrays([0, len(values)], hidden(values))
        assert self.digest_of(pa.table({"x": lists})) == self.digest_of(pa.table({"x": [values]}))

    def test_decoding_maps_the_file(self, tmp_path: Path) -> None:
        """The columns of a decoded table are the file's bytes, not a copy of them."""
        before = pa.total_allocated_bytes()
        artifact = MemoryArtifact(tmp_path)
        ArrowCodec().encode(pa.table({"x": pa.array(range(100_000))}), artifact)
        table = ArrowCodec().decode(artifact)
        assert table.num_rows == 100_000
        assert pa.total_allocated_bytes() - before < table.nbytes / 2
