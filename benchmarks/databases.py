"""Reads a table of PostgreSQL into a published version, beside a bare fetch through ADBC that writes Parquet.

python benchmarks/databases.py --rows 5000000 --rounds 3
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.postgres import PostgresServer

TABLE = """
CREATE TABLE sold AS SELECT i AS id, (i::bigint * 7919 % 100003)::int AS customer, (random() * 100)::float8 AS price,
  (random() * 9)::int AS pieces, timestamp '2026-01-01' + i * interval '1 second' AS at,
  date '2026-01-01' + i % 365 AS day,
  i % 3 = 0 AS is_member, (ARRAY['de', 'fr', 'it', 'es', 'pl'])[1 + i % 5] AS country, md5(i::text) AS code,
  CASE WHEN i % 10 > 0 THEN 'note ' || i % 5000 END AS note
FROM generate_series(1, {rows}) AS i
"""
CONFIGURATION = """
[project]
name = "reading"

[catalog.sold]
type = "sql"
uri = "{uri}"
table = "sold"
"""
FLOWS = """
import polars as pl
from filiera import Dataset, Source, pipeline, step

@step(stage="clean")
def keep(sold: pl.LazyFrame) -> pl.LazyFrame:
    return sold

@pipeline(kind="data", publishes=Dataset("sold"))
def read(sold: pl.LazyFrame = Source("sold")):
    return keep(sold)
"""


@contextmanager
def fetched(uri: str) -> Iterator[object]:
    """Yield all rows as a stream of Arrow batches, for whoever takes the C interface."""
    import adbc_driver_manager as adbc
    import adbc_driver_postgresql as driver

    with (
        adbc.AdbcDatabase(driver=driver._driver_path(), uri=uri) as database,
        adbc.AdbcConnection(database) as connection,
        adbc.AdbcStatement(connection) as statement,
    ):
        statement.set_sql_query("SELECT * FROM sold")
        yield statement.execute_query()[0]


def bare_arrow(uri: str, folder: Path) -> None:
    """Fetch and write with pyarrow, batch by batch."""
    import pyarrow
    import pyarrow.parquet

    with fetched(uri) as stream:
        batches = pyarrow.RecordBatchReader.from_stream(stream)
        target = folder / "bare.parquet"
        with pyarrow.parquet.ParquetWriter(target, batches.schema, compression="zstd", compression_level=3) as file:
            for batch in batches:
                file.write_batch(batch)


def bare_polars(uri: str, folder: Path) -> None:
    """Fetch all into memory and write with Polars."""
    import polars as pl

    with fetched(uri) as stream:
        frame = pl.DataFrame(stream)
    frame.write_parquet(folder / "bare.parquet", compression="zstd", compression_level=3)


def with_filiera(uri: str, folder: Path) -> dict[str, float]:
    """Run the pipeline in a new project; return the seconds of each step."""
    from filiera.project import launch
    from filiera.project.project import Project

    (folder / "filiera.toml").write_text(CONFIGURATION.format(uri=uri))
    (folder / "flows.py").write_text(FLOWS)
    project = Project.open(folder)
    try:
        run = launch.start(project, "read", {})
        assert run.state.status == "succeeded", run.state
        rows = project.records.read("steps_of_run", {"run_id": run.run_id})
        return {row["step"]: row["duration_s"] for row in rows}
    finally:
        project.close()
        sys.modules.pop("flows", None)


def measured(work: Callable[[str, Path], object], uri: str) -> tuple[float, object]:
    with tempfile.TemporaryDirectory() as folder:
        os.sync()
        start = time.perf_counter()
        told = work(uri, Path(folder))
        return time.perf_counter() - start, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        server.start()
        try:
            server.sql(TABLE.format(rows=options.rows))
            uri = server.uri("postgres")
            subjects = (bare_arrow, bare_polars, with_filiera)
            times: dict[str, list[float]] = {subject.__name__: [] for subject in subjects}
            for _ in range(options.rounds):
                for subject in subjects:
                    took, told = measured(subject, uri)
                    times[subject.__name__].append(took)
                    print(f"{subject.__name__}  {took:.2f} s  {told or ''}", flush=True)
            ours = times["with_filiera"]
            for name in ("bare_arrow", "bare_polars"):
                print(f"{name} / with_filiera: {median(b / o for b, o in zip(times[name], ours, strict=True)):.2f}")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
