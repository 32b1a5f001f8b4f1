"""What is DuckDB's own: types that go deep, a file that one process writes or several read, changes that wait."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from filiera.adapters.sql.sink import write_table
from filiera.adapters.sql.source import SqlSource
from filiera.errors import SourceError
from tests.adapters.sql.test_source import Shop, duckdb_shop

duckdb = pytest.importorskip("duckdb")

UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
TYPES = f"""
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE typed AS SELECT 1::tinyint AS i1, 2::smallint AS i2, 3::int AS i4, 4::bigint AS i8,
  {10**37}::hugeint AS i16, 5::utinyint AS u1, 6::usmallint AS u2, 7::uinteger AS u4, {2**64 - 1}::ubigint AS u8,
  8::uhugeint AS u16, 1.5::float AS f4, 2.5::double AS f8, 12.50::decimal(10, 2) AS exact, true AS yes, 'é' AS t,
  '\\x01\\x02'::blob AS raw, date '2026-01-02' AS day, time '03:04:05.000006' AS clock,
  timetz '03:04:05+02' AS clock_zoned, timestamp '2026-01-02 03:04:05.000006' AS moment,
  timestamp_s '2026-01-02 03:04:05' AS s, timestamp_ms '2026-01-02 03:04:05.006' AS ms,
  timestamp_ns '2026-01-02 03:04:05.000006' AS ns, timestamptz '2026-01-02 03:04:05+02' AS zoned,
  interval '1 month 2 days' AS span, '{{"a": [1]}}'::json AS j, uuid '{UUID}' AS u, 'glad'::mood AS mood,
  '0101'::bit AS bits, 12::bignum AS big, union_value(n := 1) AS one_of, NULL AS nothing,
  [1, NULL, 3] AS ints, [[1], [2, 3]] AS nested, ['glad'::mood] AS moods, [1, 2]::smallint[2] AS pair,
  {{'x': 1, 'say "y"': {{'z': uuid '{UUID}', 'h': [9::hugeint], 'i': interval 1 day}}}} AS deep;
"""
TYPED = {
    "i1": (pl.Int8, 1), "i2": (pl.Int16, 2), "i4": (pl.Int32, 3), "i8": (pl.Int64, 4),
    "i16": (pl.Decimal(38, 0), Decimal(10**37)), "u1": (pl.UInt8, 5), "u2": (pl.UInt16, 6), "u4": (pl.UInt32, 7),
    "u8": (pl.UInt64, 2**64 - 1), "u16": (pl.Decimal(38, 0), Decimal(8)), "f4": (pl.Float32, 1.5),
    "f8": (pl.Float64, 2.5), "exact": (pl.Decimal(10, 2), Decimal("12.50")), "yes": (pl.Boolean, True),
    "t": (pl.String, "é"), "raw": (pl.Binary, b"\1\2"), "day": (pl.Date, date(2026, 1, 2)),
    "clock": (pl.Time, time(3, 4, 5, 6)), "clock_zoned": (pl.String, "03:04:05+02"),
    "moment": (pl.Datetime("us"), datetime(2026, 1, 2, 3, 4, 5, 6)),
    "s": (pl.Datetime("us"), datetime(2026, 1, 2, 3, 4, 5)),
    "ms": (pl.Datetime("ms"), datetime(2026, 1, 2, 3, 4, 5, 6000)),
    "ns": (pl.Datetime("ns"), datetime(2026, 1, 2, 3, 4, 5, 6)),
    "zoned": (pl.Datetime("us", "UTC"), datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
    "span": (pl.String, "1 month 2 days"), "j": (pl.String, '{"a": [1]}'), "u": (pl.String, UUID),
    "mood": (pl.String, "glad"), "bits": (pl.String, "0101"), "big": (pl.String, "12"), "one_of": (pl.String, "1"),
    "nothing": (pl.String, None), "ints": (pl.List(pl.Int32), [1, None, 3]),
    "nested": (pl.List(pl.List(pl.Int32)), [[1], [2, 3]]), "moods": (pl.List(pl.String), ["glad"]),
    "pair": (pl.Array(pl.Int16, 2), [1, 2]),
    "deep": (
        pl.Struct({"x": pl.Int32, 'say "y"': pl.Struct(
            {"z": pl.String, "h": pl.List(pl.Decimal(38, 0)), "i": pl.String})}),
        {"x": 1, 'say "y"': {"z": UUID, "h": [Decimal(9)], "i": "1 day"}},
    ),
}  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return duckdb_shop(tmp_path / "project")


def test_types(shop: Shop) -> None:
    """Each type has one of Polars, at any depth; those that Polars lacks are texts."""
    shop.do(TYPES)
    frame = shop.read(table="typed")
    assert {name: (frame.schema[name], frame.rows(named=True)[0][name]) for name in frame.columns} == TYPED
    assert shop.read(query="SELECT sum(id) AS n FROM sold").rows() == [(Decimal(6),)]
    assert shop.read(query="SELECT MAP {'k': 'glad'::mood} AS m FROM typed")["m"].len() == 1


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("'infinity'::timestamp", "holds a time that no table can: infinity"),
        ("'-infinity'::timestamptz", "holds a time that no table can: infinity"),
        ("'infinity'::timestamp_s", "holds a time that no table can: infinity"),
        ("'-infinity'::date", "holds a time that no table can: infinity"),
        ("[{'at': NULL}, {'at': timestamp 'infinity'}]", "holds a time that no table can: infinity"),
        ("time '24:00:00'", "not within the acceptable range"),
        (f"{2**127 - 1}::hugeint", "ould not cast value"),
        (f"{2**128 - 1}::uhugeint", "ould not cast value"),
    ],
)
def test_values_that_would_be_lost(shop: Shop, value: str, what: str) -> None:
    """A value that a table cannot hold is an error that says what to write, never another value."""
    with pytest.raises(SourceError, match=what) as caught:
        shop.read(query=f"SELECT {value} AS odd")
    assert "query = " in caught.value.do
    assert shop.read(query=f"SELECT CAST({value} AS text) AS odd").height == 1


def test_reading_makes_no_file(tmp_path: Path) -> None:
    """DuckDB would make a database that is not there."""
    entry = {"type": "sql", "uri": "duckdb:shop.duckdb", "table": "sold"}
    for uri in ("duckdb:shop.duckdb", "duckdb::memory:", "duckdb:md:shop"):
        with pytest.raises(SourceError, match="There is no"):
            SqlSource().fingerprint({**entry, "uri": uri}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    """A file of something else stays as it is, read or written."""
    entry = {"type": "sql", "uri": "duckdb:shop.duckdb", "table": "sold"}
    (tmp_path / "shop.duckdb").write_text("no database\n" * 999)
    with pytest.raises(SourceError, match="not a valid DuckDB database file"):
        SqlSource().fingerprint(entry, tmp_path)
    with pytest.raises(SourceError, match="not a valid DuckDB database file"):
        write_table(entry, tmp_path, pl.LazyFrame({"a": [1]}), mode="replace")
    assert (tmp_path / "shop.duckdb").read_text() == "no database\n" * 999


OTHER = """
import sys, duckdb
connection = duckdb.connect({PATH!r}, read_only={READ_ONLY})
{DO}
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_process(shop: Shop, *, read_only: bool = False, do: str = "") -> Iterator[subprocess.Popen[str]]:
    """Have the database open in another process."""
    path = str(shop.root / "shop.duckdb")
    code = OTHER.replace("{PATH!r}", repr(path)).replace("{READ_ONLY}", str(read_only)).replace("{DO}", do)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        assert it.stdout.readline() == "open\n"
        try:
            yield it
        finally:
            it.kill()


