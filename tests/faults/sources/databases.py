"""What a music shop sold, in a relational database: faults of values, of the table, of the file and of the server."""

from __future__ import annotations

import datetime as dt
import random
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from filiera.core.check import Check
from tests.faults.sources import laws, wrong_checks
from tests.faults.sources.world import (
    STEP,
    TEMPLATES,
    Caught,
    Change,
    Place,
    Spoil,
    World,
    by_check,
    by_source,
    set_aside,
    write_project,
)
from tests.postgres import PostgresServer

CHINOOK = TEMPLATES / "music_shop/data/chinook.sqlite"
GENRES = ("Rock", "Latin", "Metal", "Alternative & Punk", "Other")
MEDIA = ("is_mpeg", "is_protected", "is_other")
LIMIT = 500_000_000
RULE = f"bytes in 0..{LIMIT}"
TABLE = 'table = "sold"'

SOLD = """
SELECT l.InvoiceLineId AS line, l.InvoiceId AS invoice, l.TrackId AS track, i.CustomerId AS customer,
       i.BillingCountry AS country, i.InvoiceDate AS sold_at,
       CASE WHEN g.Name IN ('Rock', 'Latin', 'Metal', 'Alternative & Punk') THEN g.Name ELSE 'Other' END AS genre,
       m.Name = 'MPEG audio file' AS is_mpeg, m.Name LIKE 'Protected%' AS is_protected,
       m.Name <> 'MPEG audio file' AND m.Name NOT LIKE 'Protected%' AS is_other,
       l.Quantity AS pieces, CAST(round(l.UnitPrice * 100) AS INTEGER) AS cents,
       CAST(round(l.UnitPrice * 100) AS INTEGER) * l.Quantity AS amount,
       CAST(round(i.Total * 100) AS INTEGER) AS invoice_total, t.Milliseconds AS milliseconds, t.Bytes AS bytes,
       CASE WHEN l.InvoiceLineId * 7919 % 11 > 0 THEN t.Bytes / 1024.0 END AS kb_raw,
       i.InvoiceDate < '2024-01-01' AS is_training
  FROM InvoiceLine l JOIN Invoice i USING (InvoiceId) JOIN Track t USING (TrackId) JOIN Genre g USING (GenreId)
  JOIN MediaType m USING (MediaTypeId) ORDER BY l.InvoiceLineId
"""


def lines_add_up(col):
    """An invoice says what its lines add up to."""
    return col.lines_total == col.invoice_total


def amount(col):
    return col.pieces * col.cents


ROLES = laws.Roles(
    key="line", time="sold_at", texts=("genre", "country"), number="pieces", flags=MEDIA, total="amount",
    filled=("kb", "kb_raw"), label="is_training", features=("customer", "milliseconds"), partner="track",
    is_kept=pl.col("bytes") <= LIMIT,
    checks={
        "types": Check.types({"line": "int64", "pieces": "int64", "country": "string", "sold_at": "timestamp"}),
        "nulls": Check.not_null("line", "sold_at", "genre", "country", "track"),
        "range": Check.in_range("pieces", 1, 99),
        "set": Check.in_set("genre", GENRES),
        "key": Check.unique("line"),
        "one hot": Check.one_hot(*MEDIA),
        "rule": Check.rule("lines add up to their invoice", lines_add_up),
        "again": Check.recomputed("amount", amount),
        "imputed": Check.imputed("kb", "kb_raw", strategy="median", training="is_training"),
        "order": Check.sorted("sold_at"),
        "gaps": Check.no_gaps("sold_at", dt.timedelta(days=60)),
        "fresh": Check.fresh("sold_at", dt.timedelta(days=15_000)),
        "rows": Check.rows_near(within=0.2),
        "drift": Check.no_drift("genre", "milliseconds", effect=0.1),
        "leakage": Check.no_leakage("is_training", "customer", "milliseconds"),
        "foreign key": Check.foreign_key("track", "tracks@1"),
    },
)  # fmt: skip

CATALOG = """
[catalog.raw_tracks]
type = "sql"
uri = "URI"
table = "tracks"

[catalog.raw_sold]
type = "sql"
uri = "URI"
table = "sold"
order_by = ["line"]
"""

