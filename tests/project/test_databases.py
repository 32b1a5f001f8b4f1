"""Relational sources in a project: from a table to a published version."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from filiera.errors import SourceError
from tests.cli.command import filiera
from tests.kept_passwords import BACKEND, FILE_VARIABLE
from tests.postgres import PostgresServer
from tests.projects import SmallProject, statuses

FLOWS = """
    import polars as pl
    from filiera import Dataset, Source, pipeline, step

    @step(stage="clean")
    def dear(sold: pl.LazyFrame) -> pl.DataFrame:
        return sold.filter(pl.col("price") > 2).collect()

    @pipeline(kind="data", publishes=Dataset("dear"))
    def sales(sold: pl.DataFrame = Source("sold")):
        return dear(sold)
"""
CATALOG = """
    [project]
    name = "small"

    [catalog.sold]
    type = "sql"
    uri = "{uri}"
    table = "sold"

    [profile.local]
    executor = "inline"
"""
SOLD = "CREATE TABLE sold (id integer PRIMARY KEY, price float); INSERT INTO sold VALUES (1, 1.5), (2, 2.5), (3, 3.5)"


@pytest.fixture
def in_sqlite(tmp_path: Path) -> SmallProject:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        connection.executescript(SOLD)
    return SmallProject(tmp_path, {"flows.py": FLOWS, "filiera.toml": CATALOG.format(uri="sqlite:shop.sqlite")})


@pytest.fixture
def in_duckdb(tmp_path: Path) -> Any:
    duckdb = pytest.importorskip("duckdb")

    def do(text: str) -> None:
        with duckdb.connect(tmp_path / "shop.duckdb") as connection:
            connection.execute(text)

    do(SOLD)
    toml = CATALOG.format(uri="duckdb:shop.duckdb")
    return SmallProject(tmp_path, {"flows.py": FLOWS, "filiera.toml": toml}), do


@pytest.fixture
def in_postgres(tmp_path: Path, postgres: PostgresServer) -> Any:
    name = postgres.new_database()
    postgres.sql(SOLD, name)
    uri = postgres.uri(name)
    project = SmallProject(tmp_path, {"flows.py": FLOWS, "filiera.toml": CATALOG.format(uri=uri)})
    return project, lambda text: postgres.sql(text, name)


def published(project: SmallProject) -> list[Any]:
    with project.opened() as opened:
        return [opened.value(version.artifact) for version in opened.versions.find(kind="dataset", name="dear")]


def test_from_sqlite_to_a_version(in_sqlite: SmallProject) -> None:
    """Rows become a version, with what was collected; a second run is a hit, a changed table is not."""
    run = in_sqlite.run("sales")
    assert [frame["id"].to_list() for frame in published(in_sqlite)] == [[2, 3]]
    collected = run.state.steps["collect-sold"].outputs[1]
    with in_sqlite.opened() as opened:
        told = opened.value(collected)
    assert (told.place, told.rows, told.entry["table"]) == ("sqlite:shop.sqlite, table sold", 3, "sold")
    assert set(statuses(in_sqlite.run("sales")).values()) == {"hit"}
    with closing(sqlite3.connect(in_sqlite.root / "shop.sqlite")) as connection:
        connection.executescript("INSERT INTO sold VALUES (4, 4.5)")
    in_sqlite.run("sales")
    assert [frame.height for frame in published(in_sqlite)] == [3, 2]


def test_from_duckdb_to_a_version(in_duckdb: Any) -> None:
    """The same from DuckDB's file; one that is written while it is read is refused, and read in the next run."""
    from filiera.adapters.sql.duckdb import DuckDb

    project, do = in_duckdb
    project.run("sales")
    assert [frame["id"].to_list() for frame in published(project)] == [[2, 3]]
    assert set(statuses(project.run("sales")).values()) == {"hit"}
    do("UPDATE sold SET price = 5 WHERE id = 1")
    original = DuckDb.read

    def read(self: DuckDb, *arguments: Any) -> Any:
        yield from original(self, *arguments)
        do("UPDATE sold SET price = 6 WHERE id = 1")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DuckDb, "read", read)
        failure = project.run("sales").state.steps["collect-sold"].failure
    assert failure is not None
    assert "changed while" in failure.message
    project.run("sales")
    assert published(project)[0].sort("id")["price"].to_list() == [6, 2.5, 3.5]


def test_from_postgresql_to_a_version(in_postgres: Any) -> None:
    """The same from a server: nothing is read again while nobody writes; what others write is seen and does no harm."""
    project, do = in_postgres
    project.run("sales")
    assert set(statuses(project.run("sales")).values()) == {"hit"}
    do("CREATE TABLE other (a integer)")
    assert statuses(project.run("sales")) == {
        "collect-sold": "succeeded",
        "dear": "hit",
        "validate": "hit",
        "publish": "hit",
    }
    do("UPDATE sold SET price = 5 WHERE id = 1")
    project.run("sales")
    assert published(project)[0]["id"].to_list() == [2, 3, 1]


