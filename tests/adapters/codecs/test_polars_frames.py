"""Polars frames and series."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.adapters.codecs import canonical, mapping, polars_frames
from filiera.adapters.codecs.polars_frames import PolarsFrameCodec, PolarsSeriesCodec
from filiera.adapters.codecs.table_chunks import ChunkedTableCodec
from filiera.core.digest import blob_digest
from filiera.errors import CodecError
from filiera.ports import Codec, TableCodec
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

    def test_a_stored_table_can_be_queried(self, tmp_path: Path) -> None:
        """A query over the stored bytes gives the same rows, and reads them when it is run."""
        codec = self.make_codec()
        assert isinstance(codec, TableCodec)
        for original in self.make_values():
            artifact = MemoryArtifact(tmp_path)
            codec.encode(original, artifact)
            query = codec.scan(artifact)
            assert isinstance(query, pl.LazyFrame)
            self.assert_same(query.collect(), original)
        with pytest.raises(CodecError):
            codec.scan(MemoryArtifact(tmp_path, b"no table"))


class TestPolarsFrameCodec(FrameContract):
    def make_codec(self) -> Codec:
        return PolarsFrameCodec()

    def test_frames_are_handled(self) -> None:
        """Queries are another codec's."""
        assert PolarsFrameCodec().handles(pl.DataFrame())
        assert not PolarsFrameCodec().handles(pl.LazyFrame())
        assert not PolarsFrameCodec().handles(pl.Series())


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


CODECS = [PolarsFrameCodec(), ChunkedTableCodec()]


@pytest.fixture(scope="module")
def several_batches() -> Any:
    """Make small frames have several batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polars_frames, "BATCH_ROWS", 4)
        patch.setattr(canonical, "BATCH_ROWS", 4)
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


FLAT = [dtype for dtype in TYPES if not dtype.is_nested() and dtype != pl.Null]


def map_everything(patch: pytest.MonkeyPatch) -> None:
    """Have frames of any size read without a copy."""
    patch.setattr(polars_frames, "ZERO_COPY_FROM_BYTES", 0)
    patch.setattr(mapping, "MAPPED_FROM_BYTES", 0)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_mapped_frame_is_the_frame(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Read without a copy, a large frame has the same columns, types and values as when Polars reads it."""
    pytest.importorskip("pyarrow")
    frame = data.draw(parametric.dataframes(allowed_dtypes=FLAT, max_size=20, max_cols=4))
    artifact = MemoryArtifact(tmp_path_factory.mktemp("artifact"))
    PolarsFrameCodec().encode(frame, artifact)
    with pytest.MonkeyPatch.context() as patch:
        map_everything(patch)
        found = PolarsFrameCodec().decode(artifact)
    assert found.schema == frame.schema
    assert found.equals(frame)
    assert _digest(PolarsFrameCodec(), found) == _digest(PolarsFrameCodec(), frame)


def test_text_that_is_none_is_refused_when_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polars takes mapped text at its word: bytes that are not UTF-8 never get that far."""
    pytest.importorskip("pyarrow")
    artifact = MemoryArtifact(tmp_path)
    PolarsFrameCodec().encode(pl.DataFrame({"text": ["abcdefgh"]}), artifact)
    broken = artifact.bytes().replace(b"abcdefgh", b"abc\xff\xfefgh")
    map_everything(monkeypatch)
    with pytest.raises(CodecError, match="arrow-ipc/1"):
        PolarsFrameCodec().decode(MemoryArtifact(tmp_path, broken))


def test_a_large_frame_is_read_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not needed: Polars reads what it wrote, with a copy."""
    artifact = MemoryArtifact(tmp_path)
    PolarsFrameCodec().encode(pl.DataFrame({"a": [1, 2]}), artifact)
    map_everything(monkeypatch)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert PolarsFrameCodec().decode(artifact)["a"].to_list() == [1, 2]


OWN_MEMORY = """
import sys
from pathlib import Path
import polars as pl, pyarrow
from filiera.adapters.codecs.polars_frames import PolarsFrameCodec

class Artifact:
    def __init__(self, file):
        self.file, self.stream, self.size_bytes = file, file.open("ab"), file.stat().st_size if file.exists() else 0
    def path(self):
        return self.file

def own_mib():
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("RssAnon"))

file = Path(sys.argv[1])
if not file.exists():
    artifact = Artifact(file)
    frame = pl.select(**{name: pl.int_range(4_000_000) + k for k, name in enumerate("abc")})
    PolarsFrameCodec().encode(frame, artifact)
    artifact.stream.close()
else:
    before = own_mib()
    frame = PolarsFrameCodec().decode(Artifact(file))
    assert frame["c"].sum() == 8_000_006_000_000
    print(own_mib() - before)
"""


def test_a_large_frame_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    """Its values stay in the file's pages, which processes share and the system can take back."""
    pytest.importorskip("pyarrow")
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not tell")
    command = [sys.executable, "-c", OWN_MEMORY, str(tmp_path / "table")]
    subprocess.run(command, check=True)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(printed) < 30
