"""Compare two tables: columns, rows and distributions. Exact, and in parts where both do not fit into memory.

Values are equal as Polars joins see them: null equals null, NaN equals NaN, and -0.0 equals 0.0.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import polars as pl

from filiera.core.check import HIDDEN
from filiera.core.value import dataclass
from filiera.data.column_types import type_name
from filiera.data.difference import (
    CellChange,
    ColumnChange,
    Difference,
    RowDifference,
    SchemaDifference,
    shown,
)
from filiera.data.shifts import shifts_between
from filiera.errors import UsageError

MEMORY_BYTES = 4 << 30
"""Of tables that are larger together, a part at a time is compared: the rows of both whose hash falls there."""

_EXAMPLES = 5
_EXAMPLE_COLUMNS = 20
_TEXT_BYTES = 40
_TEXTS = (pl.String, pl.Categorical, pl.Enum)
_SEED = 20_011


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table and its name, for people."""

    name: str
    frame: pl.LazyFrame
    own: pl.LazyFrame | None = None  #: the rows without some that the other table has too; None: all rows
    sensitive: tuple[str, ...] = ()  #: columns whose values are hidden, of both tables


def diff_tables(
    before: Table, after: Table, *, keys: Sequence[str] = (), memory_bytes: int = MEMORY_BYTES
) -> Difference:
    """Return what differs between two tables.

    Args:
        before: The first one; its query is run several times.
        after: The second one.
        keys: Columns that name a row in both; without them rows are compared as a multiset.
        memory_bytes: About so much of both tables may be in memory at once.

    Raises:
        UsageError: A key column is missing, cannot be compared, or does not name one row only.

    >>> one, two = (Table(name="", frame=pl.LazyFrame({"id": [1, 2], "x": x})) for x in ([1, 1], [1, 3]))
    >>> found = diff_tables(one, two, keys=["id"]).rows
    >>> found.added, found.removed, found.changed, found.columns[0].examples[0].after
    (0, 0, 1, 3)
    """
    schemas = before.frame.collect_schema(), after.frame.collect_schema()
    kinds = {name: kind for name in schemas[0] if (kind := _compared_as(name, *schemas)) is not None}
    _require_keys(keys, (before, after), schemas, kinds)
    sides = _side(before, kinds), _side(after, kinds)
    parts = _parts(sides, kinds, memory_bytes)
    own = _own(before, sides[0]), _own(after, sides[1])
    sensitive = {*before.sensitive, *after.sensitive}
    rows = _by_keys(own, keys, sensitive, parts=parts) if keys else _as_multiset(own, parts=parts)
    found = Difference(
        before=before.name,
        after=after.name,
        rows_before=sides[0].height,
        rows_after=sides[1].height,
        schema=_schema_difference(*schemas, kinds),
        rows=rows,
        shifts=shifts_between(sides[0].frame, sides[1].frame, heights=(sides[0].height, sides[1].height)),
    )
    return found.without_values_of(sensitive)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """One table: the columns that are compared, with the types they have for that."""

    name: str
    frame: pl.LazyFrame
    height: int


def _side(table: Table, kinds: dict[str, pl.DataType]) -> _Side:
    height = int(table.frame.select(pl.len()).collect(engine="streaming").item())
    columns = [pl.col(name).cast(kind) for name, kind in kinds.items()]
    return _Side(name=table.name, frame=table.frame.select(columns), height=height)


def _own(table: Table, side: _Side) -> _Side:
    """Return the rows that need be compared."""
    if table.own is None:
        return side
    columns = [pl.col(name).cast(kind) for name, kind in side.frame.collect_schema().items()]
    return _Side(name=side.name, frame=table.own.select(columns), height=side.height)


def _compared_as(name: str, before: pl.Schema, after: pl.Schema) -> pl.DataType | None:
    """Return the type in which both columns have all their values unchanged; None when there is none."""
    if name not in after:
        return None
    one, two = before[name], after[name]
    if pl.Object in (one, two):
        return None
    if one in _TEXTS and two in _TEXTS:
        return pl.String()  # categories are numbered by each table for itself
    if one == two:
        return one
    if one.is_integer() and two.is_integer():
        return pl.Int128()
    return pl.Float64() if one.is_float() and two.is_float() else None


def _schema_difference(before: pl.Schema, after: pl.Schema, kinds: dict[str, pl.DataType]) -> SchemaDifference:
    both = [name for name in before if name in after]
    retyped = {name: (type_name(before[name]), type_name(after[name])) for name in both if before[name] != after[name]}
    for name, (one, two) in retyped.items():
        if one == two:  # our names leave out what Polars has in brackets, such as the unit of a time
            retyped[name] = (str(before[name]), str(after[name]))
    return SchemaDifference(
        added={name: type_name(kind) for name, kind in after.items() if name not in before},
        removed={name: type_name(kind) for name, kind in before.items() if name not in after},
        retyped=retyped,
        is_reordered=both != [name for name in after if name in before],
        not_compared=tuple(name for name in both if name not in kinds),
    )