def test_a_busy_server(in_postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes between planning and reading are no reason to refuse: what is read is one state of the database."""
    from filiera.adapters.sql.source import SqlSource

    project, do = in_postgres
    original = SqlSource.read

    def read(self: SqlSource, *arguments: Any) -> Any:
        do("INSERT INTO sold SELECT max(id) + 1, 9 FROM sold")
        return original(self, *arguments)

    monkeypatch.setattr(SqlSource, "read", read)
    project.run("sales")
    assert [frame["id"].to_list() for frame in published(project)] == [[2, 3, 4]]


def test_a_server_that_dies_publishes_nothing(in_postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a table is nothing: the step fails with one message, and the next run reads it whole."""
    from filiera.adapters.sql.postgresql import PostgreSql

    project, do = in_postgres
    do("ALTER TABLE sold ADD what text")
    do("INSERT INTO sold SELECT i, 9, repeat('x', 500) FROM generate_series(4, 80000) i")
    original = PostgreSql.read

    def read(self: PostgreSql, *arguments: Any) -> Any:
        for number, batch in enumerate(original(self, *arguments)):
            if number == 1:
                others = "pid <> pg_backend_pid() AND query LIKE 'COPY%'"
                do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(PostgreSql, "read", read)
        run = project.run("sales")
    failure = run.state.steps["collect-sold"].failure
    assert failure is not None
    assert failure.error == "SourceError"
    assert "reading broke off after" in failure.message
    assert published(project) == []
    project.run("sales")
    assert [frame.height for frame in published(project)] == [79_999]


def test_a_password_is_not_in_the_store(
    in_postgres: Any, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of the store holds it, whether the run succeeds or fails."""
    project, do = in_postgres
    do("GRANT SELECT ON sold TO app")
    text = (project.root / "filiera.toml").read_text()
    project.write({"filiera.toml": text.replace("postgres@", "app:${SHOP_PASSWORD}@")})
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret/@:word")
    assert project.run("sales").state.status == "succeeded"
    stored = [path.read_bytes() for path in (project.root / ".filiera").rglob("*") if path.is_file()]
    assert any(b"SHOP_PASSWORD" in content for content in stored)
    assert not any(b"s3cret" in content for content in stored)


def test_a_password_of_the_keyring_is_nowhere_else(in_postgres: Any, postgres: PostgresServer, tmp_path: Path) -> None:
    """Not in the store, and in nothing that is printed, whether the run succeeds or fails."""
    project, do = in_postgres
    do("GRANT SELECT ON sold TO app")
    text = (project.root / "filiera.toml").read_text()
    project.write({"filiera.toml": text.replace("postgres@", "app:${keyring:shop/app}@")})
    passwords = tmp_path / "passwords.json"
    env = {
        "PYTHON_KEYRING_BACKEND": BACKEND,
        FILE_VARIABLE: str(passwords),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
    }

    def keep(password: str) -> None:
        passwords.write_text(json.dumps({"shop\napp": password}))

    def told(*words: str) -> str:
        answer = filiera(*words, cwd=project.root, env=env)
        return f"{answer.code} {answer.out} {answer.err}"

    assert "The keyring has no password of app for shop" in told("run", "sales")
    keep("wr0ng/@:word")
    refused = told("run", "sales")
    assert "password authentication failed" in refused
    keep("s3cret/@:word")
    done = told("run", "sales")
    assert "succeeded" in done
    words = [
        ("show", "sales-1"),
        ("show", "sales"),
        ("explain", "sales-1/collect-sold"),
        ("plan", "sales"),
        ("log", "sales-1"),
    ]
    printed = [refused, done, *(told(*each) for each in words)]
    stored = [path.read_bytes() for path in (project.root / ".filiera").rglob("*") if path.is_file()]
    assert any(b"keyring:shop/app" in content for content in stored)
    for secret in ("s3cret", "wr0ng"):
        assert not any(secret.encode() in content for content in stored)
        assert not any(secret in text for text in printed)


def growing(project: SmallProject, **options: str) -> None:
    """Let the entry read what is new only."""
    text = (project.root / "filiera.toml").read_text()
    lines = "".join(f"{name} = {value}\n" for name, value in {"watermark": '"id"', **options}.items())
    project.write({"filiera.toml": text.replace('table = "sold"\n', f'table = "sold"\n{lines}')})


def collected(project: SmallProject) -> tuple[list[int], int]:
    """Run the pipeline; return the rows that were collected, sorted, and how many of them were read."""
    run = project.run("sales")
    assert run.state.status == "succeeded", run.state.steps["collect-sold"].failure
    with project.opened() as opened:
        table, told = map(opened.value, run.state.steps["collect-sold"].outputs)
    assert told.rows == table.height
    return sorted(table["id"]), told.more["rows_read"]


@pytest.fixture(params=["sqlite", "duckdb", "postgresql"])
def shop(request: pytest.FixtureRequest) -> Any:
    if request.param != "sqlite":
        return request.getfixturevalue("in_duckdb" if request.param == "duckdb" else "in_postgres")
    project = request.getfixturevalue("in_sqlite")

    def do(text: str) -> None:
        with closing(sqlite3.connect(project.root / "shop.sqlite")) as connection:
            connection.executescript(text)

    return project, do


def test_only_what_is_new_is_read(shop: Any) -> None:
    """Rows at or beyond the greatest watermark are read, the others come from the collection before."""
    project, do = shop
    growing(project)
    assert collected(project) == ([1, 2, 3], 3)
    do("INSERT INTO sold VALUES (4, 4.5), (5, 5.5); UPDATE sold SET price = 9 WHERE id = 1")
    assert collected(project) == ([1, 2, 3, 4, 5], 3)
    assert published(project)[0]["price"].to_list() == [2.5, 3.5, 4.5, 5.5]
    assert set(statuses(project.run("sales")).values()) == {"hit"}
    run = project.run("sales", fresh=("collect-sold",))
    with project.opened() as opened:
        assert opened.value(run.state.steps["collect-sold"].outputs[1]).more["rows_read"] == 5
    assert sorted(published(project)[0]["price"]) == [2.5, 3.5, 4.5, 5.5, 9]


def test_equal_and_late_values(shop: Any) -> None:
    """Rows with the greatest value are neither lost nor there twice; late ones are seen as far back as is said."""
    project, do = shop
    growing(project, watermark='"price"', late_by="1.0")
    collected(project)
    do("INSERT INTO sold VALUES (4, 3.5), (5, 2.5), (6, 2.4), (7, NULL)")
    assert collected(project) == ([1, 2, 3, 4, 5, 7], 5)
    do("INSERT INTO sold VALUES (8, NULL)")
    assert collected(project)[0] == [1, 2, 3, 4, 5, 7, 8]


def test_a_row_that_changes_replaces_the_former(shop: Any) -> None:
    """With a key, a row whose watermark has grown is there once."""
    project, do = shop
    growing(project, watermark='"price"', key='["id"]')
    collected(project)
    do("UPDATE sold SET price = 8 WHERE id = 1")
    assert collected(project) == ([1, 2, 3], 2)


def test_another_database_is_read_anew(
    tmp_path: Path, in_sqlite: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of one database is never mixed with another, though the entry is the same."""
    text = (in_sqlite.root / "filiera.toml").read_text()
    in_sqlite.write({"filiera.toml": text.replace("sqlite:shop.sqlite", "sqlite:${SHOP}.sqlite")})
    growing(in_sqlite)
    monkeypatch.setenv("SHOP", "shop")
    assert collected(in_sqlite) == ([1, 2, 3], 3)
    with closing(sqlite3.connect(in_sqlite.root / "other.sqlite")) as connection:
        connection.executescript("CREATE TABLE sold (id integer, price float); INSERT INTO sold VALUES (2, 8), (3, 9)")
    monkeypatch.setenv("SHOP", "other")
    assert collected(in_sqlite) == ([2, 3], 2)


@pytest.mark.parametrize("database", ["duckdb", "postgres"])
def test_a_watermark_needs_an_order(request: pytest.FixtureRequest, database: str) -> None:
    """Texts are sorted in as many ways as there are languages, so they are refused."""
    project, do = request.getfixturevalue(f"in_{database}")
    do("ALTER TABLE sold ADD what text")
    growing(project, watermark='"what"')
    with pytest.raises(SourceError, match="cannot grow by its column 'what', which is String"):
        project.run("sales")


@pytest.mark.parametrize(
    "watermark",
    ["timestamptz '2026-01-01' + interval 1 hour * id", "timestamp_ns '2026-01-01' + interval 1 hour * id",
     "date '2026-01-01' + id", "id::hugeint", "time '00:00' + interval 1 hour * id", "id::decimal(9, 3)"],
)  # fmt: skip
def test_watermarks_of_duckdb(in_duckdb: Any, watermark: str) -> None:
    """Each type that has an order that both sides agree on."""
    project, do = in_duckdb
    do(f"CREATE VIEW seen AS SELECT *, {watermark} AS mark FROM sold")
    text = (project.root / "filiera.toml").read_text().replace('table = "sold"', 'table = "seen"\nwatermark = "mark"')
    project.write({"filiera.toml": text})
    assert collected(project) == ([1, 2, 3], 3)
    do("INSERT INTO sold VALUES (4, 4.5), (5, 5.5)")
    assert collected(project) == ([1, 2, 3, 4, 5], 3)