CODE = f"""
import polars as pl

from filiera import Check, Dataset, Source, pipeline, step
from tests.faults.sources.databases import ROLES

CHECKS = [*ROLES.checks.values(), Check.in_range("bytes", 0, {LIMIT}, severity="quarantine")]


@step(stage="clean")
def typed(raw: pl.DataFrame) -> pl.DataFrame:
    at = pl.col("sold_at").cast(pl.String).str.to_datetime(time_unit="us")
    return raw.with_columns(sold_at=at, is_training=pl.col("is_training") == 1)


@step(stage="transform")
def totals(sold: pl.DataFrame) -> pl.DataFrame:
    return sold.with_columns(lines_total=pl.col("amount").sum().over("invoice"))


@step(stage="clean")
def each_once(raw: pl.DataFrame) -> pl.DataFrame:
    return raw.unique("track", maintain_order=True)


@pipeline(kind="data", publishes=Dataset("tracks", checks=[Check.unique("track")]))
def tracks(raw: pl.DataFrame = Source("raw_tracks")):
    return each_once(raw)


@pipeline(kind="data", publishes=Dataset("sales", checks=CHECKS, keys=["line"]))
def sales(raw: pl.DataFrame = Source("raw_sold")):
    return totals(typed(raw))
"""


def sold() -> pl.DataFrame:
    """Return what was sold, with the gaps that were filled."""
    with closing(sqlite3.connect(CHINOOK)) as connection:
        cursor = connection.execute(SOLD)
        names = [column[0] for column in cursor.description]
        table = pl.DataFrame(cursor.fetchall(), schema=names, orient="row", infer_schema_length=None)
    table = table.with_columns(pl.col("sold_at").str.to_datetime(time_unit="us"))
    return _filled(table)


