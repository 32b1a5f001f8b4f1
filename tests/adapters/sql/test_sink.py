"""Tables written into SQLite and PostgreSQL."""

from __future__ import annotations

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


@pytest.fixture(params=["sqlite", "postgresql"])
def entry(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    uri = "sqlite:shop.sqlite"
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


def test_what_cannot_be_written_to(entry: dict[str, Any], tmp_path: Path) -> None:
    """A query is no table, and there are three ways to write one."""
    with pytest.raises(ProjectError, match="needs the option 'table'"):
        write_table({**{k: v for k, v in entry.items() if k != "table"}, "query": "SELECT 1"}, tmp_path, TABLE.lazy())
    with pytest.raises(UsageError, match="'upsert'"):
        write_table(entry, tmp_path, TABLE.lazy(), mode="upsert")


def test_times_with_a_zone(postgres: PostgresServer, tmp_path: Path) -> None:
    """PostgreSQL keeps what they mean."""
    entry = {"type": "sql", "uri": postgres.uri(postgres.new_database()), "table": "public.t"}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    write_table(entry, tmp_path, pl.LazyFrame({"at": [at]}))
    assert found(entry, tmp_path).rows() == [(at,)]
