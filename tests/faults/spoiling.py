"""Real network connections with everything that checks look at, and what can go wrong with them, by name."""

from __future__ import annotations

import datetime as dt
import io
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from filiera.core.check import Check
from filiera.data.checked_table import Beside

DATA = Path(__file__).parents[2] / "src/filiera/templates/traffic_classification/data/KDDTrain_20Percent.csv.gz"
ROWS = 6000
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
NOW = START + dt.timedelta(seconds=ROWS, hours=1)
RATES = ["serror_rate", "rerror_rate", "same_srv_rate", "diff_srv_rate"]
FLAGS = ["is_tcp", "is_udp", "is_icmp"]
FULL = ["id", "at", "protocol_type", "service", "src_bytes", "dst_bytes", "is_attack", *RATES]
DRIFTING = ["protocol_type", "same_srv_rate", "count"]

Spoil = Callable[[pl.DataFrame, random.Random], pl.DataFrame]


def total(col):
    return col.src_bytes + col.dst_bytes


def share(col):
    return col.src_bytes / (col.src_bytes + col.dst_bytes)


def logged_in_is_a_flag(col):
    return (col.logged_in == 0) | (col.logged_in == 1)


def connections(start: dt.datetime = START) -> pl.DataFrame:
    """Return connections with a key, a time, features made from others, and gaps that were filled."""
    raw = pl.read_csv(DATA).sample(ROWS, seed=1)
    missing = (pl.int_range(pl.len()) * 7919) % 11 == 0
    table = raw.select(
        (pl.int_range(pl.len()) * 3 + 100).alias("id"),
        (pl.lit(start) + pl.duration(seconds=pl.int_range(pl.len()))).alias("at"),
        "protocol_type", "service", "src_bytes", "dst_bytes", *RATES, "count", "logged_in",
        (pl.col("category") != "normal").alias("is_attack"),
        *((pl.col("protocol_type") == name[3:]).cast(pl.Int8).alias(name) for name in FLAGS),
        (pl.col("src_bytes") + pl.col("dst_bytes")).alias("total_bytes"),
        (pl.col("src_bytes") / (pl.col("src_bytes") + pl.col("dst_bytes"))).alias("sent_share"),
        pl.when(~missing).then(pl.col("dst_host_srv_count").cast(pl.Float64)).alias("hosts_raw"),
        (pl.int_range(pl.len()) % 4 != 0).alias("is_training"),
    )  # fmt: skip
    middle = table.filter("is_training")["hosts_raw"].median()
    return table.with_columns(hosts=pl.col("hosts_raw").fill_null(middle))


def checks() -> dict[str, Check]:
    """Return the checks that connections pass, each under a short name."""
    return {
        "types": Check.types({"id": "int64", "service": "string", "serror_rate": "float64", "is_tcp": "int8"}),
        "nulls": Check.not_null(*FULL),
        "finite": Check.finite(*RATES),
        "range": Check.in_range("serror_rate", 0, 1),
        "set": Check.in_set("protocol_type", ["tcp", "udp", "icmp"]),
        "pattern": Check.matches("service", r"^[A-Za-z0-9_]+$"),
        "key": Check.unique("id"),
        "one hot": Check.one_hot(*FLAGS),
        "rule": Check.rule("logged_in is a flag", logged_in_is_a_flag),
        "again": Check.recomputed("total_bytes", total),
        "again, fraction": Check.recomputed("sent_share", share),
        "imputed": Check.imputed("hosts", "hosts_raw", strategy="median", training="is_training"),
        "order": Check.sorted("at"),
        "gaps": Check.no_gaps("at", dt.timedelta(minutes=5)),
        "fresh": Check.fresh("at", dt.timedelta(days=1)),
        "rows": Check.rows_near(within=0.2),
        "drift": Check.no_drift(*DRIFTING, effect=0.1),
        "leakage": Check.no_leakage("is_attack"),
        "foreign key": Check.foreign_key("service", "services@1", "name"),
    }


