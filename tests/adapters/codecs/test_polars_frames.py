"""Polars frames and series."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.adapters.codecs import polars_frames
from filiera.adapters.codecs.polars_frames import ParquetCodec, PolarsFrameCodec, PolarsSeriesCodec
from filiera.core.digest import blob_digest
from filiera.errors import CodecError
from filiera.ports import Codec
from filiera.testing.codec import CodecContract, MemoryArtifact

pl = pytest.importorskip("polars")
parametric = pytest.importorskip("polars.testing.parametric")

TYPES = [
    pl.Int8, pl.Int64, pl.UInt32, pl.Int128, pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time,
    pl.Datetime("ms", "Europe/Rome"), pl.Duration("us"), pl.Decimal(12, 3), pl.Categorical, pl.Enum(["a", "b", "c"]),
    pl.List(pl.Int16), pl.List(pl.String), pl.List(pl.List(pl.Boolean)), pl.Array(pl.Int8, 2), pl.Array(pl.String, 1),
    pl.Struct({"a": pl.Int8, "b": pl.String}), pl.List(pl.Struct({"c": pl.Float64})),
    pl.Struct({"d": pl.List(pl.Date)}), pl.Array(pl.Array(pl.Int8, 2), 2), pl.Null,
]  # fmt: skip


def all_types() -> Any:
    return pl.DataFrame(
        {
            "int": pl.Series([1, None, -3], dtype=pl.Int8),
            "float": [1.5, float("nan"), None],
            "bool": [True, None, False],
            "text": ["così", None, "x" * 40],
            "bytes": [b"", b"\0", None],
            "day": [dt.date(2024, 2, 29), None, None],
            "when": pl.Series([1, None, 2], dtype=pl.Datetime("ns", "Europe/Rome")),
            "decimal": [Decimal("1.50"), None, Decimal("2.25")],
            "category": pl.Series(["u", None, "v"], dtype=pl.Categorical),
            "enum": pl.Series(["v", None, "u"], dtype=pl.Enum(["u", "v"])),
            "list": [[1, None], None, []],
            "array": pl.Series([[1, 2], None, [3, None]], dtype=pl.Array(pl.Int16, 2)),
            "struct": [{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}],
            "null": [None, None, None],
        }
    )


def values() -> list[Any]:
    # Global categories are numbered in order of first use; these make "u" and "v" have other numbers than in the past.
    pl.Series(["first", "v"], dtype=pl.Categorical)
    return [all_types(), pl.DataFrame(), all_types().clear(), pl.DataFrame(height=5), all_types()[1:]]


class FrameContract(CodecContract):
    def make_values(self) -> Sequence[Any]:
        return values()

    def assert_same(self, decoded: Any, original: Any) -> None:
        assert decoded.schema == original.schema
        assert decoded.shape == original.shape
        assert decoded.equals(original)

    def test_objects_are_refused(self) -> None:
        """A column of Python objects has no Arrow type: it is named, with what to do."""
        frame = pl.DataFrame({"a": [1], "things": pl.Series([object()], dtype=pl.Object)})
        with pytest.raises(CodecError, match="'things'") as caught:
            self.digest_of(frame)
        assert "drop('things')" in caught.value.do

    def test_a_query_is_refused(self) -> None:
        """A LazyFrame is not a value yet; the message says to collect it."""
        with pytest.raises(CodecError, match="collect"):
            self.digest_of(pl.LazyFrame({"a": [1]}))


class TestPolarsFrameCodec(FrameContract):
    def make_codec(self) -> Codec:
        return PolarsFrameCodec()

    def test_frames_and_queries_are_handled(self) -> None:
        """Queries are taken too, to be refused with a word on what to do."""
        assert PolarsFrameCodec().handles(pl.DataFrame())
        assert PolarsFrameCodec().handles(pl.LazyFrame())
        assert not PolarsFrameCodec().handles(pl.Series())


class TestParquetCodec(FrameContract):
    def make_codec(self) -> Codec:
        return ParquetCodec()

    def test_it_is_chosen_by_name_only(self) -> None:
        """Values between steps are Arrow; Parquet is for published datasets."""
        assert not ParquetCodec().handles(pl.DataFrame())

    def test_only_frames_are_published(self) -> None:
        """Anything else is refused with what to return."""
        with pytest.raises(CodecError, match=r"polars\.DataFrame"):
            ParquetCodec().encode([1, 2], MemoryArtifact(Path()))


class TestPolarsSeriesCodec(CodecContract):
    def make_codec(self) -> Codec:
        return PolarsSeriesCodec()

    def make_values(self) -> Sequence[Any]:
        return [*all_types(), pl.Series("empty", [], dtype=pl.Int8), pl.Series([1, 2, 3])]

    def assert_same(self, decoded: Any, original: Any) -> None:
        assert decoded.equals(original, check_dtypes=True, check_names=True)

    def test_a_frame_is_not_a_series(self, tmp_path: Path) -> None:
        """Bytes of a table with several columns are refused."""
        artifact = MemoryArtifact(tmp_path)
        PolarsFrameCodec().encode(pl.DataFrame({"a": [1], "b": [2]}), artifact)
        with pytest.raises(CodecError, match="instead of a series"):
            PolarsSeriesCodec().decode(artifact)


CODECS = [PolarsFrameCodec(), ParquetCodec()]


@pytest.fixture(scope="module")
def several_batches() -> Any:
    """Make small frames have several batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polars_frames, "BATCH_ROWS", 4)
        yield


