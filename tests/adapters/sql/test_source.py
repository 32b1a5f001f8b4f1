"""Tables and queries of SQLite, DuckDB and PostgreSQL, the same rules for all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from filiera.adapters.sql.source import SqlSource
from filiera.core.collected import Collected
from filiera.errors import ProjectError, SourceError
from filiera.testing.source import SourceReaderContract, read
from tests.postgres import PostgresServer

SHOP = """
CREATE TABLE sold (id integer PRIMARY KEY, what text, price numeric(10,2), "at" timestamp);
INSERT INTO sold VALUES (1, 'tea', 2.5, '2026-01-01 10:00:00'), (2, 'crème', 3.25, '2026-01-02 10:00:00'),
                        (3, NULL, NULL, '2026-01-03 10:00:00');
"""
FOUND = [(1, "tea", 2.5), (2, "crème", 3.25), (3, None, None)]

Do = Callable[[str], None]


class Shop:
    """A database with a table of what was sold."""

    def __init__(self, uri: str, do: Do, root: Path) -> None:
        self.uri, self.do, self.root = uri, do, root
        do(SHOP)

    def read(self, **options: Any) -> pl.DataFrame:
        """Return what an entry gives."""
        entry = self.entry(**options)
        SqlSource().check(entry)
        frame: pl.DataFrame = read(SqlSource(), entry, self.root)
        return frame

    def entry(self, **options: Any) -> dict[str, Any]:
        """Return an entry: the table, unless there is a query."""
        return {"type": "sql", "uri": self.uri, **({} if "query" in options else {"table": "sold"}), **options}

    def state(self, **options: Any) -> str:
        """Return the fingerprint of an entry."""
        return SqlSource().fingerprint(self.entry(**options), self.root)


def sqlite_shop(root: Path) -> Shop:
    root.mkdir(exist_ok=True)

    def do(text: str) -> None:
        with closing(sqlite3.connect(root / "shop.sqlite")) as connection:
            connection.executescript(text)

    return Shop("sqlite:shop.sqlite", do, root)


def duckdb_shop(root: Path) -> Shop:
    root.mkdir(exist_ok=True)
    duckdb = pytest.importorskip("duckdb")

    def do(text: str) -> None:
        with duckdb.connect(root / "shop.duckdb") as connection:
            connection.execute(text)

    return Shop("duckdb:shop.duckdb", do, root)


def postgres_shop(server: PostgresServer, root: Path) -> Shop:
    root.mkdir(exist_ok=True)
    name = server.new_database()
    return Shop(server.uri(name), lambda text: (server.sql(text, name), None)[1], root)


@pytest.fixture(params=["sqlite", "duckdb", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    if request.param != "postgresql":
        return {"sqlite": sqlite_shop, "duckdb": duckdb_shop}[request.param](tmp_path / "project")
    return postgres_shop(request.getfixturevalue("postgres"), tmp_path / "project")


class SqlContract(SourceReaderContract):
    place_option = "uri"

    @pytest.fixture
    def reader(self) -> SqlSource:
        return SqlSource()

    @pytest.fixture
    def entry(self, project: Path) -> dict[str, Any]:
        return self.shop.entry()

    def change(self, project: Path) -> None:
        self.shop.do("UPDATE sold SET what = 'coffee' WHERE id = 3")

    def same(self, one: Any, other: Any) -> bool:
        return bool(one.equals(other))


class TestSqlite(SqlContract):
    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        self.shop = sqlite_shop(tmp_path / "project")
        return self.shop.root

    def missing(self, path: str) -> str:
        return f"sqlite:{path}"


class TestDuckDb(SqlContract):
    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        self.shop = duckdb_shop(tmp_path / "project")
        return self.shop.root

    def missing(self, path: str) -> str:
        return f"duckdb:{path}"


class TestPostgreSql(SqlContract):
    @pytest.fixture
    def project(self, tmp_path: Path, postgres: PostgresServer) -> Path:
        self.shop = postgres_shop(postgres, tmp_path / "project")
        return self.shop.root

    def missing(self, path: str) -> str:
        return self.shop.uri.replace("/shop_", "/there_")


def test_a_table_is_read(shop: Shop) -> None:
    """All rows and columns, with names and nulls as they are, and what is told of it."""
    collected = Collected(entry=shop.entry())
    query = SqlSource().read(shop.entry(), shop.root, collected)
    assert isinstance(query, pl.LazyFrame)
    frame = query.collect()
    assert frame.columns == ["id", "what", "price", "at"]
    assert frame.select("id", "what", pl.col("price").cast(pl.Float64)).rows() == FOUND
    assert collected.place == f"{shop.uri.partition('?')[0]}, table sold"
    assert collected.size_bytes > 0


def test_the_server_picks_and_orders(shop: Shop) -> None:
    """Columns come in the order asked for, rows by the condition, in the order asked for."""
    frame = shop.read(columns=["what", "id"], filter="id < 3 -- or so", order_by=["id"])
    assert frame.rows() == [("tea", 1), ("crème", 2)]
    assert shop.read(order_by=["what", "id"], filter="what IS NOT NULL", columns=["what", "id"])["id"].to_list() == [
        2,
        1,
    ]


def test_a_query_is_read(shop: Shop) -> None:
    """Any SELECT, with a comment or a semicolon at its end."""
    frame = shop.read(query="SELECT count(*) AS n, max(id) AS last FROM sold -- all\n;", filter="n > 0")
    assert frame.rows() == [(3, 3)]


def test_names_are_quoted(shop: Shop) -> None:
    """Odd names of tables and columns are names, not SQL."""
    shop.do('CREATE TABLE "odd ""one" ("a;b" integer, "select" text); INSERT INTO "odd ""one" VALUES (1, \'x\')')
    frame = shop.read(table='odd "one', columns=["select", "a;b"], watermark="a;b")
    assert frame.rows() == [("x", 1)]


def test_many_rows_come_in_batches(shop: Shop) -> None:
    """A result that has more rows than one batch is whole and in order."""
    shop.do(
        "CREATE TABLE many AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) "
        "SELECT i, CASE WHEN i > 20000 THEN 'late' END AS late FROM n"
    )
    frame = shop.read(table="many")
    assert frame["i"].to_list() == list(range(1, 50_001))
    assert frame["late"].null_count() == 20_000


@pytest.mark.parametrize(
    ("options", "what", "do"),
    [
        ({"table": "sole"}, "sole", "Correct the entry"),
        ({"columns": ["id", "pirce"]}, "no column 'pirce'", "Correct 'columns'"),
        ({"watermark": "changed_at"}, "no column 'changed_at'", "Correct 'watermark'"),
        ({"watermark": "at", "key": ["nr"]}, "no column 'nr'", "Correct 'key'"),
        ({"order_by": ["nr"]}, "no column 'nr'", "Correct 'order_by'"),
        ({"columns": ["id"], "order_by": ["what"]}, "no column 'what'", "Correct 'order_by'"),
        ({"filter": "pirce > 1"}, "pirce", "Correct the entry"),
        ({"filter": "1 = 1); DROP TABLE sold; --"}, "Cannot read", "Correct the entry"),
        ({"query": "DELETE FROM sold"}, "Cannot read", "Correct the entry"),
        ({"query": "SELECT 1; DROP TABLE sold"}, "Cannot read", "Correct the entry"),
        ({"query": "nonsense"}, "Cannot read", "Correct the entry"),
        ({"query": "SELECT *, what AS id FROM sold"}, "has two columns 'id'", "Rename one"),
    ],
)
def test_what_cannot_be_read_is_told(shop: Shop, options: dict[str, Any], what: str, do: str) -> None:
    """One message with the place and what is wrong; nothing in the database changes."""
    with pytest.raises(SourceError, match=what) as caught:
        shop.read(**options)
    assert shop.uri.partition("?")[0] in str(caught.value)
    assert do in caught.value.do
    assert shop.read().height == 3


def test_a_select_that_writes_is_refused(shop: Shop) -> None:
    """What is read is read only, whatever the SQL says."""
    with pytest.raises(SourceError):
        shop.read(query="WITH gone AS (DELETE FROM sold RETURNING id) SELECT * FROM gone")
    assert shop.read().height == 3


def test_a_password_is_nowhere(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken from the environment and comes neither into messages nor into what is recorded."""
    shop = postgres_shop(postgres, tmp_path / "project")
    shop.do("GRANT SELECT ON sold TO app")
    shop.uri = shop.uri.replace("postgres@", "app:${SHOP_PASSWORD}@")
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret/@:word")
    collected = Collected(entry=shop.entry())
    assert SqlSource().read(shop.entry(), tmp_path, collected).collect().height == 3
    assert "s3cret" not in repr(collected)
    monkeypatch.setenv("SHOP_PASSWORD", "wr0ng/@:word")
    with pytest.raises(SourceError, match="password authentication failed") as caught:
        shop.state()
    told = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert "wr0ng" not in told
    assert "environment variable" in caught.value.do
    monkeypatch.delenv("SHOP_PASSWORD")
    with pytest.raises(ProjectError, match="SHOP_PASSWORD is not set"):
        shop.state()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """Is told with its address."""
    entry = {"type": "sql", "uri": f"postgresql://app@/shop?host={tmp_path}", "table": "sold"}
    with pytest.raises(SourceError, match="Cannot read postgresql://app@/shop, table sold") as caught:
        SqlSource().fingerprint(entry, tmp_path)
    assert "server runs" in caught.value.do


