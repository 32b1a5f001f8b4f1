"""Write a table to files that other programs read. A table need not fit into memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from filiera.errors import FilieraError, StoreError, StoreFull, UsageError

ROWS_PER_FILE = 1_000_000
"""A folder has a file for so many rows, or for as many of one partition."""

Writer = Callable[[pl.LazyFrame, Path], None]


def write_table(table: pl.LazyFrame, target: Path, *, kind: str, by: str = "", replace: bool = False) -> None:
    """Write a table to a file or folder, which is there when all of it is, or not at all.

    Args:
        table: What to write.
        target: Where; the folder it lies in must be there.
        kind: ``"csv"``, ``"jsonl"``, ``"parquet"`` or ``"arrow"``: one file; ``"folder"``: of Parquet files;
            ``"delta"``: a folder that is a Delta Lake table, which needs the package ``deltalake``.
        by: A column of a folder's table: each of its values gets a folder ``COLUMN=VALUE`` of its own.
        replace: A file that is there is replaced in one step; whoever has it open keeps what it was.

    Raises:
        UsageError: The target is there and not replaced, cannot be written, or a column has a type that *kind* has not.
        StoreFull: No space is left.
    """
    target = target.absolute()  # Polars may begin at a folder that was the current one before
    schema = table.collect_schema()
    _require_types(schema, kind)
    if by and (kind != "folder" or by not in schema):
        why = f"The table has: {', '.join(schema)}." if kind == "folder" else "Only a folder is divided by a column."
        raise UsageError(f"{target} cannot be divided by {by!r}.", why=why)
    _require_free(target, replace=replace)
    with _new(target) as part, _told(target), _ending_well(table, schema) as query:
        if kind == "folder":
            _write_folder(query, part, by)
        else:
            _WRITERS[kind](query, part)


def _write_folder(table: pl.LazyFrame, folder: Path, by: str) -> None:
    files = pl.PartitionBy(folder, key=by or None, max_rows_per_file=ROWS_PER_FILE, approximate_bytes_per_file=None)
    table.sink_parquet(files, compression="zstd", mkdir=True, engine="streaming")


def _write_delta(table: pl.LazyFrame, folder: Path) -> None:
    try:
        table.sink_delta(folder)
    except ModuleNotFoundError as error:
        raise UsageError("Delta Lake needs the package deltalake.", do="pip install 'filiera[delta]'") from error


_WRITERS: Mapping[str, Writer] = {
    "csv": lambda table, file: table.sink_csv(file, engine="streaming"),
    "jsonl": lambda table, file: table.sink_ndjson(file, engine="streaming"),
    "parquet": lambda table, file: table.sink_parquet(file, compression="zstd", engine="streaming"),
    "arrow": lambda table, file: table.sink_ipc(file, compression="zstd", engine="streaming"),
    "delta": _write_delta,
}


def _require_types(schema: pl.Schema, kind: str) -> None:
    for name, dtype in schema.items():
        is_missing = dtype.is_nested() if kind == "csv" else False
        if is_missing or (kind in ("csv", "jsonl") and "Binary" in str(dtype)):
            raise UsageError(
                f"Column {name!r} cannot be written to {'CSV' if kind == 'csv' else 'JSON lines'}.",
                why=f"It is {dtype}, which that format has not.",
                do="Write Parquet, or convert the column in a step.",
            )


def _require_free(target: Path, *, replace: bool) -> None:
    if target.is_dir() or target.is_symlink():
        what = "A folder or a link cannot be replaced in one step."
        raise UsageError(
            f"{target} is there already.", why=what if replace else "", do="Name another one, or remove it."
        )
    if target.exists() and not replace:
        raise UsageError(f"{target} is there already.", do="Name another one, or say --replace.")


@contextmanager
def _ending_well(table: pl.LazyFrame, schema: pl.Schema) -> Iterator[pl.LazyFrame]:
    """Yield a query that ends where *table* fails, and raise what it failed with afterwards.

    Polars goes on to make files for a while after it has said that the query failed. So those who write see no failure:
    when they return, all their files are there, and none comes later.
    """
    failures: list[BaseException] = []

    def batches(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        assert predicate is None
        assert rows is None
        query = table if columns is None else table.select(columns)
        try:
            yield from query.collect_batches(maintain_order=True, engine="streaming")
        except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001  raised below
            failures.append(error)

    yield register_io_source(batches, schema=schema)
    if failures:
        raise failures[0]


@contextmanager
def _new(target: Path) -> Iterator[Path]:
    """Yield a place beside *target* that becomes it when the block ends well, and goes when it does not."""
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent}.", do="Make it first.")
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        beside.mkdir()
        yield beside / target.name
        (beside / target.name).replace(target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """Turn what Polars says into our words."""
    try:
        yield
    except FilieraError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        text = str(error).partition("\n")[0]
        if "No space left" in text:
            raise StoreFull(f"No space is left to write {target}.", why=text) from error
        raise StoreError(f"{target} cannot be written.", why=text, do="Nothing was left there.") from error