def _require_keys(
    keys: Sequence[str],
    tables: tuple[Table, Table],
    schemas: tuple[pl.Schema, pl.Schema],
    kinds: dict[str, pl.DataType],
) -> None:
    for table, schema in zip(tables, schemas, strict=True):
        missing = [key for key in keys if key not in schema]
        if missing:
            raise UsageError(
                f"{table.name} has no column {missing[0]!r} to tell its rows by.", why=f"It has: {', '.join(schema)}."
            )
    for key in keys:
        if key not in kinds or kinds[key].is_nested():
            raise UsageError(
                f"Column {key!r} cannot tell rows apart.",
                why=f"It is {schemas[0][key]} in {tables[0].name} and {schemas[1][key]} in {tables[1].name}.",
                do="Name other columns with --key.",
            )


def _parts(sides: tuple[_Side, ...], kinds: dict[str, pl.DataType], memory_bytes: int) -> int:
    row_bytes = sum(_TEXT_BYTES if kind in _TEXTS or kind.is_nested() else 8 for kind in kinds.values())
    return max(1, -(-sum(side.height for side in sides) * row_bytes // memory_bytes))


def _some(frame: pl.LazyFrame, columns: Sequence[str], part: int, parts: int) -> pl.LazyFrame:
    """Return the rows of one part: equal values in *columns* are in the same part of both tables."""
    if parts == 1 or not columns:
        return frame
    # + 0.0 makes -0.0 and 0.0 one, as joins see them.
    floats = [name for name, kind in frame.collect_schema().items() if name in columns and kind.is_float()]
    one = pl.struct([pl.col(name) + 0.0 if name in floats else pl.col(name) for name in columns])
    return frame.filter(one.hash(_SEED) % parts == part)


def _by_keys(
    sides: tuple[_Side, _Side], keys: Sequence[str], sensitive: Collection[str], *, parts: int
) -> RowDifference:
    others = [name for name in sides[0].frame.collect_schema() if name not in keys]
    found = _Found()
    for part in range(parts):
        before, after = (_some(side.frame, keys, part, parts) for side in sides)
        for side, frame in zip(sides, (before, after), strict=True):
            _require_unique(side.name, frame, keys, sensitive)
        joined = _joined(before, after, keys, others)
        counts = joined.select(_counts(len(others))).collect(engine="streaming").row(0, named=True)
        found.add(counts, _examples(joined, len(keys), len(others), counts))
    places = sorted((i for i in range(len(others)) if found.counts[f"x{i}"]), key=lambda i: -found.counts[f"x{i}"])
    names = {f"k{i}": key for i, key in enumerate(keys)}
    named = {side: {**names, **{f"{side}{i}": name for i, name in enumerate(others)}} for side in "ab"}
    return RowDifference(
        keys=tuple(keys),
        added=found.counts["added"],
        removed=found.counts["removed"],
        changed=found.counts["changed"],
        columns=tuple(
            ColumnChange(name=others[i], rows=found.counts[f"x{i}"], examples=_cells(found.top(f"x{i}"), names, i))
            for i in places
        ),
        added_examples=_rows(found.top("added"), named["a"]),
        removed_examples=_rows(found.top("removed"), named["b"]),
    )


class _Found:
    """Counts and examples of all parts."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._tops: dict[str, list[pl.DataFrame]] = {}

    def add(self, counts: dict[str, int], tops: dict[str, pl.DataFrame]) -> None:
        self.counts = {name: self.counts.get(name, 0) + count for name, count in counts.items()}
        for name, top in tops.items():
            self._tops.setdefault(name, []).append(top)

    def top(self, name: str) -> pl.DataFrame:
        """Return the first few rows of what was found under a name."""
        tops = self._tops.get(name)
        return _first(pl.concat(tops).lazy()).collect() if tops else pl.DataFrame()


def _first(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return a few rows: those with the least values from the first column on."""
    flat = [name for name, kind in frame.collect_schema().items() if not kind.is_nested()]
    return (frame.sort(flat) if flat else frame).head(_EXAMPLES)


def _require_unique(name: str, frame: pl.LazyFrame, keys: Sequence[str], sensitive: Collection[str]) -> None:
    repeated = frame.group_by(keys).len("filiera rows").filter(pl.col("filiera rows") > 1)
    found = _first(repeated).collect(engine="streaming")
    if not found.height:
        return
    row = found.row(0, named=True)
    said = ", ".join(f"{key} = {HIDDEN if key in sensitive else shown(row[key])}" for key in keys)
    raise UsageError(
        f"{', '.join(keys)} does not name one row of {name}: {row['filiera rows']:,} rows have {said}.",
        why="Which of them became which cannot be told.",
        do="Name more columns with --key, or compare without keys: --key ''.",
    )


def _joined(before: pl.LazyFrame, after: pl.LazyFrame, keys: Sequence[str], others: Sequence[str]) -> pl.LazyFrame:
    """Return the rows of both: keys k0…, cells b0… and a0…, and whether each side has the row, in b and a."""

    def numbered(frame: pl.LazyFrame, side: str) -> pl.LazyFrame:
        named = [pl.col(key).alias(f"k{i}") for i, key in enumerate(keys)]
        cells = [pl.col(name).alias(f"{side}{i}") for i, name in enumerate(others)]
        return frame.select(*named, *cells, pl.lit(True).alias(side))

    on = [f"k{i}" for i in range(len(keys))]
    return numbered(before, "b").join(
        numbered(after, "a"), on=on, how="full", coalesce=True, nulls_equal=True, maintain_order="none"
    )


def _counts(others: int) -> list[pl.Expr]:
    differ = [_differs(i) for i in range(others)]
    return [
        pl.col("b").is_null().sum().alias("added"),
        pl.col("a").is_null().sum().alias("removed"),
        (pl.any_horizontal(differ) if differ else pl.lit(False)).sum().alias("changed"),
        *(one.sum().alias(f"x{i}") for i, one in enumerate(differ)),
    ]


def _differs(i: int) -> pl.Expr:
    return pl.col("b") & pl.col("a") & pl.col(f"b{i}").ne_missing(pl.col(f"a{i}"))


def _examples(joined: pl.LazyFrame, keys: int, others: int, counts: dict[str, int]) -> dict[str, pl.DataFrame]:
    """Return the first few rows of each kind of difference that *counts* has."""
    named = [f"k{i}" for i in range(keys)]
    wanted: dict[str, pl.LazyFrame] = {}
    for i in sorted(range(others), key=lambda i: -counts[f"x{i}"])[:_EXAMPLE_COLUMNS]:
        wanted[f"x{i}"] = joined.filter(_differs(i)).select(*named, f"b{i}", f"a{i}")
    wanted["added"] = joined.filter(pl.col("b").is_null()).select(*named, *(f"a{i}" for i in range(others)))
    wanted["removed"] = joined.filter(pl.col("a").is_null()).select(*named, *(f"b{i}" for i in range(others)))
    wanted = {name: _first(frame) for name, frame in wanted.items() if counts[name]}
    found = pl.collect_all(list(wanted.values()), engine="streaming")
    return dict(zip(wanted, found, strict=True))


def _cells(top: pl.DataFrame, keys: dict[str, str], i: int) -> tuple[CellChange, ...]:
    return tuple(
        CellChange(
            key={name: shown(row[place]) for place, name in keys.items()},
            before=shown(row[f"b{i}"]),
            after=shown(row[f"a{i}"]),
        )
        for row in top.iter_rows(named=True)
    )


def _rows(top: pl.DataFrame, names: dict[str, str]) -> tuple[dict[str, Any], ...]:
    return tuple({names[place]: shown(value) for place, value in row.items()} for row in top.iter_rows(named=True))


def _as_multiset(sides: tuple[_Side, _Side], *, parts: int) -> RowDifference:
    schema = sides[0].frame.collect_schema()
    flat = [name for name, kind in schema.items() if not kind.is_nested()]
    names = {f"c{i}": name for i, name in enumerate(schema)}
    found = _Found()
    for part in range(parts if flat else 1):
        before, after = (_some(side.frame, flat, part, parts) for side in sides)
        surplus = _surplus(before, after, list(schema))
        added, removed = surplus.filter(pl.col("n") > 0), surplus.filter(pl.col("n") < 0)
        wanted = {
            "added": _first(added.drop("n")),
            "removed": _first(removed.drop("n")),
        }
        counted = [added.select(pl.col("n").sum()), removed.select(-pl.col("n").sum())]
        more, less, *tops = pl.collect_all([*counted, *wanted.values()], engine="streaming")
        counts = {"added": int(more.item()), "removed": int(less.item())}
        found.add(counts, {name: top for name, top in zip(wanted, tops, strict=True) if counts[name]})
    return RowDifference(
        keys=(),
        added=found.counts["added"],
        removed=found.counts["removed"],
        changed=0,
        columns=(),
        added_examples=_rows(found.top("added"), names),
        removed_examples=_rows(found.top("removed"), names),
    )


def _surplus(before: pl.LazyFrame, after: pl.LazyFrame, columns: Sequence[str]) -> pl.LazyFrame:
    """Return the different rows with columns c0…, and in n how many more there are after than before; not 0."""

    def counted(frame: pl.LazyFrame, sign: int) -> pl.LazyFrame:
        numbered = [pl.col(name).alias(f"c{i}") for i, name in enumerate(columns)]
        return frame.select(*numbered, pl.lit(sign, dtype=pl.Int64).alias("n"))

    both = pl.concat([counted(before, -1), counted(after, 1)])
    rows = [f"c{i}" for i in range(len(columns))]
    return both.group_by(rows).agg(pl.col("n").sum()).filter(pl.col("n") != 0)
