"""Network connections in a Parquet file: all faults of values, and those of the file."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import polars as pl

from tests.faults import spoiling
from tests.faults.sources import wrong_checks
from tests.faults.sources.world import (
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

FILE = "connections.parquet"
LIMIT = 300_000
RULE = f"dst_bytes in 0..{LIMIT}"

CATALOG = """
[catalog.raw_services]
type = "parquet"
path = "services.parquet"

[catalog.raw_connections]
type = "parquet"
path = "connections.parquet"
"""

CODE = f"""
import polars as pl

from filiera import Check, Dataset, Source, pipeline, step
from tests.faults.spoiling import checks

CHECKS = [*checks().values(), Check.in_range("dst_bytes", 0, {LIMIT}, severity="quarantine")]


@step(stage="clean")
def as_they_are(raw: pl.DataFrame) -> pl.DataFrame:
    return raw


@pipeline(kind="data", publishes=Dataset("services", checks=[Check.unique("name")]))
def services(raw: pl.DataFrame = Source("raw_services")):
    return as_they_are(raw)


@pipeline(kind="data", publishes=Dataset("connections", checks=CHECKS, keys=["id"]))
def connections(raw: pl.DataFrame = Source("raw_connections")):
    return as_they_are(raw)
"""


def recent() -> pl.DataFrame:
    """Return connections, the last of which was just now, some of which are set aside."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return spoiling.connections(now - dt.timedelta(seconds=spoiling.ROWS))


def make(root: Path) -> None:
    """Write the project."""
    table = recent()
    table.write_parquet(root / FILE)
    table.select(pl.col("service").unique().sort().alias("name")).write_parquet(root / "services.parquet")
    write_project(root, catalog=CATALOG, package="parquet_flows", code=CODE)


def _in_values(wanted: str, spoil: spoiling.Spoil) -> Spoil:
    def spoiled(place: Place, dice: random.Random) -> Caught:
        before = pl.read_parquet(place / FILE)
        kept = pl.col("dst_bytes") <= LIMIT
        after = spoil(before, dice)
        while before.filter(kept).equals(after.filter(kept)):  # a row that is set aside anyway is nobody's loss
            after = spoil(before, dice)
        (after if after.height else before.head(1)).write_parquet(place / FILE)  # without rows the source is refused
        return by_check(spoiling.checks()[wanted].name)

    return spoiled


def _too_much(place: Place, dice: random.Random) -> Caught:
    table = pl.read_parquet(place / FILE)
    small = table.filter(pl.col("dst_bytes") <= LIMIT, pl.col("hosts_raw").is_null())  # those teach no median
    rows = dice.sample(small["id"].to_list(), dice.randint(1, 9))
    more = pl.when(pl.col("id").is_in(rows)).then(LIMIT + dice.randint(1, 99)).otherwise("dst_bytes")
    table = table.with_columns(dst_bytes=more.cast(pl.Int64))
    total = pl.col("src_bytes") + pl.col("dst_bytes")
    table.with_columns(total_bytes=total, sent_share=pl.col("src_bytes") / total).write_parquet(place / FILE)
    return set_aside(RULE, len(rows))


def _no_rows(place: Place, dice: random.Random) -> Caught:
    pl.read_parquet(place / FILE).clear().write_parquet(place / FILE)
    return by_source(FILE, "no rows")


def _cut(place: Place, dice: random.Random) -> Caught:
    content = (place / FILE).read_bytes()
    (place / FILE).write_bytes(content[: dice.randrange(len(content))])
    return by_source(FILE)


def _end_overwritten(place: Place, dice: random.Random) -> Caught:
    content = bytearray((place / FILE).read_bytes())
    start = len(content) - dice.randint(9, 200)
    content[start:] = dice.randbytes(len(content) - start)
    (place / FILE).write_bytes(content)
    return by_source(FILE)


def _another_format(place: Place, dice: random.Random) -> Caught:
    table = pl.read_parquet(place / FILE).select("id", "service")
    dice.choice([table.write_csv, table.write_ipc, table.write_ndjson])(place / FILE)
    return by_source(FILE, "is not a readable Parquet file")