def test_a_writer_in_another_process_is_told(shop: Shop) -> None:
    """Who has it, and what to do; a reader there hinders writing only."""
    with other_process(shop) as other:
        for action in (shop.read, shop.state):
            with pytest.raises(SourceError, match=rf"(?s)Could not set lock.*\(PID {other.pid}\)\n") as caught:
                action()
            assert "one process may write to it, or several read it" in caught.value.do
    with other_process(shop, read_only=True):
        assert shop.read().height == 3
        with pytest.raises(SourceError, match="Could not set lock"):
            write_table(shop.entry(), shop.root, pl.LazyFrame({"a": [1]}), mode="replace")
    assert shop.read().height == 3


def test_a_writer_in_this_process_is_told(shop: Shop) -> None:
    """Locks do not keep the process that holds them away; its connection would not see what we write."""
    with duckdb.connect(shop.root / "shop.duckdb"), pytest.raises(SourceError, match="This process itself"):
        shop.read()
    with duckdb.connect(shop.root / "shop.duckdb", read_only=True):
        assert shop.read().height == 3
        with pytest.raises(SourceError, match="This process itself"):
            write_table(shop.entry(), shop.root, pl.LazyFrame({"a": [1]}), mode="replace")
    write_table(shop.entry(), shop.root, pl.LazyFrame({"a": [1]}), mode="replace")
    assert shop.read().rows() == [(1,)]


def test_what_a_killed_writer_left_counts(shop: Shop) -> None:
    """Changes that wait beside the file are read and are in the fingerprint, and reading does not put them in."""
    before, content = shop.state(), (shop.root / "shop.duckdb").read_bytes()
    with other_process(shop, do="connection.execute('INSERT INTO sold(id) VALUES (4)')"):
        pass
    assert shop.state() != before
    assert shop.read().height == 4
    assert (shop.root / "shop.duckdb").read_bytes() == content


def test_a_query_sees_its_database_alone(shop: Shop) -> None:
    """The fingerprint is of one file, so no other is read."""
    (shop.root / "other.csv").write_text("a\n1\n")
    for query in (f"SELECT * FROM '{shop.root}/other.csv'", f"SELECT * FROM read_text('{shop.root}/other.csv')"):
        with pytest.raises(SourceError, match="disabled by configuration"):
            shop.read(query=query)


def test_a_schema_and_a_view(shop: Shop) -> None:
    """A table may be in a schema, and a view is read like a table."""
    shop.do(
        "CREATE SCHEMA old; CREATE TABLE old.sold AS SELECT 7 AS id; CREATE VIEW cheap AS FROM sold WHERE price < 3"
    )
    assert shop.read(table="old.sold").rows() == [(7,)]
    assert shop.read(table="cheap")["id"].to_list() == [1]
    write_table(shop.entry(table="old.sold"), shop.root, pl.LazyFrame({"id": [8]}), mode="append")
    assert sorted(shop.read(table="old.sold").rows()) == [(7,), (8,)]


def test_rows_that_are_appended_take_the_types_of_the_table(shop: Shop) -> None:
    """A column that is not given has its default; a value that does not fit is told, and nothing is written."""
    shop.do("CREATE TABLE more (id smallint PRIMARY KEY, n double DEFAULT 7)")
    entry: dict[str, Any] = shop.entry(table="more")
    write_table(entry, shop.root, pl.LazyFrame({"id": [1]}), mode="append")
    for rows, what in (({"id": [2, 1]}, "Duplicate key"), ({"id": [2, 99_999]}, "out of range"), ({"x": [1]}, '"x"')):
        with pytest.raises(SourceError, match=what):
            write_table(entry, shop.root, pl.LazyFrame(rows), mode="append")
    assert shop.read(table="more").rows() == [(1, 7.0)]