def test_a_connection_that_dies_while_reading(postgres: PostgresServer, tmp_path: Path) -> None:
    """Rows that came before are not taken for the whole."""
    shop = postgres_shop(postgres, tmp_path / "project")
    shop.do("CREATE TABLE many AS SELECT i, repeat('x', 500) AS t FROM generate_series(1, 200000) AS i")
    entry = shop.entry(table="many")
    batches = _batches(SqlSource().read(entry, tmp_path, Collected(entry=entry)))
    next(batches)
    shop.do(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE 'COPY%'"
    )
    with pytest.raises(SourceError, match=r"table many: reading broke off after [\d,]+ rows"):
        list(batches)


def _batches(query: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    return iter(query.collect_batches(chunk_size=100, lazy=True))


TYPES = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE typed AS SELECT 1::smallint AS i2, 2::int AS i4, 3::bigint AS i8, 1.5::real AS f4, 2.5::float8 AS f8,
  1234567890123456.78::numeric(18,2) AS exact, 0.1::numeric AS loose,
  true AS yes, 'é'::text AS t, 'ab'::char(4) AS padded,
  '\\x0102'::bytea AS raw, '2026-01-02'::date AS day, '03:04:05.000006'::time AS clock,
  '2026-01-02 03:04:05.000006'::timestamp AS at, '2026-01-02 03:04:05+02'::timestamptz AS zoned,
  '1 month 2 days'::interval AS span, '{"a": [1]}'::json AS j, '{"a": [1]}'::jsonb AS jb,
  '6f9619ff-8b86-d011-b42d-00c04fc964ff'::uuid AS u, 'glad'::mood AS mood, '10.0.0.1'::inet AS address,
  4294967295::oid AS o, 12.5::money AS m, '[1,3)'::int4range AS r, '{1,NULL,3}'::int[] AS ints,
  '{a,b}'::text[] AS texts, '{1.5,2}'::numeric[] AS numbers, '{glad}'::mood[] AS moods;
"""
TYPED = {
    "i2": (pl.Int16, 1), "i4": (pl.Int32, 2), "i8": (pl.Int64, 3), "f4": (pl.Float32, 1.5), "f8": (pl.Float64, 2.5),
    "exact": (pl.Decimal(18, 2), Decimal("1234567890123456.78")), "loose": (pl.Float64, 0.1), "yes": (pl.Boolean, True),
    "t": (pl.String, "é"), "padded": (pl.String, "ab"), "raw": (pl.Binary, b"\1\2"), "day": (pl.Date, date(2026, 1, 2)),
    "clock": (pl.Time, time(3, 4, 5, 6)), "at": (pl.Datetime("us"), datetime(2026, 1, 2, 3, 4, 5, 6)),
    "zoned": (pl.Datetime("us", "UTC"), datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)), "span": (pl.String, "P1M2D"),
    "j": (pl.String, '{"a": [1]}'), "jb": (pl.String, '{"a": [1]}'),
    "u": (pl.String, "6f9619ff-8b86-d011-b42d-00c04fc964ff"), "mood": (pl.String, "glad"),
    "address": (pl.String, "10.0.0.1/32"), "o": (pl.Int64, 4_294_967_295), "m": (pl.Decimal(19, 2), Decimal("12.50")),
    "r": (pl.String, "[1,3)"), "ints": (pl.List(pl.Int32), [1, None, 3]), "texts": (pl.List(pl.String), ["a", "b"]),
    "numbers": (pl.List(pl.Float64), [1.5, 2.0]), "moods": (pl.List(pl.String), ["glad"]),
}  # fmt: skip


def test_types_of_postgresql(postgres: PostgresServer, tmp_path: Path) -> None:
    """Each type has one of Polars; those that Polars lacks are texts."""
    shop = postgres_shop(postgres, tmp_path / "project")
    shop.do(TYPES)
    frame = shop.read(table="typed")
    assert {name: (frame.schema[name], frame.rows(named=True)[0][name]) for name in frame.columns} == TYPED


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("'infinity'::timestamp", "holds a time that no table can"),
        ("'-infinity'::date", "holds a time that no table can"),
        ("'NaN'::numeric(10,2)", "no decimal number"),
        ("'{{1,2},{3,4}}'::int[]", "several dimensions"),
    ],
)
def test_values_that_would_be_lost(postgres: PostgresServer, tmp_path: Path, value: str, what: str) -> None:
    """A value that a table cannot hold is an error that says what to write, never another value."""
    shop = postgres_shop(postgres, tmp_path / "project")
    with pytest.raises(SourceError, match=what) as caught:
        shop.read(query=f"SELECT {value} AS odd")
    assert "query = " in caught.value.do


def test_types_of_sqlite(tmp_path: Path) -> None:
    """Values decide, however late they come; a column without any has the type that is declared."""
    shop = sqlite_shop(tmp_path / "project")
    shop.do(
        "CREATE TABLE loose (whole, fraction, words, mixed, raw blob, empty integer, price numeric(10,2));"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
        " INSERT INTO loose SELECT NULL, i, NULL, i, NULL, NULL, i FROM n;"
        "INSERT INTO loose VALUES (1, 1.5, 'a', 'b', x'01', NULL, 2)"
    )
    frame = shop.read(table="loose")
    kinds = [pl.Int64, pl.Float64, pl.String, pl.String, pl.Binary, pl.Int64, pl.Float64]
    assert list(frame.schema.values()) == kinds
    assert frame.rows()[-1] == (1, 1.5, "a", "b", b"\1", None, 2.0)
    shop.do("INSERT INTO loose(raw) VALUES ('text')")
    with pytest.raises(SourceError, match="'raw' holds bytes in some rows and text in others"):
        shop.read(table="loose")


def test_broken_text_of_sqlite_is_told(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 never become a text."""
    shop = sqlite_shop(tmp_path / "project")
    shop.do("INSERT INTO sold(id, what) VALUES (4, CAST(x'ff41' AS text))")
    with pytest.raises(SourceError, match="UTF8"):
        shop.read()


def test_what_waits_in_sqlites_log_counts(tmp_path: Path) -> None:
    """Changes that wait beside the file, in its log, are read and are in the fingerprint."""
    shop = sqlite_shop(tmp_path / "project")
    before = shop.state()
    with closing(sqlite3.connect(tmp_path / "project/shop.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO sold(id) VALUES (4)")
        connection.commit()
        assert shop.state() != before
        assert shop.read().height == 4


def test_reading_leaves_no_trace(shop: Shop) -> None:
    """The fingerprint is the same after any number of reads."""
    before = shop.state()
    shop.read()
    shop.read(watermark="at")
    assert shop.state() == before


def test_a_watermark_is_a_fingerprint(shop: Shop) -> None:
    """It changes with the greatest value and with how many rows have it, and with nothing else."""
    before = shop.state(watermark="at")
    shop.do("CREATE TABLE other (a integer); UPDATE sold SET what = 'x' WHERE id = 1")
    assert shop.state(watermark="at") == before
    shop.do("INSERT INTO sold VALUES (4, 'same', 1, '2026-01-03 10:00:00')")
    equal = shop.state(watermark="at")
    shop.do("INSERT INTO sold VALUES (5, 'new', 1, '2026-01-04 10:00:00')")
    assert len({before, equal, shop.state(watermark="at")}) == 3
