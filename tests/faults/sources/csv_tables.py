"""Network connections in CSV files: what can be wrong with the text, and what may be otherwise."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import random
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import polars as pl

from filiera.core.check import Check
from tests.faults import spoiling
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

FILE = "connections.csv"
ROWS = 3000
TYPES = {"protocol_type": "string", "service": "string", "src_bytes": "int64", "serror_rate": "float64"}
ORDERED = ["id", "protocol_type", "service", "src_bytes", "dst_bytes", "serror_rate", "count", "note"]
LIMIT = 510
PATH = f'path = "{FILE}"'

CATALOG = f"""
[catalog.raw_connections]
type = "csv"
{PATH}

[catalog.raw_connections.columns]
id = "int64"
serror_rate = "float64"
"""

CHECKS = {
    "types": Check.types(TYPES),
    "nulls": Check.not_null(*ORDERED[:-1]),
    "range": Check.in_range("serror_rate", 0, 1),
    "set": Check.in_set("protocol_type", ["tcp", "udp", "icmp"]),
    "pattern": Check.matches("service", "^[A-Za-z0-9_]+$"),
    "key": Check.unique("id"),
    "rows": Check.rows_near(within=0.2),
    "drift": Check.no_drift("protocol_type", "count", "src_bytes"),
    "most": Check.in_range("count", 0, LIMIT, severity="quarantine"),
}

CODE = """
import polars as pl

from filiera import Dataset, Source, pipeline, step
from tests.faults.sources.csv_tables import CHECKS


@step(stage="clean")
def as_they_are(raw: pl.DataFrame) -> pl.DataFrame:
    return raw


@pipeline(kind="data", publishes=Dataset("connections", checks=list(CHECKS.values()), keys=["id"]))
def connections(raw: pl.DataFrame = Source("raw_connections")):
    return as_they_are(raw)
