"""Sources that somebody deletes, cuts, replaces or overwrites while they are read."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from tests.faults import spoiling
from tests.faults.sources.csv_tables import COMPRESSIONS
from tests.faults.sources.world import Caught, Change, Place, Spoil, World, by_source, write_project

ROWS = 120_000

CATALOG = """
[catalog.raw_first]
type = "parquet"
path = "first.parquet"

[catalog.raw_csv]
type = "csv"
path = "rows.csv"

[catalog.raw_packed]
type = "csv"
path = "rows.csv.gz"

[catalog.raw_jsonl]
type = "jsonl"
path = "rows.jsonl"

[catalog.raw_parquet]
type = "parquet"
path = "rows.parquet"

[catalog.raw_arrow]
type = "arrow"
path = "rows.arrow"

[catalog.raw_sqlite]
type = "sql"
uri = "sqlite:rows.sqlite"
table = "rows"

[catalog.raw_xml]
type = "xml"
path = "rows.xml"
records = "/rows/row"
fields = {number = "@number", service = "@service", bytes = "@bytes"}
"""

CODE = f"""
import polars as pl

from filiera import Check, Dataset, Source, pipeline, step

CHECKS = [Check.unique("number"), Check.in_range("number", 0, {ROWS - 2}, severity="quarantine")]


@step(stage="clean")
def as_they_are(raw: pl.DataFrame) -> pl.DataFrame:
    return raw


@pipeline(kind="data", publishes=Dataset("rows", checks=CHECKS))
def rows(raw: pl.DataFrame = Source("raw_first")):
    return as_they_are(raw)
"""


def table() -> pl.DataFrame:
    """Return connections, again and again, each with a number."""
    found = spoiling.connections().select("service", bytes="src_bytes")
    number = pl.int_range(pl.len(), dtype=pl.Int64).alias("number")
    return pl.concat([found] * (ROWS // found.height)).select(number, "service", "bytes")


def _write_sqlite(frame: pl.DataFrame, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows (number INTEGER, service TEXT, bytes INTEGER)")
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", frame.iter_rows())
        connection.commit()


def _write_xml(frame: pl.DataFrame, path: Path) -> None:
    lines = (
        f'<row number="{number}" service="{service}" bytes="{size}"/>\n' for number, service, size in frame.iter_rows()
    )
    path.write_text(f"<rows>{''.join(lines)}</rows>")


def _write_packed(frame: pl.DataFrame, path: Path) -> None:
    path.write_bytes(COMPRESSIONS["gzip"](frame.write_csv().encode()))


KINDS: Mapping[str, tuple[str, Callable[[pl.DataFrame, Path], object]]] = {
    "csv": ("rows.csv", pl.DataFrame.write_csv),
    "packed": ("rows.csv.gz", _write_packed),
    "jsonl": ("rows.jsonl", pl.DataFrame.write_ndjson),
    "parquet": ("rows.parquet", partial(pl.DataFrame.write_parquet, row_group_size=10_000)),
    "arrow": ("rows.arrow", partial(pl.DataFrame.write_ipc, record_batch_size=10_000)),
    "sqlite": ("rows.sqlite", _write_sqlite),
    "xml": ("rows.xml", _write_xml),
}


def make(root: Path) -> None:
    """Write the project."""
    frame = table()
    frame.write_parquet(root / "first.parquet")
    for name, write in KINDS.values():
        write(frame, root / name)
    write_project(root, catalog=CATALOG, package="rows_flows", code=CODE, executor="processes")


def _while_read(kind: str, deed: str, place: Place, dice: random.Random) -> Caught:
    name, _ = KINDS[kind]
    return replace(by_source(name), arguments=("--raw", f"raw_{kind}"), meddling=(deed, name))


def _cut_inline(kind: str, place: Place, dice: random.Random) -> Caught:
    place.entry('executor = "processes"', 'executor = "inline"')
    return _while_read(kind, "cut", place, dice)


def _left_alone(kind: str, place: Place, dice: random.Random) -> Caught:
    name, _ = KINDS[kind]
    return Caught(by="", code=0, words=(), arguments=("--raw", f"raw_{kind}"), meddling=("touched", name))


FAULTS: Mapping[str, Spoil] = {
    f"{kind}, {deed}": partial(_while_read, kind, deed)
    for kind in KINDS
    for deed in ("deleted", "cut", "replaced", "overwritten", "lengthened")
} | {f"{kind}, cut, read by the driver itself": partial(_cut_inline, kind) for kind in KINDS}
HARMLESS: Mapping[str, Change] = {
    f"{kind}, touched, and another file put beside it": partial(_left_alone, kind) for kind in KINDS
}

WORLD = World(name="While it is read", make=make, pipeline="rows", faults=FAULTS, harmless=HARMLESS, rounds=1)
