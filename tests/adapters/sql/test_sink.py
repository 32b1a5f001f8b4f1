"""Tables written into SQLite, DuckDB and PostgreSQL."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from filiera.adapters.sql.sink import write_table
from filiera.adapters.sql.source import SqlSource
from filiera.errors import ProjectError, SourceError, UsageError
from filiera.testing.source import read
from tests.postgres import PostgresServer

TABLE = pl.DataFrame(
    {
        "Id": [1, 2, None],
        "what": ["tea", "crème", None],
        "price": [2.5, float("nan"), None],
        "day": [date(2026, 1, 2), None, None],
        "at": [datetime(2026, 1, 2, 3, 4, 5, 6), None, None],
    }
)


@pytest.fixture(params=["sqlite", "duckdb", "postgresql"])
def entry(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    uri = f"{request.param}:shop.{request.param}"
    if request.param == "duckdb":
        pytest.importorskip("duckdb")
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        uri = server.uri(server.new_database())
    return {"type": "sql", "uri": uri, "table": "Sold"}


def found(entry: dict[str, Any], root: Path) -> pl.DataFrame:
    frame: pl.DataFrame = read(SqlSource(), entry, root)
    return frame


def test_what_is_written_is_read_back(entry: dict[str, Any], tmp_path: Path) -> None:
    """Names, values and nulls; times as texts where the database has none."""
    assert write_table(entry, tmp_path, TABLE.lazy()) == 3
    back = found(entry, tmp_path)
    assert back.columns == TABLE.columns
    assert back.select("Id", "what").equals(TABLE.select("Id", "what"))
    assert back["price"][0] == 2.5
    assert str(back["day"][0]) == "2026-01-02"


def test_a_table_is_appended_to_or_replaced(entry: dict[str, Any], tmp_path: Path) -> None:
    """One that is there is not touched unless that is asked for."""
    write_table(entry, tmp_path, TABLE.lazy())
    with pytest.raises(SourceError, match="already exists"):
        write_table(entry, tmp_path, TABLE.lazy())
    assert write_table(entry, tmp_path, TABLE.head(1).lazy(), mode="append") == 1
    assert found(entry, tmp_path).height == 4
    write_table(entry, tmp_path, TABLE.head(2).lazy(), mode="replace")
    assert found(entry, tmp_path).height == 2


def test_a_failure_leaves_the_table_as_it_was(entry: dict[str, Any], tmp_path: Path) -> None:
    """Half of a table is never written."""
    write_table(entry, tmp_path, TABLE.lazy())

    def broken(frame: pl.DataFrame) -> pl.DataFrame:
        raise ValueError("the query breaks")

    with pytest.raises((SourceError, pl.exceptions.PolarsError, ValueError)):
        write_table(entry, tmp_path, TABLE.lazy().map_batches(broken, schema=TABLE.schema), mode="replace")
    assert found(entry, tmp_path).height == 3
    with pytest.raises(SourceError):
        write_table(entry, tmp_path, pl.LazyFrame({"other": [1]}), mode="append")
    assert found(entry, tmp_path).height == 3


KILLED = """
import os, signal
from pathlib import Path
import polars as pl
from filiera.adapters.sql.sink import write_table

def last(frame):
    os.kill(os.getpid(), signal.SIGKILL)

