"""What is said of a check when it is made: whether it makes sense, how it is written, what it is called."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any, Literal

from filiera.core.check import TYPES, Bound, Check
from filiera.core.products import ProductRef
from filiera.errors import UsageError

_SEVERITIES = ("warn", "quarantine", "block")
_WHOLE_TABLE = ("types", "rows", "rows_near", "no_gaps", "fresh", "no_leakage", "no_drift")
_WITHOUT_COLUMNS = ("rows", "rule", "rows_near")
_SHOWN_COLUMNS = 3
_SHOWN_VALUES = 5


def problem(check: Check) -> str:
    """Return why a check makes no sense, or ""."""
    if check.severity not in _SEVERITIES:
        return f"severity must be one of {', '.join(_SEVERITIES)}, got {check.severity!r}"
    if check.severity == "quarantine" and check.kind in _WHOLE_TABLE:
        return "it is about the whole table, so there are no rows to quarantine; use warn or block"
    if any(not isinstance(column, str) or not column for column in (*check.columns, *check.by, *check.key)):
        return f"columns are named by text, got {(*check.columns, *check.by, *check.key)!r}"
    if len(set(check.columns)) < len(check.columns):
        return f"a column is named twice in {check.columns!r}"
    if not check.columns and check.kind not in _WITHOUT_COLUMNS:
        return "no column is named"
    if check.table:
        try:
            ProductRef.parse(check.table)
        except UsageError as error:
            return f"{check.table!r} is not a dataset version, such as artists@latest: {error.what}"
    finder = _PROBLEMS.get(check.kind)
    return finder(check) if finder else ""


def _range_problem(check: Check) -> str:
    bounds: list[Any] = [bound for bound in (check.minimum, check.maximum) if bound is not None]
    if not bounds:
        return "it has neither a least nor a greatest value"
    if any(isinstance(b, bool) or not isinstance(b, Bound) or (isinstance(b, float) and math.isnan(b)) for b in bounds):
        return f"bounds are numbers, dates or durations, got {bounds!r}"
    if len({value_kind(bound) for bound in bounds}) > 1:
        return f"bounds of different kinds: {bounds!r}"
    if len(bounds) == 2 and bounds[0] > bounds[1]:
        return f"the least value {bounds[0]!r} is above the greatest {bounds[1]!r}"
    return ""


def _rows_problem(check: Check) -> str:
    bounds = [bound for bound in (check.minimum, check.maximum) if bound is not None]
    if any(type(bound) is not int or bound < 0 for bound in bounds):
        return f"numbers of rows are integers from 0, got {bounds!r}"
    return _range_problem(check)


def _set_problem(check: Check) -> str:
    if not check.values:
        return "the set of values is empty"
    kinds = {value_kind(value) for value in check.values}
    if "other" in kinds or len(kinds) > 1:
        return f"values must be all texts, all numbers, all booleans or all dates, got {check.values!r}"
    return ""


def _rule_problem(check: Check) -> str:
    if not isinstance(check.function, FunctionType) or "<" in check.function.__qualname__:
        return "it needs a function defined at the top level of a module, so that it can be named and found again"
    return ""


def _key_problem(check: Check) -> str:
    if not check.table:
        return "no dataset is named that has the key"
    return "" if len(check.key) == len(check.columns) else f"{check.columns!r} and {check.key!r} differ in number"


def _tolerance_problem(check: Check) -> str:
    tolerance = check.tolerance
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
        return f"what may differ is a number from 0, got {tolerance!r}"
    return ""


def _gap_problem(check: Check) -> str:
    width: Any = check.maximum
    if isinstance(width, dt.timedelta) or (isinstance(width, int | float) and not isinstance(width, bool)):
        zero: Any = dt.timedelta() if isinstance(width, dt.timedelta) else 0
        return "" if width > zero and width == width else f"it must be above 0, got {width!r}"
    return f"a distance is a number or a timedelta, got {width!r}"


def _age_problem(check: Check) -> str:
    if not isinstance(check.maximum, dt.timedelta) or check.maximum <= dt.timedelta():
        return f"an age is a timedelta above 0, got {check.maximum!r}"
    return ""


def _recomputed_problem(check: Check) -> str:
    if check.sample is not None and (type(check.sample) is not int or check.sample < 1):
        return f"a sample is a number of rows from 1, got {check.sample!r}"
    return _tolerance_problem(check) or _rule_problem(check)


def _imputed_problem(check: Check) -> str:
    if isinstance(check.strategy, float) and math.isnan(check.strategy):
        return "NaN is no value to put in"
    return "" if value_kind(check.strategy) != "other" else f"no strategy and no constant: {check.strategy!r}"


def _types_problem(check: Check) -> str:
    unknown = [name for name in check.type_names if name not in TYPES]
    return f"unknown type {unknown[0]!r}; known are {', '.join(TYPES)}" if unknown else ""


_PROBLEMS: Mapping[str, Callable[[Check], str]] = {
    "in_range": _range_problem,
    "rows": _rows_problem,
    "in_set": _set_problem,
    "matches": lambda check: "" if isinstance(check.pattern, str) and check.pattern else "the pattern is empty",
    "one_hot": lambda check: "" if len(check.columns) > 1 else "a one-hot group has at least two columns",
    "types": _types_problem,
    "rule": lambda check: "a rule needs a name" if not check.name else _rule_problem(check),
    "foreign_key": _key_problem,
    "rows_near": _tolerance_problem,
    "no_gaps": _gap_problem,
    "fresh": _age_problem,
    "recomputed": _recomputed_problem,
    "imputed": _imputed_problem,
    "no_drift": _tolerance_problem,
}

_USAGE: Mapping[str, str] = {
    "not_null": 'Check.not_null("a", "b")',
    "in_range": 'Check.in_range("a", 0, 1)',
    "in_set": 'Check.in_set("a", ["x", "y"])',
    "matches": 'Check.matches("a", r"^[a-z]+$")',
    "unique": 'Check.unique("id")',
    "types": 'Check.types({"a": "int64", "b": "string"})',
    "rows": "Check.rows(at_least=1000)",
    "finite": 'Check.finite("a", "b")',
    "one_hot": 'Check.one_hot("is_tcp", "is_udp")',
    "rule": 'Check.rule("adds up", adds_up)',
    "foreign_key": 'Check.foreign_key("artist_id", "artists@latest", "id")',
    "rows_near": "Check.rows_near(within=0.1)",
    "sorted": 'Check.sorted("at", by="host")',
    "no_gaps": 'Check.no_gaps("at", timedelta(minutes=5), by="host")',
    "fresh": 'Check.fresh("at", timedelta(days=1))',
    "recomputed": 'Check.recomputed("rate", rate_again)',
    "imputed": 'Check.imputed("age", "age_raw", strategy="median", training="is_training")',
    "no_leakage": 'Check.no_leakage("label", "duration", "bytes")',
    "no_drift": 'Check.no_drift("duration", "protocol")',
}


def usage(kind: str) -> str:
    """Return how a check of that kind is written."""
    return f"write it like {_USAGE[kind]}" if kind in _USAGE else f"known kinds: {', '.join(_USAGE)}"


def value_kind(value: object) -> Literal["text", "number", "truth", "date", "timestamp", "duration", "other"]:
    """Return the family a bound or a set's value belongs to; a column must be of the same family.

    >>> value_kind(True), value_kind(1.5)
    ('truth', 'number')
    """
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, dt.datetime):
        return "timestamp"
    if isinstance(value, dt.date):
        return "date"
    if isinstance(value, dt.timedelta):
        return "duration"
    return "text" if isinstance(value, str) else "other"


def describe(check: Check) -> str:
    """Return what a check is called when it was given no name."""
    names = _listed(check.columns, _SHOWN_COLUMNS)
    groups = f" by {_listed(check.by, _SHOWN_COLUMNS)}" if check.by else ""
    other = check.table or "the version before"
    match check.kind:
        case "in_range":
            return f"{names} in {_span(check)}"
        case "in_set":
            return f"{names} in {{{_listed([str(value) for value in check.values], _SHOWN_VALUES)}}}"
        case "matches":
            return f"{names} matches {check.pattern}"
        case "types":
            return _types_named(check, names)
        case "rows":
            return f"rows in {_span(check)}"
        case "rows_near":
            return f"as many rows as {other}" + (f", up to {check.tolerance:.4g} of them" if check.tolerance else "")
        case "foreign_key":
            same = "" if check.key == check.columns else f" ({_listed(check.key, _SHOWN_COLUMNS)})"
            return f"{names} among those of {check.table}{same}"
        case "no_gaps":
            return f"{names} without gaps longer than {check.maximum}{groups}"
        case "fresh":
            return f"{names} not older than {check.maximum}"
        case "imputed":
            return f"{check.columns[0]} is {check.columns[1]} with {check.strategy} for null"
        case "no_leakage":
            features = _listed(check.columns[1:], _SHOWN_COLUMNS) or "any other column"
            return f"no leakage of {check.columns[0]} into {features}"
        case "no_drift":
            return f"{names} as in {other}"
        case "one_hot" if check.or_none:
            return f"{names} one hot or none"
    return f"{names} {check.kind.replace('_', ' ')}{groups}"


def _span(check: Check) -> str:
    return "..".join("" if bound is None else str(bound) for bound in (check.minimum, check.maximum))


def _types_named(check: Check, names: str) -> str:
    if len(set(check.type_names)) == 1:
        return f"{names} {'is' if len(check.columns) == 1 else 'are'} {check.type_names[0]}"
    pairs = [f"{column} is {name}" for column, name in zip(check.columns, check.type_names, strict=True)]
    return _listed(pairs, _SHOWN_COLUMNS)


def _listed(items: Iterable[str], shown: int) -> str:
    all_items = list(items)
    rest = len(all_items) - shown
    return ", ".join(all_items[:shown]) + (f" and {rest} more" if rest > 0 else "")
