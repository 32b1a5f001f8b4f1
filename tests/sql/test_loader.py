"""The packaged SQL is well-formed, and both roads to the tables end at the same place."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import filiera.sql
from filiera.adapters.sqlite_records import add_functions
from filiera.sql.loader import (
    SCHEMA_VERSION,
    load_migrations,
    load_queries,
    load_schema,
    parse_queries,
    split_statements,
)

FOLDER = Path(filiera.sql.__file__).parent


def tables_after(statements: Iterable[str]) -> dict[str, str]:
    """Return name and definition of every table and index, spaces and comments evened out."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for sql in statements:
            connection.execute(sql)
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: re.sub(r"\s+", " ", sql) for name, sql in rows}


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        add_functions(connection)
        for sql in load_schema():
            connection.execute(sql)
        yield connection


def test_migrations_lead_to_the_schema() -> None:
    """A database made by the migrations, one after the other, has the tables that schema.sql says."""
    migrated = tables_after(sql for _, statements in load_migrations(after=0) for sql in statements)
    assert migrated == tables_after(load_schema())
    assert "run_by_start" in migrated


def test_migrations_are_numbered_without_a_gap() -> None:
    """Migrations count from 1 to the version that the program says it knows."""
    assert [number for number, _ in load_migrations(after=0)] == list(range(1, SCHEMA_VERSION + 1))
    assert load_migrations(after=SCHEMA_VERSION) == []


def test_the_schema_is_in_the_sql_that_both_databases_share() -> None:
    """No word that only one of SQLite and PostgreSQL takes."""
    text = "\n".join(load_schema()).upper()
    for word in ("WITHOUT ROWID", "STRICT", "AUTOINCREMENT", "BLOB", "SERIAL", "JSONB", "PRAGMA"):
        assert not re.search(rf"\b{word}\b", text), word


@pytest.mark.parametrize("name", load_queries())
def test_every_query_fits_the_tables(name: str, database: sqlite3.Connection) -> None:
    """SQLite accepts each query against the schema: no table or column is misspelt."""
    sql = load_queries()[name]
    parameters = dict.fromkeys(re.findall(r"(?<![:\w]):([a-z_]+)", sql), 1)
    database.execute(f"EXPLAIN {sql}", parameters)


@pytest.mark.parametrize("name", load_queries())
def test_every_query_says_what_comes_back(name: str) -> None:
    """Below its name, each query has a comment for people."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in sorted((FOLDER / "queries").glob("*.sql")))
    assert re.search(rf"^-- {name} --\n-- \S", text, re.MULTILINE)


def test_queries_are_parsed_by_name() -> None:
    """A query is what stands between its name and the next one, without comments and semicolon."""
    text = (
        "-- About this file.\n\n-- one --\n-- Says one.\nSELECT 1;\n\n-- two --\nSELECT ':x;', 2 -- not this\n  AS n;\n"
    )
    assert parse_queries(text) == {"one": "SELECT 1", "two": "SELECT ':x;', 2\n  AS n"}


@pytest.mark.parametrize(
    "text",
    [
        "-- one --\nSELECT 1;\n-- one --\nSELECT 2;",
        "-- one --\n-- Nothing.",
        "-- one --\nSELECT 1;\nSELECT 2;",
        "SELECT 0;\n-- one --\nSELECT 1;",
    ],
    ids=["twice", "empty", "two statements", "before the first name"],
)
def test_a_malformed_file_is_refused(text: str) -> None:
    """A name that comes twice or has not exactly one statement is an error of the file."""
    with pytest.raises(ValueError, match=r"query|SQL"):
        parse_queries(text)


def test_a_semicolon_ends_a_statement_at_the_end_of_a_line_only() -> None:
    """A semicolon inside a line belongs to the statement."""
    assert split_statements("SELECT ';x';\n\n-- none\n\nSELECT 2;\n") == ["SELECT ';x'", "SELECT 2"]
    assert split_statements("") == split_statements("-- only words;\n") == []
