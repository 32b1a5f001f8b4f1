"""Tables in chunks: Parquet files of consecutive rows, cut where the content says, so that versions share them.

A query (``LazyFrame``) is stored so by whatever step returned it, and every published table. A query is run when it is
stored, in batches, so that its result need not fit into memory. Files are encoded by several threads, while the query
is at work on the rows behind them.

A chunk ends behind a row whose hash has zeros in certain places, within bounds. So where two tables have the same rows
in a row, the cuts between them are the same, wherever these rows stand, and so are the files. A table becomes one
manifest that names its files; reading it is one scan over them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from filiera.adapters.codecs.canonical import BATCH_ROWS
from filiera.adapters.codecs.polars_frames import checked, checked_query, malformed, parquet_of, polars_errors
from filiera.adapters.codecs.refusal import is_loaded, reading, unstorable
from filiera.core.chunks import TABLE_CODEC, Chunk, read_chunks, write_chunks
from filiera.ports import ArtifactReader, ArtifactWriter

if TYPE_CHECKING:
    import polars as pl

# These four are part of the format, because they decide the bytes. What was measured is in docs/decisions.
LEAST_ROWS = 2048
MOST_ROWS = 32_768
CUT_MASK = 8192 - 1
_SEED = 1

_THREADS = min(8, (os.cpu_count() or 1) + 1)
"""One more than processors, since Polars, at work in a thread, waits for its own threads now and then."""


class ChunkedTableCodec:
    """Frames and queries as Parquet files of about 10,000 rows: for queries, and by name for published datasets."""

    name = TABLE_CODEC

    def handles(self, value: object) -> bool:
        return is_loaded(value, "polars", "LazyFrame")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        with polars_errors(value):
            chunks = [
                Chunk(digest=writer.put_child(content), rows=rows, size_bytes=len(content))
                for rows, content in _encoded(_cut(_batches(value)))
            ]
        writer.stream.write(write_chunks(chunks))

    def decode(self, reader: ArtifactReader) -> pl.DataFrame:
        with malformed(self.name):
            return self.scan(reader).collect()

    def scan(self, reader: ArtifactReader) -> pl.LazyFrame:
        import polars as pl

        with reading(self.name):
            chunks = read_chunks(reader.bytes())
        files = [reader.child(chunk.digest) for chunk in chunks]
        with malformed(self.name):
            found = pl.scan_parquet(files, glob=False)
            found.collect_schema()
            return found


def _encoded(chunks: Iterable[pl.DataFrame]) -> Iterator[tuple[int, bytes]]:
    """Yield the rows and the file of each chunk, in order; a few more are encoded meanwhile."""
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    with ThreadPoolExecutor(_THREADS) as threads:
        for frame in chunks:
            waiting.append((frame.height, threads.submit(parquet_of, frame)))
            if len(waiting) > 2 * _THREADS:
                rows, file = waiting.popleft()
                yield rows, file.result()
        for rows, file in waiting:
            yield rows, file.result()


def _batches(value: Any) -> Iterator[pl.DataFrame]:
    """Yield the rows of a frame or query, some at a time; at least one frame, perhaps without rows."""
    if is_loaded(value, "polars", "LazyFrame"):
        query = checked_query(value)
        yield query.clear().collect()  # the schema, when there are no rows
        yield from query.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True, engine="streaming")
    elif is_loaded(value, "polars", "DataFrame"):
        frame = checked(value)
        for start in range(0, max(frame.height, 1), BATCH_ROWS):
            yield frame.slice(start, BATCH_ROWS)
    else:
        raise unstorable(
            value,
            why="A published dataset is a polars.DataFrame or a LazyFrame.",
            do="Return a polars.DataFrame.",
        )


def _cut(batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the same rows in chunks; how they were divided into batches does not matter."""
    rest: list[pl.DataFrame] = []
    rest_rows = 0
    is_cut = False
    for batch in batches:
        taken = 0
        for end in _ends(batch, -rest_rows):
            yield _one([*rest, batch.slice(taken, end - taken)])
            rest, rest_rows, taken, is_cut = [], 0, end, True
        if batch.height > taken or not rest:
            rest.append(batch.slice(taken))
            rest_rows += batch.height - taken
    if rest_rows or not is_cut:
        yield _one(rest)


def _one(frames: list[pl.DataFrame]) -> pl.DataFrame:
    import polars as pl

    # Frames without columns have rows, which concatenating forgets.
    return pl.concat(frames, rechunk=True) if frames[0].width else pl.DataFrame(height=sum(f.height for f in frames))


def _ends(batch: pl.DataFrame, start: int) -> Iterator[int]:
    """Yield where chunks end in a batch, the first of which began at row *start* of it, which may be before it."""
    for end in [*_candidates(batch), batch.height + MOST_ROWS]:
        while end - start > MOST_ROWS and start + MOST_ROWS <= batch.height:
            start += MOST_ROWS
            yield start
        if end <= batch.height and end - start >= LEAST_ROWS:
            start = end
            yield start


def _candidates(batch: pl.DataFrame) -> list[int]:
    """Return behind which rows a chunk may end, by their content."""
    import polars as pl

    if not batch.width:
        return []
    # Categories are hashed by their numbers, which depend on what this process has seen.
    texts = batch.select(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    hashes = batch.with_columns(texts).hash_rows(_SEED)
    return [row + 1 for row in (hashes & CUT_MASK == 0).arg_true().to_list()]
