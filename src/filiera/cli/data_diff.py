"""``filiera data diff``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.cli.output import print_json, print_table, shortened
from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.tables import NamedTable, find_table, rows_apart

if TYPE_CHECKING:
    from filiera.data.difference import Difference, RowDifference, SchemaDifference, Shift

_MOVED = 0.001
"""Below it, a distribution moved no more than what is not worth a line."""
_MANY_MOVED = 20
_EXAMPLE_CHARS = 90


def run(options: argparse.Namespace) -> int:
    """Print what differs between two tables."""
    from filiera.data.diff import Table, diff_tables

    project = Project.open(profile=options.profile)
    before, after = (find_table(project, text) for text in (options.before, options.after))
    keys = _keys(options.key, before, after)
    own = rows_apart(project, before, after) if _is_told_apart(keys, before, after) else None
    tables = [
        Table(name=table.name, frame=table.frame, own=own[side] if own else None, sensitive=table.sensitive)
        for side, table in enumerate((before, after))
    ]
    found = diff_tables(*tables, keys=keys)
    if options.html:
        _write(Path(options.html), found)
    if options.json:
        print_json({**asdict(found), "is_equal": found.is_equal})
    else:
        _print(found)
    return 0


def _keys(told: str | None, before: NamedTable, after: NamedTable) -> list[str]:
    if told is not None:
        return [key.strip() for key in told.split(",") if key.strip()]
    declared = [list(table.version.description.get("keys", ())) for table in (after, before) if table.version]
    return declared[0] if declared else []


def _is_told_apart(keys: list[str], *tables: NamedTable) -> bool:
    """Tell whether keys name one row of each table for certain: those with which both versions were published."""
    return not keys or all(table.version and table.version.description.get("keys") == keys for table in tables)


def _print(found: Difference) -> None:
    print(f"{found.before} → {found.after}: {'equal' if found.is_equal else 'different'}")
    rows = f"{found.rows_before:,} → {found.rows_after:,}" if found.rows_before != found.rows_after else ""
    print(f"rows     {rows or f'{found.rows_after:,}'}: {_rows(found.rows)}")
    print(f"columns  {'; '.join(_schema(found.schema)) or 'the same'}")
    if found.rows.columns:
        print()
        table = [[c.name, f"{c.rows:,}", _example(c.examples[0]) if c.examples else ""] for c in found.rows.columns]
        print_table(["column", "changed", "for example"], table, right=("changed",))
    for sign, examples in (("+", found.rows.added_examples), ("-", found.rows.removed_examples)):
        if examples:
            print()
        for example in examples:
            print(shortened(f"{sign} {_pairs(example)}", _EXAMPLE_CHARS + 10))
    _print_shifts(found.shifts)


def _rows(rows: RowDifference) -> str:
    counts = {"added": rows.added, "removed": rows.removed, "changed": rows.changed}
    told = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "the same"
    return f"{told}, by {', '.join(rows.keys)}" if rows.keys else told


def _schema(schema: SchemaDifference) -> Iterator[str]:
    for sign, columns in (("+", schema.added), ("-", schema.removed)):
        yield from (f"{sign} {name} ({kind})" for name, kind in columns.items())
    for name, (before, after) in schema.retyped.items():
        yield f"{name}: {before} → {after}{', not compared' if name in schema.not_compared else ''}"
    if schema.is_reordered:
        yield "in another order"


def _print_shifts(shifts: tuple[Shift, ...]) -> None:
    moved = sorted((one for one in shifts if _is_moved(one)), key=lambda one: -(one.distance or 0))
    if not moved:
        return
    print()
    table = [[one.name, _moved(one), _pair(one.missing), _pair(one.mean), _cell(one)] for one in moved[:_MANY_MOVED]]
    print_table(["distribution", "moved", "missing", "mean", "most"], table, right=("moved",))
    if len(moved) > _MANY_MOVED:
        print(f"… {len(moved) - _MANY_MOVED} more: --html FILE, or --json")


def _is_moved(shift: Shift) -> bool:
    return (shift.distance or 0) >= _MOVED or shift.missing[0] != shift.missing[1]


def _moved(shift: Shift) -> str:
    return "" if shift.distance is None else f"{shift.distance:.3f}"


def _pair(values: tuple[float | None, float | None]) -> str:
    texts = ["–" if value is None else f"{value:,.5g}" for value in values]
    return "" if set(texts) <= {"–", "0"} else " → ".join(texts if texts[0] != texts[1] else texts[:1])


def _cell(shift: Shift) -> str:
    """Return the cell whose share changed most, with both shares."""
    totals = [sum(c.before for c in shift.cells) or 1, sum(c.after for c in shift.cells) or 1]
    shares = [(cell.label, cell.before / totals[0], cell.after / totals[1]) for cell in shift.cells]
    if not shares:
        return ""
    label, before, after = max(shares, key=lambda one: abs(one[2] - one[1]))
    return f"{shortened(label, 30)}: {before:.1%} → {after:.1%}"


def _example(example: Any) -> str:
    text = f"{_pairs(example.key)}: {_value(example.before)} → {_value(example.after)}"
    return shortened(text, _EXAMPLE_CHARS)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    return "null" if value is None else str(value)


def _write(file: Path, found: Difference) -> None:
    from filiera.data.diff_report import diff_html

    try:
        file.write_text(diff_html(found).text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error