def _digest(codec: Codec, frame: Any) -> str:
    artifact = MemoryArtifact(Path())
    codec.encode(frame, artifact)
    return blob_digest(artifact.bytes())


@given(data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.usefixtures("several_batches")
def test_equal_frames_have_equal_bytes(data: st.DataObject) -> None:
    """How a frame came about does not show: chunks, slices, what nulls hide, or a trip through the store."""
    kind = data.draw(st.sampled_from(TYPES))
    rows = parametric.series(name="x", dtype=kind, min_size=0, max_size=11, allow_null=True, allow_chunks=False)
    column, other = data.draw(rows), data.draw(rows)
    frame = column.to_frame()
    cut = data.draw(st.integers(0, len(column)))
    made_otherwise = [
        pl.concat([frame[:cut], frame[cut:]], rechunk=False),
        pl.concat([other.to_frame(), frame, other.to_frame()])[len(other) : len(other) + len(column)],
        _with_something_under_nulls(frame),
        frame.with_columns(pl.when(pl.lit(True)).then(pl.col("x")).otherwise(None)),
    ]
    for codec in CODECS:
        expected = _digest(codec, frame)
        for same in made_otherwise:
            assert same.equals(frame)
            assert _digest(codec, same) == expected


def _with_something_under_nulls(frame: Any) -> Any:
    """Return an equal frame in whose buffers other values lie where the nulls are."""
    present = frame["x"].drop_nulls()
    if not len(present):
        return frame
    mask = frame["x"].is_not_null()
    full = present.gather(mask.cum_sum().cast(pl.Int64).clip(1) - 1).to_frame()
    return full.with_columns(mask.alias("m")).select(pl.when("m").then("x").alias("x"))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
@pytest.mark.usefixtures("several_batches")
def test_any_frame_comes_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoding gives the same rows, order, names and types; a null stays a null and a NaN a NaN."""
    frame = data.draw(parametric.dataframes(max_cols=3, max_size=9, allowed_dtypes=TYPES, allow_null=True))
    for codec in CODECS:
        artifact = MemoryArtifact(tmp_path_factory.mktemp("artifact"))
        codec.encode(frame, artifact)
        decoded = codec.decode(artifact)
        assert decoded.schema == frame.schema
        assert decoded.equals(frame)


def test_nested_values_under_nulls_leave_no_trace() -> None:
    """What a null hides inside lists and structs does not count either."""
    hidden = pl.DataFrame({"v": [1, 2, 9, 3], "m": [True, True, False, True], "g": [0, 0, 1, 2]}).select(
        "g", v=pl.when("m").then("v")
    )
    lists = hidden.group_by("g", maintain_order=True).agg("v").select("v")
    structs = hidden.select(s=pl.struct("v"))
    plain_lists = pl.DataFrame({"v": [[1, 2], [None], [3]]})
    plain_structs = pl.DataFrame({"s": [{"v": 1}, {"v": 2}, {"v": None}, {"v": 3}]})
    for codec in CODECS:
        assert _digest(codec, lists) == _digest(codec, plain_lists)
        assert _digest(codec, structs) == _digest(codec, plain_structs)


def test_order_of_first_use_of_categories_does_not_count() -> None:
    """Global categories are numbered as they are first met in a process; the bytes are not."""
    frame = pl.DataFrame({"x": ["q", None, "p"]}, schema={"x": pl.Categorical(pl.Categories("one"))})
    kept = pl.Series(["p", "other", "q"], dtype=pl.Categorical(pl.Categories("two")))
    again = pl.DataFrame({"x": ["q", None, "p"]}, schema={"x": kept.dtype})
    renamed = again.select(pl.col("x").cast(pl.String).cast(pl.Categorical(pl.Categories("one"))))
    for codec in CODECS:
        assert _digest(codec, frame) == _digest(codec, renamed)