def _gone(place: Place, dice: random.Random) -> Caught:
    (place / FILE).unlink()
    if dice.random() < 0.5:
        (place / FILE).mkdir()
    return by_source(FILE)


def _in_parts(place: Place, dice: random.Random, spoil: spoiling.Spoil) -> None:
    """Write the table as several files of a pattern, one of which is spoiled."""
    table = pl.read_parquet(place / FILE)
    (place / FILE).unlink()
    cuts = sorted({0, *dice.sample(range(1, table.height), 3), table.height})
    bad = dice.randrange(len(cuts) - 1)
    for number, (start, end) in enumerate(pairwise(cuts)):
        part = table[start:end]
        (spoil(part, dice) if number == bad else part).write_parquet(place / f"part-{number}.parquet")
    place.entry(FILE, "part-*.parquet")


def _part_lacks_a_column(place: Place, dice: random.Random) -> Caught:
    name = dice.choice(spoiling.FULL)
    _in_parts(place, dice, lambda part, _: part.drop(name))
    return by_source("part-", repr(name))


def _part_has_another_type(place: Place, dice: random.Random) -> Caught:
    name = dice.choice(["id", "src_bytes", "count"])
    _in_parts(place, dice, lambda part, _: part.with_columns(pl.col(name).cast(pl.String)))
    return by_source("part-", repr(name), "String", "Int64")


def _declared_otherwise(place: Place, dice: random.Random) -> Caught:
    name, kind = dice.choice([("service", "int64"), ("src_bytes", "int8"), ("protocol_type", "timestamp")])
    place.entry(f'path = "{FILE}"', f'path = "{FILE}"\ncolumns = {{{name} = "{kind}"}}')
    return by_source(FILE, "not of their declared type")


def _declared_but_not_there(place: Place, dice: random.Random) -> Caught:
    place.entry(f'path = "{FILE}"', f'path = "{FILE}"\ncolumns = {{duration = "int64"}}')
    return by_source(FILE, "no column 'duration'")


FAULTS: Mapping[str, Spoil] = {
    **wrong_checks.faults("parquet_flows/data.py", "service"),
    **{kind: _in_values(wanted, spoil) for kind, (wanted, spoil) in spoiling.FAULTS.items()},
    "too large, to be set aside": _too_much,
    "no rows": _no_rows,
    "file cut off": _cut,
    "end of file overwritten": _end_overwritten,
    "another format": _another_format,
    "file gone, or a folder": _gone,
    "one file lacks a column": _part_lacks_a_column,
    "one file has another type": _part_has_another_type,
    "declared as another type": _declared_otherwise,
    "declared but not there": _declared_but_not_there,
}


def _as_it_is(place: Place, dice: random.Random) -> None:
    _in_parts(place, dice, lambda part, _: part)


def _written_anew(place: Place, dice: random.Random) -> None:
    compression = dice.choice(["zstd", "lz4", "snappy", "gzip", "uncompressed"])
    pl.read_parquet(place / FILE).write_parquet(
        place / FILE,
        compression=compression,
        row_group_size=dice.randint(100, 9000),
        statistics=dice.random() < 0.5,
        data_page_size=dice.choice([1_000, 1_000_000]),
    )


def _parts_in_other_orders(place: Place, dice: random.Random) -> None:
    _in_parts(place, dice, spoiling.HARMLESS["columns reordered"][1])


def _in_values_harmless(change: spoiling.Spoil) -> Change:
    def changed(place: Place, dice: random.Random) -> None:
        change(pl.read_parquet(place / FILE), dice).write_parquet(place / FILE)

    return changed


HARMLESS: Mapping[str, Change] = {
    **{kind: _in_values_harmless(spoiling.HARMLESS[kind][1]) for kind in ("columns reordered", "one more column")},
    "other compression, row groups, pages": _written_anew,
    "in several files": _as_it_is,
    "files with other orders of columns": _parts_in_other_orders,
}

WORLD = World(
    name="Parquet",
    make=make,
    before=("services",),
    pipeline="connections",
    faults=FAULTS,
    harmless=HARMLESS,
)