"""


def make(root: Path) -> None:
    """Write the project; the last column has texts that need quotes, in several scripts, and nothing in some rows."""
    notes = ["", "", 'said "no"', "one, two", "naïve café", "два, три", "two\nlines", "日本"]
    table = spoiling.connections().head(ROWS)
    texts = [notes[number % len(notes)] or None for number in range(ROWS)]
    table.with_columns(note=pl.Series(texts)).select(ORDERED).write_csv(root / FILE)
    write_project(root, catalog=CATALOG, package="csv_flows", code=CODE)


def records(place: Place) -> list[list[str]]:
    """Return header and rows as lists of texts."""
    with (place / FILE).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def write(place: Place, rows: list[list[str]], **options: object) -> None:
    """Write rows as the csv module does."""
    (place / FILE).write_bytes(as_bytes(rows, **options))


def as_bytes(rows: list[list[str]], encoding: str = "utf-8", **options: object) -> bytes:
    """Return rows as a file has them."""
    text = io.StringIO(newline="")
    csv.writer(text, **{"lineterminator": "\n", **options}).writerows(rows)  # type: ignore[arg-type]
    return text.getvalue().encode(encoding)


def line_of(rows: list[list[str]], number: int) -> int:
    """Return the line, from 1, in which a record begins; some have line breaks in them."""
    return 1 + as_bytes(rows[:number]).count(b"\n")


def _in_one(change: Callable[[list[str], random.Random], list[str]], *words: object) -> Spoil:
    """Return a fault in one record, whose line must be told."""

    def spoil(place: Place, dice: random.Random) -> Caught:
        rows = records(place)
        number = dice.randrange(1, len(rows))
        rows[number] = change(rows[number], dice)
        write(place, rows)
        return by_source(FILE, f"line {line_of(rows, number)}", *words)

    return spoil


def _ragged(row: list[str], dice: random.Random) -> list[str]:
    return [*row, "more"] if dice.random() < 0.5 else row[: dice.randrange(1, len(row))]


def _text_for_number(row: list[str], dice: random.Random) -> list[str]:
    place = ORDERED.index(dice.choice(["id", "serror_rate"]))
    return [
        dice.choice(["n/a", "1,5", "12 pcs", "0x1f", "--"]) if at == place else value for at, value in enumerate(row)
    ]


def _values(column: str, value: Callable[[random.Random], str], wanted: str) -> Spoil:
    """Return a fault that gives one to three rows another text."""

    def spoil(place: Place, dice: random.Random) -> Caught:
        rows = records(place)
        good = [at for at in range(2, len(rows)) if int(rows[at][ORDERED.index("count")]) <= LIMIT]
        numbers = dice.sample(good, dice.randint(1, 3))
        for number in numbers:
            rows[number][ORDERED.index(column)] = value(dice)
        write(place, rows)
        name = CHECKS[wanted].name
        return set_aside(name, len(numbers)) if wanted == "most" else by_check(name, f"{len(numbers)} of ")

    return spoil


def _mixed(place: Place, dice: random.Random) -> Caught:
    rows = records(place)
    rows[dice.randrange(1, len(rows))][ORDERED.index("src_bytes")] = dice.choice(["unknown", "12 KiB", "?"])
    write(place, rows)
    return by_check(CHECKS["types"].name, "src_bytes", "string")


def _wrong_bytes(place: Place, dice: random.Random) -> Caught:
    rows = records(place)
    number = dice.randrange(1, len(rows))
    before, after = as_bytes(rows[:number]), as_bytes(rows[number + 1 :])
    rows[number][-1] = "naïve café"
    (place / FILE).write_bytes(before + as_bytes([rows[number]], "latin-1") + after)
    return by_source(FILE, f"line {line_of(rows, number)} is not UTF-8")


def _another_encoding(place: Place, dice: random.Random) -> Caught:
    name = dice.choice(["utf-16", "utf-16-be", "utf-32"])
    write(place, records(place), encoding=name)
    return by_source(FILE)


def _declared_encoding_lies(place: Place, dice: random.Random) -> Caught:
    place.entry(PATH, f'{PATH}\nencoding = "{dice.choice(["ascii", "utf-16", "utf-32"])}"')
    return by_source(FILE)


def _column_twice(place: Place, dice: random.Random) -> Caught:
    rows = records(place)
    one, other = dice.sample(range(len(ORDERED)), 2)
    rows[0][one] = rows[0][other]
    write(place, rows)
    return by_source(FILE, f"{rows[0][other]!r} is there twice")


def _column_without_name(place: Place, dice: random.Random) -> Caught:
    rows = records(place)
    number = dice.randrange(len(ORDERED))
    rows[0][number] = ""
    write(place, rows)
    return by_source(FILE, f"column {number + 1} has no name")


def _no_header(place: Place, dice: random.Random) -> Caught:
    write(place, records(place)[1:])
    return by_source(FILE)


def _nothing(place: Place, dice: random.Random) -> Caught:
    rows = records(place)[:1]
    (place / FILE).write_bytes(dice.choice([b"", b"\n\n", as_bytes(rows), as_bytes(rows) + b"\r\n"]))
    return by_source(FILE)


def _gone(place: Place, dice: random.Random) -> Caught:
    (place / FILE).unlink()
    way = dice.choice(["missing", "folder", "broken link", "device"])
    if way == "folder":
        (place / FILE).mkdir()
    elif way == "broken link":
        (place / FILE).symlink_to("nowhere.csv")
    elif way == "device":
        (place / FILE).symlink_to("/dev/zero")
    return by_source(FILE)


COMPRESSIONS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def _cut_compressed(place: Place, dice: random.Random) -> Caught:
    packed = COMPRESSIONS[dice.choice(list(COMPRESSIONS))]((place / FILE).read_bytes())
    (place / FILE).write_bytes(packed[: dice.randrange(20, len(packed))])
    return by_source(FILE, "cut off")


def _damaged_compressed(place: Place, dice: random.Random) -> Caught:
    packed = bytearray(COMPRESSIONS[dice.choice(list(COMPRESSIONS))]((place / FILE).read_bytes()))
    packed[dice.randrange(20, len(packed) - 20)] ^= 1 << dice.randrange(8)
    (place / FILE).write_bytes(packed)
    return by_source(FILE)


def _quote_left_open(place: Place, dice: random.Random) -> Caught:
    rows = records(place)
    number = dice.randrange(1, len(rows))
    line = ",".join(rows[number][:-1]) + ',"never closed\n'
    (place / FILE).write_bytes(as_bytes(rows[:number]) + line.encode() + as_bytes(rows[number + 1 :]))
    return by_source(FILE, "line ")


def _wrong_separator(place: Place, dice: random.Random) -> Caught:
    write(place, records(place), delimiter=dice.choice([";", "\t", "|"]))
    return by_source(FILE)


def _no_such_column(place: Place, dice: random.Random) -> Caught:
    rows = records(place)
    name = dice.choice(["service", "protocol_type", "src_bytes"])
    drop = ORDERED.index(name)
    write(place, [row[:drop] + row[drop + 1 :] for row in rows])
    return by_check(CHECKS["types"].name, name)


def _cut(place: Place, dice: random.Random) -> Caught:
    rows = records(place)
    number = dice.randrange(len(rows) // 2, len(rows) - 1)
    (place / FILE).write_bytes(as_bytes(rows[:number]) + ",".join(rows[number][: dice.randint(1, 6)]).encode())
    return by_source(FILE, f"line {line_of(rows, number)}")


def _fewer(place: Place, dice: random.Random) -> Caught:
    rows = records(place)
    write(place, rows[: round(len(rows) * dice.uniform(0.1, 0.75))])
    return by_check(CHECKS["rows"].name)


FAULTS: Mapping[str, Spoil] = {
    "record with more or fewer fields": _in_one(_ragged),
    "text in a declared number": _in_one(_text_for_number),
    "text in a number that was found": _mixed,
    "bytes of another encoding": _wrong_bytes,
    "whole file in another encoding": _another_encoding,
    "declared encoding is wrong": _declared_encoding_lies,
    "column name twice": _column_twice,
    "column without a name": _column_without_name,
    "header lost": _no_header,
    "no rows, or nothing at all": _nothing,
    "gone, a folder, a device": _gone,
    "cut off in a record": _cut,
    "compressed and cut off": _cut_compressed,
    "compressed and damaged": _damaged_compressed,
    "quote left open": _quote_left_open,
    "another separator": _wrong_separator,
    "column gone": _no_such_column,
    "rows lost": _fewer,
    "rate out of range": _values("serror_rate", lambda dice: f"{1 + dice.random():.4f}", "range"),
    "nothing where something must be": _values("service", lambda _: "", "nulls"),
    "unknown protocol": _values("protocol_type", lambda dice: dice.choice(["TCP", "tpc", " tcp"]), "set"),
    "mangled text": _values("service", lambda dice: dice.choice(["htÃ¼p", "ht tp", "http;"]), "pattern"),
    "key repeated": _values("id", lambda _: "100", "key"),
    "too many, to be set aside": _values("count", lambda dice: str(LIMIT + dice.randint(1, 9)), "most"),
}


def _rewritten(**choices: list[object]) -> Change:
    """Return: the same records, written with some other way of writing."""

    def change(place: Place, dice: random.Random) -> None:
        write(place, records(place), **{name: dice.choice(values) for name, values in choices.items()})

    return change


def _reordered(place: Place, dice: random.Random) -> None:
    header, *rows = records(place)
    dice.shuffle(rows)
    write(place, [header, *rows])


def _columns_reordered(place: Place, dice: random.Random) -> None:
    order = dice.sample(range(len(ORDERED)), len(ORDERED))
    write(place, [[row[at] for at in order] for row in records(place)])


def _compressed(place: Place, dice: random.Random) -> None:
    (place / FILE).write_bytes(COMPRESSIONS[dice.choice(list(COMPRESSIONS))]((place / FILE).read_bytes()))


def _encoding_declared(place: Place, dice: random.Random) -> None:
    name = dice.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "gb18030"])
    write(place, records(place), encoding=name)
    place.entry(PATH, f'{PATH}\nencoding = "{name}"')


def _separator_declared(place: Place, dice: random.Random) -> None:
    mark = dice.choice([";", "\t", "|"])
    write(place, records(place), delimiter=mark)
    place.entry(PATH, f"{PATH}\nseparator = '{mark}'")


def _byte_order_mark(place: Place, dice: random.Random) -> None:
    (place / FILE).write_bytes(b"\xef\xbb\xbf" + (place / FILE).read_bytes())


def _no_last_line_break(place: Place, dice: random.Random) -> None:
    content = (place / FILE).read_bytes()
    (place / FILE).write_bytes(content.rstrip(b"\n") if dice.random() < 0.5 else content + b"\n" * dice.randint(1, 3))


def _in_parts(place: Place, dice: random.Random) -> None:
    header, *rows = records(place)
    (place / FILE).unlink()
    cuts = sorted({0, *dice.sample(range(1, len(rows)), 3), len(rows)})
    for number, (start, end) in enumerate(pairwise(cuts)):
        packed = dice.choice([bytes, *COMPRESSIONS.values()])
        (place / f"part-{number}.csv").write_bytes(packed(as_bytes([header, *rows[start:end]])))
    place.entry(FILE, "part-*.csv")


def _one_more_column(place: Place, dice: random.Random) -> None:
    header, *rows = records(place)
    write(place, [[*header, "more"], *([*row, str(dice.random())] for row in rows)])


def _next_partition(place: Place, dice: random.Random) -> None:
    header, *rows = records(place)
    drawn = dice.choices(rows, k=dice.randint(round(0.85 * ROWS), round(1.15 * ROWS)))
    key = ORDERED.index("id")
    write(place, [header, *([*row[:key], str(9_000_000 + at), *row[key + 1 :]] for at, row in enumerate(drawn))])


HARMLESS: Mapping[str, Change] = {
    "rows reordered": _reordered,
    "columns reordered": _columns_reordered,
    "quoted otherwise": _rewritten(quoting=[csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    "other line ends": _rewritten(lineterminator=["\r\n"]),
    "compressed": _compressed,
    "another encoding, declared": _encoding_declared,
    "another separator, declared": _separator_declared,
    "byte order mark": _byte_order_mark,
    "no last line break, or many": _no_last_line_break,
    "in several files": _in_parts,
    "one more column": _one_more_column,
    "next partition of the same law": _next_partition,
}

WORLD = World(name="CSV", make=make, pipeline="connections", faults=FAULTS, harmless=HARMLESS)