def _filled(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the median of the training rows that are not set aside where nothing was."""
    learned = table.filter(pl.col("is_training") == 1, pl.col("bytes") <= LIMIT)
    return table.with_columns(kb=pl.col("kb_raw").fill_null(learned["kb_raw"].median()))


class Shop:
    """The database of the project."""

    kind, file = "SQLite", "shop.sqlite"

    def __init__(self) -> None:
        self.table = sold()

    def make(self, root: Path) -> None:
        """Write the project."""
        catalog = CATALOG.replace("URI", self.entry_uri())
        write_project(root, catalog=catalog, package=f"{self.kind.lower()}_flows", code=CODE)
        self.write(Place(root), self.table)
        self.write(Place(root), self.table.select("track"), "tracks")

    def entry_uri(self) -> str:
        return f"sqlite:{self.file}"

    def uri(self, place: Place) -> str:
        return f"sqlite:///{place / self.file}"

    def do(self, place: Place, text: str) -> None:
        """Do something in the database."""
        with closing(sqlite3.connect(place / self.file)) as connection:
            connection.executescript(text)

    def renew(self) -> None:
        """Make the database as it was; here it is a file of the project."""

    def write(self, place: Place, table: pl.DataFrame, name: str = "sold") -> None:
        """Put a table in place of the one that is there."""
        table.write_database(name, self.uri(place), engine="adbc", if_table_exists="replace")


class Duck(Shop):
    """The same in a file of DuckDB."""

    kind, file = "DuckDB", "shop.duckdb"

    def entry_uri(self) -> str:
        return f"duckdb:{self.file}"

    def do(self, place: Place, text: str) -> None:
        import duckdb

        with duckdb.connect(place / self.file) as connection:
            connection.execute(text)

    def write(self, place: Place, table: pl.DataFrame, name: str = "sold") -> None:
        import duckdb

        with duckdb.connect(place / self.file) as connection:
            connection.register("given", table.to_arrow())
            connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM given")


class Server(Shop):
    """The same on a server, in a database that is copied from a template for each fault."""

    kind = "PostgreSQL"

    def __init__(self, server: PostgresServer) -> None:
        super().__init__()
        self.server, self.name = server, server.new_database()
        self.is_kept = False

    def entry_uri(self) -> str:
        return self.server.uri(self.name)

    def uri(self, place: Place) -> str:
        return self.server.uri(self.name)

    def do(self, place: Place, text: str) -> None:
        self.server.sql(text, self.name)

    def renew(self) -> None:
        if not self.is_kept:
            self.server.sql(f"CREATE DATABASE {self.name}_kept TEMPLATE {self.name}")
            self.is_kept = True
        self.server.sql(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        self.server.sql(f"CREATE DATABASE {self.name} TEMPLATE {self.name}_kept")


def _in_values(shop: Shop, wanted: str, spoil: laws.Spoil, place: Place, dice: random.Random) -> Caught:
    shop.write(place, spoil(shop.table, dice))
    return by_check(ROLES.checks[wanted].name)


def _does_not_add_up(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    invoice = dice.choice(table["invoice"].to_list())
    other = pl.col("invoice_total") + dice.choice([-1, 1, 99])
    return table.with_columns(
        pl.when(pl.col("invoice") == invoice).then(other).otherwise("invoice_total").alias("invoice_total")
    )


def _line_lost(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    lines = table.filter(pl.len().over("invoice") > 1)["line"].to_list()
    return table.filter(pl.col("line") != dice.choice(lines))


def _too_large(shop: Shop, place: Place, dice: random.Random) -> Caught:
    rows = dice.sample(
        shop.table.filter(pl.col("bytes") <= LIMIT, pl.col("kb_raw").is_null())["line"].to_list(), dice.randint(1, 5)
    )
    more = pl.when(pl.col("line").is_in(rows)).then(LIMIT + dice.randint(1, 999)).otherwise("bytes")
    shop.write(place, shop.table.with_columns(bytes=more.cast(pl.Int64)))
    return set_aside(RULE, len(rows))


def _sql(text: str, *words: str) -> Callable[[Shop, Place, random.Random], Caught]:
    def spoil(shop: Shop, place: Place, dice: random.Random) -> Caught:
        shop.do(place, text)
        return by_source(*words)

    return spoil


def _entry(old: str, new: str, *words: str) -> Callable[[Shop, Place, random.Random], Caught]:
    def spoil(shop: Shop, place: Place, dice: random.Random) -> Caught:
        place.entry(old, new)
        return by_source(*words)

    return spoil


def _time_that_is_none(shop: Shop, place: Place, dice: random.Random) -> Caught:
    row = dice.choice(shop.table["line"].to_list())
    text = dice.choice(["yesterday", "2024-13-01 00:00:00", "31.12.2024"])
    shop.do(place, f"UPDATE sold SET sold_at = '{text}' WHERE line = {row}")
    return Caught(by="the step", code=STEP, words=("step typed failed", "sold_at"))


def _text_in_a_number(shop: Shop, place: Place, dice: random.Random) -> Caught:
    row = dice.choice(shop.table["line"].to_list())
    shop.do(place, f"UPDATE sold SET pieces = '{dice.choice(['two', '1,5', '?'])}' WHERE line = {row}")
    return by_check(ROLES.checks["types"].name, "pieces", "string")


def _bytes_in_a_text(shop: Shop, place: Place, dice: random.Random) -> Caught:
    row = dice.choice(shop.table["line"].to_list())
    wrong, said = dice.choice([("x'00ff'", "holds bytes in some rows"), ("CAST(x'ff41' AS TEXT)", "UTF")])
    shop.do(place, f"UPDATE sold SET country = {wrong} WHERE line = {row}")
    return by_source("sold", said) if "UTF" in said else by_source("'country'", said)


def _no_database(shop: Shop, place: Place, dice: random.Random) -> Caught:
    (place / shop.file).write_bytes(dice.choice([b"a text, no database\n" * 99, dice.randbytes(5000)]))
    return by_source(shop.file, "not a database")


def _gone(shop: Shop, place: Place, dice: random.Random) -> Caught:
    (place / shop.file).unlink()
    if dice.random() < 0.5:
        (place / shop.file).mkdir()
    return by_source(shop.file)


def _no_duck(shop: Shop, place: Place, dice: random.Random) -> Caught:
    (place / shop.file).write_bytes(dice.choice([b"a text, no database\n" * 999, dice.randbytes(50_000), b""]))
    return by_source(shop.file, "not a valid DuckDB database")


def _header_cut(shop: Shop, place: Place, dice: random.Random) -> Caught:
    content = (place / shop.file).read_bytes()
    (place / shop.file).write_bytes(content[: dice.randrange(0, 12_288)])  # blocks behind may be of what is gone
    return by_source(shop.file)


def _cut(shop: Shop, place: Place, dice: random.Random) -> Caught:
    content = (place / shop.file).read_bytes()
    (place / shop.file).write_bytes(content[: dice.randrange(0, len(content) * 3 // 4)])
    return by_source(shop.file)


def _pages_overwritten(shop: Shop, place: Place, dice: random.Random) -> Caught:
    content = bytearray((place / shop.file).read_bytes())
    for page in range(1, len(content) // 4096):
        if page == 1 or dice.random() < 0.5:
            content[page * 4096 : page * 4096 + 100] = dice.randbytes(100)
    (place / shop.file).write_bytes(content)
    return by_source(shop.file)


def _wrong_password(shop: Server, place: Place, dice: random.Random) -> Caught:
    place.root.joinpath("filiera.toml").write_text(
        (place / "filiera.toml").read_text().replace("//postgres@", "//app:${SHOP_PASSWORD}@"), encoding="utf-8"
    )
    shop.do(place, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO app")
    wrong = dice.choice(["", "S3cret/@:word", "%00", "wr0ng word"])
    return replace(by_source("sold", "password"), env={"SHOP_PASSWORD": wrong})


def _no_right(shop: Server, place: Place, dice: random.Random) -> Caught:
    text = (place / "filiera.toml").read_text().replace("//postgres@", "//app:${SHOP_PASSWORD}@")
    (place / "filiera.toml").write_text(text, encoding="utf-8")
    return Caught(by="the source", code=6, words=("sold", "permission denied"), env={"SHOP_PASSWORD": "s3cret/@:word"})


def _no_server(shop: Server, place: Place, dice: random.Random) -> Caught:
    text = (place / "filiera.toml").read_text()
    where = dice.choice(
        [(shop.name, "nowhere"), (str(shop.server.folder), f"{shop.server.folder}/none"), ("//postgres@", "//nobody@")]
    )
    (place / "filiera.toml").write_text(text.replace(*where), encoding="utf-8")
    return by_source("sold")


SLOW = "query = 'SELECT *, CASE WHEN line > 900 THEN pg_sleep(0.2) END::text AS waited FROM sold'"
ASLEEP = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


def _when_asleep(server: PostgresServer, do: Callable[[str], object]) -> None:
    """Do something, in a thread, when the server has given 900 rows and waits."""

    def wait() -> None:
        for _ in range(2000):
            found = server.sql(ASLEEP)
            if found:
                do(found.split()[0])
                return
            time.sleep(0.005)

    threading.Thread(target=wait, daemon=True).start()


def _connection_ended(shop: Server, place: Place, dice: random.Random) -> Caught:
    place.entry(TABLE, SLOW)
    _when_asleep(shop.server, lambda pid: shop.server.sql(f"SELECT pg_terminate_backend({pid})"))
    return by_source("the query")


def _server_killed(shop: Server, place: Place, dice: random.Random) -> Caught:
    other = PostgresServer(Path(tempfile.mkdtemp(prefix="filiera-postgres-")))
    other.start()
    other.sql("CREATE DATABASE shop")
    shop.table.write_database("sold", other.uri("shop"), engine="adbc")
    text = (place / "filiera.toml").read_text().replace(shop.entry_uri(), other.uri("shop"))
    (place / "filiera.toml").write_text(text, encoding="utf-8")
    place.entry(TABLE, SLOW)

    def kill(_: str) -> None:
        other.stop()
        shutil.rmtree(other.folder, ignore_errors=True)

    _when_asleep(other, kill)
    return by_source("the query")


BOTH: Mapping[str, Callable[[Shop, Place, random.Random], Caught]] = {
    "larger than allowed, to be set aside": _too_large,
    "no rows": _sql("DELETE FROM sold", "sold", "no rows"),
    "table gone": _sql("DROP TABLE sold", "sold"),
    "table renamed": _sql("ALTER TABLE sold RENAME TO sale", "sold"),
    "column to order by gone": _sql("ALTER TABLE sold RENAME line TO id", "sold", "no column 'line'"),
    "no watermark column": _entry(TABLE, f'{TABLE}\nwatermark = "changed_at"', "sold", "no column 'changed_at'"),
    "asked for a column that is not there": _entry(TABLE, f'{TABLE}\ncolumns = ["line", "pirce"]', "sold", "'pirce'"),
    "wrong condition": _entry(TABLE, f'{TABLE}\nfilter = "pirce > 1"', "sold", "pirce"),
    "query that writes": _entry(TABLE, "query = 'DELETE FROM sold RETURNING line'", "the query"),
    "two columns of one name": _entry(TABLE, "query = 'SELECT *, amount AS line FROM sold'", "two columns 'line'"),
    "no SQL": _entry(TABLE, "query = 'SELEKT 1'", "the query", "syntax error"),
}
SQLITE_ONLY: Mapping[str, Callable[[Shop, Place, random.Random], Caught]] = {
    "time that is none": _time_that_is_none,
    "text in a number": _text_in_a_number,
    "bytes in a text": _bytes_in_a_text,
    "no database": _no_database,
    "file gone, or a folder": _gone,
    "file cut off": _cut,
    "pages overwritten": _pages_overwritten,
}
DUCKDB_ONLY: Mapping[str, Callable[[Shop, Place, random.Random], Caught]] = {
    "no database": _no_duck,
    "file gone, or a folder": _gone,
    "file cut off": _header_cut,
    "pages overwritten": _pages_overwritten,
    "time that is infinite": _sql("UPDATE sold SET sold_at = 'infinity' WHERE line = 77", "'sold_at'", "infinity"),
    "number that no table can hold": _sql(
        f"ALTER TABLE sold ALTER bytes TYPE hugeint; UPDATE sold SET bytes = {2**127 - 1} WHERE line = 77",
        "sold", "Could not cast value",
    ),
    "query that reads another file": _entry(
        TABLE, "query = \"FROM read_text('filiera.toml')\"", "the query", "disabled by configuration"
    ),
}  # fmt: skip
SERVER_ONLY: Mapping[str, Callable[[Server, Place, random.Random], Caught]] = {
    "wrong password": _wrong_password,
    "no right to read": _no_right,
    "no such server, database, user": _no_server,
    "connection ended while rows came": _connection_ended,
    "server killed while rows came": _server_killed,
    "time that is infinite": _sql("UPDATE sold SET sold_at = 'infinity' WHERE line = 77", "'sold_at'", "infinity"),
}


def _shuffled(shop: Shop, place: Place, dice: random.Random) -> None:
    shop.write(place, shop.table.sample(fraction=1, shuffle=True, seed=dice.randrange(2**31)))


def _columns_reordered(shop: Shop, place: Place, dice: random.Random) -> None:
    shop.write(place, shop.table.select(dice.sample(shop.table.columns, shop.table.width)))


def _one_more_column(shop: Shop, place: Place, dice: random.Random) -> None:
    shop.write(place, shop.table.with_columns(note=pl.Series([dice.random() for _ in range(shop.table.height)])))


def _next_partition(shop: Shop, place: Place, dice: random.Random) -> None:
    """Write other invoices of the same law: for each time, one of those about that time; numbers go on."""
    parts = sorted(shop.table.partition_by("invoice"), key=lambda rows: rows["sold_at"][0])
    drawn = []
    for number, part in enumerate(parts):
        other = dice.choice(parts[max(0, number - 20) : number + 21])
        drawn.append(other.with_columns(invoice=pl.lit(1000 + number, pl.Int64), sold_at=pl.lit(part["sold_at"][0])))
    made = pl.concat(drawn).with_columns(
        line=pl.int_range(pl.len(), dtype=pl.Int64) + 10_000,
        is_training=(pl.col("sold_at") < dt.datetime(2024, 1, 1)).cast(pl.Int64),
    )
    shop.write(place, _filled(made))


def _sql_change(*texts: str) -> Callable[[Shop, Place, random.Random], None]:
    def change(shop: Shop, place: Place, dice: random.Random) -> None:
        shop.do(place, dice.choice(texts))

    return change


def _as_a_view(shop: Shop, place: Place, dice: random.Random) -> None:
    shop.do(place, "ALTER TABLE sold RENAME TO kept; CREATE VIEW sold AS SELECT * FROM kept")


def _as_a_query(shop: Shop, place: Place, dice: random.Random) -> None:
    place.entry(TABLE, dice.choice(["query = 'SELECT * FROM sold'", f'{TABLE}\nfilter = "line > 0"']))


def _with_a_watermark(shop: Shop, place: Place, dice: random.Random) -> None:
    place.entry(TABLE, f'{TABLE}\nwatermark = "line"')


HARMLESS_BOTH: Mapping[str, Callable[[Shop, Place, random.Random], None]] = {
    "rows in another order": _shuffled,
    "columns in another order": _columns_reordered,
    "one more column": _one_more_column,
    "next partition of the same law": _next_partition,
    "an index, another table": _sql_change(
        "CREATE INDEX by_track ON sold (track)",
        "CREATE TABLE other AS SELECT * FROM sold",
        "CREATE UNIQUE INDEX u ON sold (line)",
    ),
    "a view in place of the table": _as_a_view,
    "a query, a condition that holds": _as_a_query,
    "a watermark": _with_a_watermark,
}
HARMLESS_SQLITE = {
    "file written anew": _sql_change("PRAGMA page_size = 1024; VACUUM", "VACUUM", "PRAGMA page_size = 16384; VACUUM"),
    "changes wait in a log": _sql_change("PRAGMA journal_mode = WAL; CREATE TABLE later (a)"),
    "times without fractions": _sql_change("UPDATE sold SET sold_at = substr(sold_at, 1, 19)"),
}
HARMLESS_DUCKDB = {
    "file written anew": _sql_change("VACUUM", "FORCE CHECKPOINT", "CREATE TABLE t AS FROM sold; DROP TABLE t"),
    "other types of texts and times": _sql_change(
        "ALTER TABLE sold ALTER sold_at TYPE timestamp_ms",
        "CREATE TYPE style AS ENUM ('Rock', 'Latin', 'Metal', 'Alternative & Punk', 'Other');"
        " ALTER TABLE sold ALTER genre TYPE style",
    ),
}
HARMLESS_SERVER = {
    "other types of texts and numbers": _sql_change(
        "ALTER TABLE sold ALTER genre TYPE varchar(40), ALTER country TYPE char varying",
        "ALTER TABLE sold ALTER sold_at TYPE timestamp(0)",
        "ALTER TABLE sold ALTER milliseconds TYPE integer",
    ),
    "rewritten, analysed": _sql_change(
        "VACUUM FULL sold", "ANALYZE sold", "CREATE INDEX i ON sold (genre); CLUSTER sold USING i"
    ),
}


OWN: Mapping[str, tuple[Mapping[str, Callable[..., Caught]], Mapping[str, Callable[..., None]]]] = {
    "SQLite": (SQLITE_ONLY, HARMLESS_SQLITE),
    "DuckDB": (DUCKDB_ONLY, HARMLESS_DUCKDB),
    "PostgreSQL": (SERVER_ONLY, HARMLESS_SERVER),
}


def world(shop: Shop) -> World:
    """Return the world of a database."""
    values = {
        **laws.faults(ROLES),
        "total does not add up": ("rule", _does_not_add_up),
        "line lost": ("rule", _line_lost),
    }
    faults: dict[str, Spoil] = {
        kind: partial(_in_values, shop, wanted, spoil) for kind, (wanted, spoil) in values.items()
    }
    faults |= wrong_checks.faults(f"{shop.kind.lower()}_flows/data.py", "genre")
    own, own_harmless = OWN[shop.kind]
    faults |= {kind: partial(spoil, shop) for kind, spoil in {**BOTH, **own}.items()}
    changes: Mapping[str, Callable[..., None]] = {**HARMLESS_BOTH, **own_harmless}
    harmless: dict[str, Change] = {kind: partial(change, shop) for kind, change in changes.items()}
    return World(
        name=shop.kind,
        make=shop.make,
        renew=shop.renew,
        before=("tracks",),
        pipeline="sales",
        faults=faults,
        harmless=harmless,
    )
