"""Tables in chunks: they come back as they were, and versions share the files of rows that are equal."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.adapters.codecs import canonical, table_chunks
from filiera.adapters.codecs.table_chunks import ChunkedTableCodec
from filiera.core.chunks import Chunk, read_chunks, write_chunks
from filiera.errors import CodecError, StoreFull
from filiera.ports import Codec
from filiera.testing.codec import MemoryArtifact
from tests.adapters.codecs.test_polars_frames import FrameContract

pl = pytest.importorskip("polars")


class TestChunkedTableCodec(FrameContract):
    def make_codec(self) -> Codec:
        return ChunkedTableCodec()

    def test_it_is_for_queries(self) -> None:
        """Tables in memory are Arrow between steps; for what is published it is chosen by name."""
        assert not ChunkedTableCodec().handles(pl.DataFrame())
        assert ChunkedTableCodec().handles(pl.LazyFrame())

    def test_only_frames_are_published(self) -> None:
        """Anything else is refused with what to return."""
        with pytest.raises(CodecError, match=r"polars\.DataFrame"):
            ChunkedTableCodec().encode([1, 2], MemoryArtifact(Path()))

    def test_a_query_is_run_when_it_is_stored(self) -> None:
        """The bytes are those of the table that it gives, however Polars cuts its work into pieces."""
        for original in self.make_values():
            assert self.digest_of(original.lazy()) == self.digest_of(original)
        rows = 3 * canonical.BATCH_ROWS + 7
        numbers = pl.DataFrame({"a": range(rows), "text": [str(n % 97) for n in range(rows)]})
        pieces = pl.concat([numbers[start : start + 50_001].lazy() for start in range(0, rows, 50_001)])
        assert self.digest_of(pieces) == self.digest_of(numbers)
        assert self.digest_of(pieces.filter(pl.col("a") % 3 > 0)) == self.digest_of(numbers.filter(pl.col("a") % 3 > 0))

    def test_a_query_that_fails_says_so(self) -> None:
        """What Polars says, also when it says it late; without its plan, and where to look."""
        with pytest.raises(CodecError, match="The query that the step returned failed") as caught:
            self.digest_of(pl.LazyFrame({"a": [1]}).select("b"))
        assert "'b'" in caught.value.why or '"b"' in caught.value.why
        assert "query.collect()" in caught.value.do
        with pytest.raises(CodecError, match="The query that the step returned failed"):
            self.digest_of(pl.LazyFrame({"a": ["x"]}).select(pl.col("a").cast(pl.Int64)))
        with pytest.raises(CodecError, match="'things'"):
            self.digest_of(pl.LazyFrame({"things": pl.Series([object()], dtype=pl.Object)}))

    def test_a_refused_chunk_ends_it(self) -> None:
        """Others are being encoded meanwhile: the error comes once they are done, and nothing is written after."""

        class Full(MemoryArtifact):
            def put_child(self, content: bytes | Path) -> str:
                raise StoreFull("No space is left.")

        artifact = Full(Path())
        with pytest.raises(StoreFull):
            ChunkedTableCodec().encode(many_rows(60_000), artifact)
        assert artifact.bytes() == b""
        assert not [thread for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name]


def stored(table: Any) -> tuple[Chunk, ...]:
    """Return the chunks of a table."""
    artifact = MemoryArtifact(Path())
    ChunkedTableCodec().encode(table, artifact)
    return read_chunks(artifact.bytes())


def added_share(before: Any, after: Any) -> float:
    """Return which share of the bytes of a table is not stored already with another one."""
    known = {chunk.digest for chunk in stored(before)}
    chunks = stored(after)
    return sum(c.size_bytes for c in chunks if c.digest not in known) / sum(c.size_bytes for c in chunks)


def many_rows(rows: int = 400_000) -> Any:
    numbers = random.Random(7)
    return pl.DataFrame({"id": range(rows), "x": [numbers.random() for _ in range(rows)]})


TABLE_ROWS = 400_000
BLOCK = TABLE_ROWS // 100
EDITS: dict[str, Callable[[Any], Any]] = {
    "changed": lambda t: t.with_columns(
        x=pl.when(pl.col("id").is_between(90_000, 90_000 + BLOCK)).then(-1).otherwise("x")
    ),
    "inserted": lambda t: pl.concat([t[:200_000], t[:BLOCK].with_columns(id=-1 - pl.col("id")), t[200_000:]]),
    "deleted": lambda t: pl.concat([t[:300_000], t[300_000 + BLOCK :]]),
    "appended": lambda t: pl.concat([t, t[:BLOCK].with_columns(id=-1 - pl.col("id"))]),
    "moved": lambda t: pl.concat([t[BLOCK:], t[:BLOCK]]),
}


@pytest.fixture(scope="module")
def large() -> Any:
    return many_rows()


@pytest.mark.parametrize("edit", EDITS)
def test_one_percent_of_rows_in_a_row_stores_little(edit: str, large: Any) -> None:
    """What is stored anew is about the rows that changed, and the chunks at their ends."""
    share = added_share(large, EDITS[edit](large))
    assert share < 0.12, share  # of a table of forty chunks; of more chunks it is less: see docs/decisions


def test_the_same_table_stores_nothing(large: Any) -> None:
    """However it is given."""
    assert added_share(large, large.lazy()) == 0
    pieces = pl.concat([large[:1000], large[1000:77_777], large[77_777:]], rechunk=False)
    assert stored(pieces) == stored(large)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_chunks_do_not_depend_on_batches(data: st.DataObject) -> None:
    """The rows alone decide where a chunk ends, and each chunk is within the bounds."""
    rows = data.draw(st.lists(st.integers(0, 30), max_size=200))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    frame = pl.DataFrame({"a": rows}, schema={"a": pl.Int64})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("LEAST_ROWS", 4), ("MOST_ROWS", 11), ("CUT_MASK", 7)):
            patch.setattr(table_chunks, name, value)
        whole = list(table_chunks._cut([frame]))
        ends = [0, *cuts, len(rows)]
        batches = [frame[start:end] for start, end in itertools.pairwise(ends)]
        again = table_chunks._cut(batches)
        assert [chunk.to_series().to_list() for chunk in again] == [chunk.to_series().to_list() for chunk in whole]
    assert pl.concat(whole).equals(frame)
    assert all(4 <= chunk.height <= 11 for chunk in whole[:-1])
    assert whole[-1].height <= 11


def test_cuts_are_where_they_were() -> None:
    """Where a table is cut is part of the format: when this fails, versions share nothing with those stored before."""
    frame = pl.DataFrame({"n": range(60_000), "t": [str(n % 7) for n in range(60_000)]})
    assert [chunk.rows for chunk in stored(frame)] == [15_043, 28_733, 14_393, 1831]


def test_categories_do_not_move_cuts() -> None:
    """They are hashed by their text, and numbered otherwise in a process that saw others before."""
    texts = [str(n % 991) for n in range(50_000)]
    first = stored(pl.DataFrame({"c": pl.Series(texts, dtype=pl.Categorical)}))
    pl.Series(texts[::-1], dtype=pl.Categorical)
    assert stored(pl.DataFrame({"c": pl.Series(texts, dtype=pl.Categorical)})) == first


@pytest.mark.parametrize(
    "content",
    [b"", b"{}\n", b"[1,2,3]\n", b'["%s",1]\n' % (b"0" * 64), b'["%s",-1,1]\n' % (b"0" * 64), b"x", b"\xff\n"],
)
def test_what_is_no_manifest_is_refused(content: bytes, tmp_path: Path) -> None:
    """One clear message."""
    with pytest.raises(CodecError):
        ChunkedTableCodec().decode(MemoryArtifact(tmp_path, content))


def test_a_manifest_is_read_as_written() -> None:
    """Each chunk keeps digest, rows and size."""
    chunks = tuple(Chunk(digest=f"{n:064x}", rows=n, size_bytes=2 * n) for n in range(3))
    assert read_chunks(write_chunks(chunks)) == chunks


def test_rows_of_all_chunks_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, and a query over them reads them when it is run."""
    for name, value in (("LEAST_ROWS", 4), ("MOST_ROWS", 11), ("CUT_MASK", 7)):
        monkeypatch.setattr(table_chunks, name, value)
    monkeypatch.setattr(table_chunks, "BATCH_ROWS", 13)
    monkeypatch.setattr(canonical, "BATCH_ROWS", 13)
    frame = many_rows(100)
    artifact = MemoryArtifact(tmp_path)
    ChunkedTableCodec().encode(frame, artifact)
    assert len(read_chunks(artifact.bytes())) > 5
    assert ChunkedTableCodec().decode(artifact).equals(frame)
    assert ChunkedTableCodec().scan(artifact).filter(pl.col("id") > 50).select("id").collect().height == 49