def beside(table: pl.DataFrame) -> Beside:
    """Return what lies beside the connections: the version before, and the services that there are."""
    services = table.select(pl.col("service").unique().alias("name"))
    return Beside(tables={"": table.lazy(), "services@1": services.lazy()}, now=NOW)


def _set(column: str, value: Callable[[random.Random], object]) -> Spoil:
    """Return a fault that gives one to three rows another value."""

    def spoil(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        rows = dice.sample(range(table.height), dice.randint(1, 3))
        is_hit = pl.int_range(pl.len()).is_in(rows)
        new = pl.lit(value(dice), dtype=table.schema[column])
        return table.with_columns(pl.when(is_hit).then(new).otherwise(column).alias(column))

    return spoil


def _at(rows: pl.Expr, dice: random.Random, how: pl.Expr, name: str, table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with one of the *rows* changed."""
    row = dice.choice(table.select(rows.arg_true()).to_series().to_list())
    return table.with_columns(pl.when(pl.int_range(pl.len()) == row).then(how).otherwise(name).alias(name))


def _null(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return _set(dice.choice(FULL), lambda _: None)(table, dice)


def _other_type(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    column, dtype = dice.choice(
        [("id", pl.Int32), ("serror_rate", pl.Float32), ("is_tcp", pl.Boolean), ("id", pl.String)]
    )
    return table.with_columns(pl.col(column).cast(dtype))


def _dropped(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return table.drop(dice.choice(["id", "service", "serror_rate", "is_tcp"]))


def _repeated(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    start = dice.randrange(table.height - 50)
    return pl.concat([table.head(start + 30), table.slice(start + 20)])


def _two_hot(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    name = dice.choice(FLAGS)
    wrong = dice.choice([1 - pl.col(name), pl.lit(2), pl.lit(-1), pl.lit(None)]).cast(pl.Int8)
    return _at(pl.col(name).is_not_null(), dice, wrong, name, table)


def _off_by_one(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return _at(pl.col("id") > 0, dice, pl.col("total_bytes") + dice.choice([-1, 1]), "total_bytes", table)


def _off_by_a_little(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    factor = 1 + dice.choice([-1, 1]) * 10.0 ** dice.randint(-8, -1)
    return _at(
        pl.col("sent_share").is_between(0, 1, closed="right"), dice, pl.col("sent_share") * factor, "sent_share", table
    )


def _misaligned(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return table.with_columns(pl.col("total_bytes").shift(dice.randint(1, 9), fill_value=0))


def _changed_value(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return _at(pl.col("hosts_raw").is_not_null(), dice, pl.col("hosts") + 1e-9, "hosts", table)


def _other_statistic(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    value = dice.choice([table["hosts_raw"].mean(), table["hosts_raw"].max(), 0.0, None])
    return table.with_columns(hosts=pl.col("hosts_raw").fill_null(value) if value is not None else pl.col("hosts_raw"))


def _swapped(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    first = dice.randrange(table.height - 100)
    second = first + dice.randint(1, 99)
    rows = list(range(table.height))
    rows[first], rows[second] = second, first
    return table[rows]


def _hole(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    start = dice.randrange(1, table.height - 500)
    return pl.concat([table.head(start), table.slice(start + dice.randint(300, 450))])


def _stale(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return table.with_columns(pl.col("at") - dt.timedelta(days=dice.randint(1, 400)))


def _fewer(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return table.head(round(table.height * dice.uniform(0, 0.79)))


def _more_of_one(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    kept = dice.uniform(0.2, 0.6)
    other = pl.Series([dice.random() > kept for _ in range(table.height)])
    return table.with_columns(protocol_type=pl.when(other).then(pl.lit("udp")).otherwise("protocol_type"))


def _other_unit(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return table.with_columns(pl.col("count") * dice.choice([10, 1000]))


def _knows_the_label(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    noise = pl.Series([dice.random() for _ in range(table.height)])
    known = dice.choice(
        [
            pl.col("is_attack").cast(pl.Int64) * 7,
            pl.col("is_attack").cast(pl.Float64) * 10 + noise,
            pl.when("is_attack").then(pl.lit("alarm ") + pl.col("protocol_type")).otherwise(pl.lit("none")),
        ]
    )
    return table.with_columns(score=known)


FAULTS: Mapping[str, tuple[str, Spoil]] = {
    "null where none may be": ("nulls", _null),
    "NaN": ("finite", _set("rerror_rate", lambda _: float("nan"))),
    "infinity": ("finite", _set("same_srv_rate", lambda dice: dice.choice([1, -1]) * float("inf"))),
    "rate above 1": ("range", _set("serror_rate", lambda dice: 1 + dice.random() + 1e-6)),
    "rate below 0": ("range", _set("serror_rate", lambda dice: -dice.random() - 1e-6)),
    "unknown protocol": ("set", _set("protocol_type", lambda dice: dice.choice(["TCP", "tcp ", "sctp", ""]))),
    "mangled text": ("pattern", _set("service", lambda dice: dice.choice(["htÃ¼p", "ht tp", "", "http\n"]))),
    "key repeated": ("key", _set("id", lambda dice: 100 + 3 * 5999)),
    "rows repeated": ("key", _repeated),
    "other type": ("types", _other_type),
    "column gone": ("types", _dropped),
    "flags not one hot": ("one hot", _two_hot),
    "rule broken": ("rule", _set("logged_in", lambda dice: dice.randint(2, 9))),
    "sum off by one": ("again", _off_by_one),
    "feature of another row": ("again", _misaligned),
    "ratio off by a little": ("again, fraction", _off_by_a_little),
    "value changed by imputing": ("imputed", _changed_value),
    "imputed with something else": ("imputed", _other_statistic),
    "rows swapped": ("order", _swapped),
    "hole in time": ("gaps", _hole),
    "stale": ("fresh", _stale),
    "rows lost": ("rows", _fewer),
    "more of one kind": ("drift", _more_of_one),
    "another unit": ("drift", _other_unit),
    "column that knows the label": ("leakage", _knows_the_label),
    "unknown partner": ("foreign key", _set("service", lambda dice: f"service_{dice.randrange(99)}")),
}


def _columns_reordered(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return table.select(dice.sample(table.columns, table.width))


def _rows_reordered(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return table.sample(fraction=1, shuffle=True, seed=dice.randrange(2**31))


def _reencoded(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    file = io.BytesIO()
    if dice.random() < 0.5:
        compression = dice.choice(["zstd", "lz4", "snappy", "uncompressed"])
        table.write_parquet(file, compression=compression, row_group_size=dice.randint(100, 9000))
        return pl.read_parquet(file.getvalue())
    table.write_csv(file)
    return pl.read_csv(file.getvalue(), schema=table.schema)


def _more_columns(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    return table.with_columns(note=pl.Series([dice.random() for _ in range(table.height)]))


def _next_partition(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    """Return other rows of the same law, with keys and times that go on; filled anew from its own training part."""
    drawn = table.sample(fraction=1, with_replacement=True, shuffle=True, seed=dice.randrange(2**31))
    drawn = drawn.with_columns(table["id"] + 3 * ROWS, table["at"], table["is_training"])
    return drawn.with_columns(hosts=pl.col("hosts_raw").fill_null(drawn.filter("is_training")["hosts_raw"].median()))


def _in_pieces(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
    cut = dice.randrange(1, table.height)
    return pl.concat([table.head(cut), table.slice(cut)], rechunk=False)


HARMLESS: Mapping[str, tuple[tuple[str, ...], Spoil]] = {
    "columns reordered": ((), _columns_reordered),
    "rows reordered": (("order",), _rows_reordered),
    "file encoded anew": ((), _reencoded),
    "one more column": ((), _more_columns),
    "next partition of the same law": ((), _next_partition),
    "in pieces": ((), _in_pieces),
}
"""What does no harm, and the checks that it is none of the business of: who reorders rows cannot ask for an order."""
