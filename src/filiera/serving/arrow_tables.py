"""Tables that come as Arrow IPC streams, of any length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from filiera.errors import SourceError, UsageError

if TYPE_CHECKING:
    import polars as pl


def streamed_table(stream: Any, name: str) -> pl.LazyFrame:
    """Return the table of an Arrow IPC *stream* of bytes, whose batches are read as they are asked for.

    Raises:
        UsageError: pyarrow is not installed.
        SourceError: It is no such stream, or damaged: *name* is not sound. Later batches raise when they are read.
    """
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise UsageError(
            "Reading an Arrow stream needs pyarrow, which is not installed.", do="pip install 'filiera[arrow]'"
        ) from error
    import polars as pl
    from polars.io.plugins import register_io_source

    def guarded(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise SourceError(f"{name} is no sound Arrow stream.", why=str(error).partition("\n")[0]) from error

    def frames(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = rows
        while left != 0:
            batch = guarded(lambda: next(iter(reader), None))
            if batch is None:
                return
            guarded(partial(batch.validate, full=True))  # the offsets in it are whoever's who wrote it
            frame: Any = pl.from_arrow(batch)
            frame = frame if columns is None else frame.select(columns)
            frame = frame if predicate is None else frame.filter(predicate)
            frame = frame if left is None else frame.head(left)
            left = None if left is None else left - frame.height
            yield frame

    reader = guarded(lambda: pyarrow.ipc.open_stream(stream))
    schema: Any = pl.from_arrow(reader.schema.empty_table())
    return register_io_source(io_source=frames, schema=schema.schema)
