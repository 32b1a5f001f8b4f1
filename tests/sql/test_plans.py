"""What commands read stays quick in a store of any size: no query reads a table from end to end."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import filiera.sql
from filiera.adapters.sqlite_records import add_functions
from filiera.sql.loader import load_schema, parse_queries

FOLDER = Path(filiera.sql.__file__).parent / "queries"
TOPICS = ("runs", "products", "cache")

SCANS = {
    "search_pipelines": "reads the names of all pipelines, of which there are thousands",
    "search_pipelines_in_state": "reads the names of all pipelines, of which there are thousands",
    "search_numbered_runs": "reads the names of all pipelines, of which there are thousands",
    "latest_run": "stops after one run: it follows run_by_start",
    "product_names": "for messages about a name that does not exist; reads an index",
    "find_aliases": "lists them all",
}
"""Queries that read a table or index without a condition on its first column, and why that is no matter."""

SORTS = {
    "search_newest_runs": "a page",
    "search_newest_runs_in_state": "a page",
    "search_pipelines": "a page",
    "search_pipelines_in_state": "a page",
    "search_numbered_runs": "the runs of one number",
    "published_version": "the versions of one product with one content",
    "previous_step_run": "the last 50 runs of a pipeline",
    "note_first_alias": "the versions of one product with one content",
    "set_first_alias": "the versions of one product with one content",
}
"""Queries that sort, and what."""

ALIASES = {"own", "one", "same"}
"""What queries call tables that they name a second time."""

QUERIES = {
    name: sql
    for topic in TOPICS
    for name, sql in parse_queries((FOLDER / f"{topic}.sql").read_text(encoding="utf-8")).items()
}


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        add_functions(connection)
        for sql in load_schema():
            connection.execute(sql)
        yield connection


def plan(database: sqlite3.Connection, name: str) -> list[str]:
    """Return the steps of SQLite's plan for a query."""
    parameters = dict.fromkeys(re.findall(r"(?<![:\w]):([a-z_]+)", QUERIES[name]), 1)
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {QUERIES[name]}", parameters)]


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_reads_a_whole_table(name: str, database: sqlite3.Connection) -> None:
    """Each table is searched by an index; the exceptions are named, with the reason, and real."""
    steps = plan(database, name)
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    scans = [step for step in steps if step.startswith("SCAN ") and step.split()[1] in tables | ALIASES]
    assert bool(scans) == (name in SCANS), steps
    assert not any("AUTOMATIC" in step for step in steps), steps


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_sorts_a_whole_table(name: str, database: sqlite3.Connection) -> None:
    """Pages come in the order of an index; what is sorted is short, and named."""
    steps = plan(database, name)
    assert any("USE TEMP B-TREE" in step for step in steps) == (name in SORTS), steps