rows = pl.concat([pl.LazyFrame({"Id": range(200_000)}), pl.LazyFrame({"Id": [0]}).map_batches(last)])
write_table({ENTRY!r}, Path({ROOT!r}), rows, mode="replace")
"""


def test_rows_are_appended_by_the_names_of_columns(entry: dict[str, Any], tmp_path: Path) -> None:
    """Two columns of one type never change places, whatever their order."""
    write_table(entry, tmp_path, pl.LazyFrame({"a": [1], "b": [2]}))
    write_table(entry, tmp_path, pl.LazyFrame({"b": [4], "a": [3]}), mode="append")
    assert sorted(found(entry, tmp_path).rows()) == [(1, 2), (3, 4)]
    with pytest.raises(SourceError):
        write_table(entry, tmp_path, pl.LazyFrame({"a": [5], "c": [6]}), mode="append")
    assert found(entry, tmp_path).height == 2


def test_ctrl_c_leaves_the_table_as_it_was(entry: dict[str, Any], tmp_path: Path) -> None:
    """It arrives in the midst of the rows, and goes on to whoever started the export."""
    write_table(entry, tmp_path, TABLE.lazy())

    def stopped(frame: pl.DataFrame) -> pl.DataFrame:
        raise KeyboardInterrupt

    rows = pl.concat([pl.LazyFrame({"Id": range(200_000)}), pl.LazyFrame({"Id": [0]}).map_batches(stopped)])
    with pytest.raises((KeyboardInterrupt, SourceError, pl.exceptions.PolarsError)):
        write_table(entry, tmp_path, rows, mode="replace")
    assert found(entry, tmp_path).select("Id", "what").equals(TABLE.select("Id", "what"))


def test_a_killed_export_leaves_the_table_as_it_was(entry: dict[str, Any], tmp_path: Path) -> None:
    """Nobody has to repair anything: the database undoes what was never committed."""
    write_table(entry, tmp_path, TABLE.lazy())
    code = KILLED.replace("{ENTRY!r}", repr(entry)).replace("{ROOT!r}", repr(str(tmp_path)))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert found(entry, tmp_path).select("Id", "what").equals(TABLE.select("Id", "what"))
    assert write_table(entry, tmp_path, TABLE.lazy(), mode="replace") == 3


def test_a_column_that_the_database_cannot_hold_is_told(tmp_path: Path) -> None:
    """With what to do about it, and without the statement that failed."""
    entry = {"type": "sql", "uri": "sqlite:shop.sqlite", "table": "Sold"}
    with pytest.raises(SourceError) as caught:
        write_table(entry, tmp_path, pl.LazyFrame({"a": [[1]]}))
    assert "unsupported type" in str(caught.value)
    assert "Convert that column" in caught.value.do
    write_table(entry, tmp_path, TABLE.lazy())
    with pytest.raises(SourceError) as caught:
        write_table(entry, tmp_path, TABLE.lazy())
    assert caught.value.why == 'table "Sold" already exists'
    with pytest.raises(SourceError, match="There is no folder"):
        write_table({**entry, "uri": "sqlite:no/shop.sqlite"}, tmp_path, TABLE.lazy())


def test_what_cannot_be_written_to(entry: dict[str, Any], tmp_path: Path) -> None:
    """A query is no table, and there are three ways to write one."""
    with pytest.raises(ProjectError, match="needs the option 'table'"):
        write_table({**{k: v for k, v in entry.items() if k != "table"}, "query": "SELECT 1"}, tmp_path, TABLE.lazy())
    with pytest.raises(UsageError, match="'upsert'"):
        write_table(entry, tmp_path, TABLE.lazy(), mode="upsert")


def test_types_that_duckdb_keeps(tmp_path: Path) -> None:
    """What other databases have to be given as text comes back as it was."""
    pytest.importorskip("duckdb")
    entry = {"type": "sql", "uri": "duckdb:shop.duckdb", "table": "t"}
    at = datetime(2026, 1, 2, 3, 4, 5, 6)
    table = pl.DataFrame(
        [
            pl.Series("list", [[1, None], []], dtype=pl.List(pl.Int16)),
            pl.Series("pair", [[1, 2], None], dtype=pl.Array(pl.UInt8, 2)),
            pl.Series("struct", [{"x": 1, "Y z": ["a"]}, None]),
            pl.Series("exact", ["12345678901234567890.25", None]).cast(pl.Decimal(30, 2)),
            pl.Series("raw", [b"\x00\xff", None]),
            pl.Series("yes", [True, None]),
            pl.Series("day", [date(2026, 1, 2), None]),
            pl.Series("at", [at, None]),
            pl.Series("ns", [at, None], dtype=pl.Datetime("ns")),
            pl.Series("zoned", [at.replace(tzinfo=UTC), None]),
            pl.Series("clock", [at.time(), None]),
            pl.Series("small", [1.5, None], dtype=pl.Float32),
            pl.Series("unsigned", [2**64 - 1, None], dtype=pl.UInt64),
        ]
    )
    write_table(entry, tmp_path, table.lazy())
    back = found(entry, tmp_path)
    assert back.schema == table.schema
    assert back.equals(table)
    write_table(entry, tmp_path, pl.LazyFrame({"e": ["a"], "took": [at - at]}, schema_overrides={"e": pl.Enum(["a"])}),
                mode="replace")  # fmt: skip
    assert found(entry, tmp_path).rows() == [("a", "00:00:00")]


@pytest.mark.parametrize("database", ["sqlite", "duckdb", "postgresql"])
def test_a_type_that_no_database_has_is_told(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> None:
    """Whoever finds it, the driver or Arrow on the way to it."""
    uri = f"{database}:x"
    if database == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        uri = server.uri(server.new_database())
    wide = pl.LazyFrame({"a": [1]}, schema={"a": pl.Int128})
    with pytest.raises(SourceError, match="Cannot write") as caught:
        write_table({"type": "sql", "uri": uri, "table": "t"}, tmp_path, wide)
    assert "Convert that column" in caught.value.do


def test_times_with_a_zone(postgres: PostgresServer, tmp_path: Path) -> None:
    """PostgreSQL keeps what they mean."""
    entry = {"type": "sql", "uri": postgres.uri(postgres.new_database()), "table": "public.t"}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    write_table(entry, tmp_path, pl.LazyFrame({"at": [at]}))
    assert found(entry, tmp_path).rows() == [(at,)]
