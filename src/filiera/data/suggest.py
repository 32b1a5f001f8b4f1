"""Checks learned from a table: a first set, to be read, corrected and pasted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from filiera.core.check import Check
from filiera.data.checked_table import CheckedTable
from filiera.data.checks import check_table
from filiera.data.column_types import type_name

FEW_VALUES = 20
"""At most so many values make a closed set, where each comes often."""

_ROWS_PER_VALUE = 20
_LEAST_ROWS = 50
_PATTERNS: Mapping[str, str] = {
    "a date": r"^\d{4}-\d{2}-\d{2}$",
    "a time": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$",
    "a UUID": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "an IPv4 address": r"^(\d{1,3}\.){3}\d{1,3}$",
    "an e-mail address": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    "a hash": r"^[0-9a-f]{32,64}$",
    "digits": r"^\d+$",
    "not blank": r"\S",
}
"""Tried from the narrowest to the widest."""


def suggest_checks(frame: pl.DataFrame | pl.LazyFrame, *, sensitive: Collection[str] = ()) -> list[Check]:
    """Return checks that the table passes, and that another table of the same kind is likely to pass.

    Types, nulls, finite numbers, signs and shares, closed sets, patterns, keys, order in time, one-hot groups; that the
    number of rows and the distributions stay near those of the version before, as warnings. Ranges are not learned
    beyond sign and share: the greatest value so far is seldom the greatest possible one. No value of the columns in
    *sensitive* gets into a check.

    >>> [check.name for check in suggest_checks(pl.DataFrame({"rate": [0.5, 0.25]}))][:3]
    ['rate is float64', 'rate not null', 'rate finite']
    """
    table = CheckedTable(frame, sensitive=sensitive)
    facts = _facts(table)
    checks = [
        *_for_all_columns(table, facts),
        *(check for name in table.schema for check in _for_column(name, table, facts)),
        *_keys(table, facts),
        *_one_hot_groups(table, facts),
        Check.rows_near(within=0.5, severity="warn"),
        *_laws(table, facts),
    ]
    report = check_table(table, checks)
    return [check for check, result in zip(checks, report.results, strict=True) if result.passed]


Facts = Mapping[str, Any]


def _facts(table: CheckedTable) -> Facts:
    """Return what one pass over the table tells of each column, by ``column.fact``."""
    asked = []
    for name, dtype in table.schema.items():
        column = pl.col(name)
        found = {"nulls": column.null_count()}
        if not dtype.is_nested() and dtype not in (pl.Binary, pl.Object, pl.Null):
            found["distinct"] = column.drop_nulls().approx_n_unique()
        if dtype.is_float():
            found["odd"] = (~column.is_finite()).sum()
        if dtype.is_numeric():
            found |= {"min": column.min(), "max": column.max()}
        if dtype == pl.String:
            found |= {what: column.str.contains(pattern).all() for what, pattern in _PATTERNS.items()}
        asked += [expression.alias(f"{name}.{what}") for what, expression in found.items()]
    return table.collect(table.frame.select(pl.len().alias("rows"), *asked)).row(0, named=True)


def _for_all_columns(table: CheckedTable, facts: Facts) -> Iterator[Check]:
    from filiera.core.check import TYPES

    types = {name: type_name(dtype) for name, dtype in table.schema.items()}
    known = {name: kind for name, kind in types.items() if kind in TYPES}
    if known:
        yield Check.types(known)
    full = [name for name in table.schema if facts["rows"] and not facts[f"{name}.nulls"]]
    if full:
        yield Check.not_null(*full)
    finite = [name for name, dtype in table.schema.items() if dtype.is_float() and not facts[f"{name}.odd"]]
    if finite:
        yield Check.finite(*finite)


def _for_column(name: str, table: CheckedTable, facts: Facts) -> Iterator[Check]:
    dtype, rows = table.schema[name], facts["rows"] - facts[f"{name}.nulls"]
    if dtype.is_numeric():
        least, greatest = facts[f"{name}.min"], facts[f"{name}.max"]
        if least is not None and least >= 0:
            is_share = dtype.is_float() and greatest <= 1
            yield Check.in_range(name, 0, 1 if is_share else None)
    if _is_closed(name, table, facts):
        values = table.collect(table.frame.select(pl.col(name).drop_nulls().unique().sort()))[name].to_list()
        yield Check.in_set(name, values)
    elif dtype == pl.String and rows >= _LEAST_ROWS:
        fitting = [pattern for what, pattern in _PATTERNS.items() if facts[f"{name}.{what}"]]
        if fitting:
            yield Check.matches(name, fitting[0])
    if dtype in (pl.Date, pl.Datetime) and rows >= _LEAST_ROWS and facts[f"{name}.distinct"] > FEW_VALUES:
        yield Check.sorted(name)


def _is_closed(name: str, table: CheckedTable, facts: Facts) -> bool:
    distinct = 0 if name in table.sensitive else facts.get(f"{name}.distinct") or 0
    rows = facts["rows"] - facts[f"{name}.nulls"]
    dtype = table.schema[name]
    is_countable = dtype in (pl.String, pl.Categorical, pl.Enum) or dtype.is_integer()
    return is_countable and 0 < distinct <= FEW_VALUES and rows >= _ROWS_PER_VALUE * distinct


def _keys(table: CheckedTable, facts: Facts) -> Iterator[Check]:
    """Yield a key for columns of whole numbers and texts whose values all seem to differ; which of them do is tried."""
    for name, dtype in table.schema.items():
        rows = facts["rows"]
        # A quantity may have no value twice by chance; numbers that name rows lie closely.
        is_dense = dtype.is_integer() and rows and facts[f"{name}.max"] - facts[f"{name}.min"] < 2 * rows
        if rows < _LEAST_ROWS or facts[f"{name}.nulls"] or not (is_dense or dtype == pl.String):
            continue
        if facts[f"{name}.distinct"] >= 0.9 * rows:  # an estimate, with an error of some percent
            yield Check.unique(name)


def _one_hot_groups(table: CheckedTable, facts: Facts) -> Iterator[Check]:
    """Yield a group for flags whose names begin alike; whether it is one is tried, and then whether it may be none."""
    groups: dict[str, list[str]] = {}
    for name, dtype in table.schema.items():
        is_flag = dtype == pl.Boolean or (
            dtype.is_integer() and facts[f"{name}.min"] == 0 and facts[f"{name}.max"] == 1
        )
        prefix = name.rpartition("_")[0] or name.rpartition("=")[0]
        if is_flag and prefix:
            groups.setdefault(prefix, []).append(name)
    for names in groups.values():
        if len(names) > 1:
            exact, loose = Check.one_hot(*names), Check.one_hot(*names, or_none=True)
            yield exact if check_table(table, [exact]).results[0].passed else loose


def _laws(table: CheckedTable, facts: Facts) -> Iterator[Check]:
    names = [
        name
        for name, dtype in table.schema.items()
        if dtype.is_float() or dtype == pl.Boolean or _is_closed(name, table, facts)
    ]
    if names:
        yield Check.no_drift(*names, severity="warn")


def as_python(checks: Iterable[Check]) -> str:
    """Return the source of a list of checks, to be pasted.

    >>> print(as_python([Check.in_range("rate", 0, 1), Check.unique("id", severity="warn")]))
    CHECKS = [
        Check.in_range("rate", 0, 1),
        Check.unique("id", severity="warn"),
    ]
    """
    lines = [f"    {_call(check)},\n" for check in checks]
    return "CHECKS = [\n" + "".join(lines) + "]"


def _call(check: Check) -> str:
    arguments = [_literal(one) for one in _arguments(check)]
    options = {"by": check.by, "or_none": check.or_none, "table": check.table}
    if check.kind == "rows_near":
        options["within"] = check.tolerance or 0.0
    elif check.kind == "no_drift" and check.tolerance != 0.1:
        options["effect"] = check.tolerance or 0.0
    if check.severity != "block":
        options["severity"] = check.severity
    named = [f"{name}={_literal(value)}" for name, value in options.items() if value or name == "within"]
    return f"Check.{check.kind}({', '.join(arguments + named)})"


def _arguments(check: Check) -> list[Any]:
    match check.kind:
        case "types":
            return [dict(zip(check.columns, check.type_names, strict=True))]
        case "in_set":
            return [check.columns[0], list(check.values)]
        case "matches":
            return [check.columns[0], check.pattern]
        case "in_range" if check.maximum is None:
            return [check.columns[0], check.minimum]
        case "in_range":
            return [check.columns[0], check.minimum, check.maximum]
    return list(check.columns)


def _literal(value: Any) -> str:
    """Return a value as this project writes it: with double quotes, a pattern raw."""
    if isinstance(value, str):
        if "\\" in value and '"' not in value and not value.endswith("\\") and value.isprintable():
            return f'r"{value}"'
        quoted = repr(value)
        return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in value else quoted
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    return repr(value) if not isinstance(value, dt.date | dt.timedelta) else repr(value).replace("datetime.", "", 1)
