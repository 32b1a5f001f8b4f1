"""Checks: what must hold for a table, as values; and what was found, as values.

Null passes range, set, pattern, unique, finite and rule checks: that a value must be there is a check of its own,
``not_null``. NaN is a value and lies outside every range.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any, Literal, NamedTuple, TypeGuard

from filiera.core.value import dataclass
from filiera.errors import ProjectError

Severity = Literal["warn", "quarantine", "block"]
Kind = Literal[
    "not_null", "in_range", "in_set", "matches", "unique", "types", "rows", "finite", "one_hot", "rule"
]  # fmt: skip
Bound = int | float | dt.date | dt.datetime | dt.timedelta
Value = str | int | float | bool | dt.date
RuleFunction = Callable[[Any], Any]

TYPES: Mapping[str, str] = {
    "bool": "Boolean", "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64",
    "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
    "float32": "Float32", "float64": "Float64", "string": "String", "date": "Date", "timestamp": "Datetime",
    "time": "Time", "duration": "Duration", "binary": "Binary", "category": "Categorical",
}  # fmt: skip
"""Our names of column types (Arrow's, where it has one) and the Polars class of each."""

_SEVERITIES = ("warn", "quarantine", "block")
_WHOLE_TABLE = ("types", "rows")
_SHOWN_COLUMNS = 3
_SHOWN_VALUES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that must hold for a table. Made by the class methods, checked at birth.

    *severity* says what a failure means: ``warn`` is told and goes on, ``quarantine`` sets the offending rows aside
    with the rule they broke, ``block`` stops the run.

    Raises:
        ProjectError: From every class method, when the arguments make no check.

    >>> Check.in_range("rate", 0, 1).name
    'rate in 0..1'
    """

    kind: Kind
    columns: tuple[str, ...] = ()  #: the columns it looks at; none for "rows" and "rule"
    severity: Severity = "block"
    name: str = ""  #: for people and for the ``_rule`` of quarantined rows; made from the rest when empty
    minimum: Bound | None = None  #: of "in_range" and "rows", itself allowed
    maximum: Bound | None = None  #: of "in_range" and "rows", itself allowed
    values: tuple[Value, ...] = ()  #: of "in_set"
    pattern: str = ""  #: of "matches": a regular expression of Rust's regex crate
    type_names: tuple[str, ...] = ()  #: of "types": one key of ``TYPES`` per column
    function: RuleFunction | None = None  #: of "rule"

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ProjectError(f"A check of kind {self.kind!r} makes no sense.", why=problem, do=_usage(self.kind))
        if not self.name:
            object.__setattr__(self, "name", _describe(self))

    @classmethod
    def not_null(cls, *columns: str, severity: Severity = "block") -> Check:
        """Return: no value of these columns is null. NaN is not null; ``finite`` refuses it."""
        return cls(kind="not_null", columns=columns, severity=severity)

    @classmethod
    def in_range(
        cls, column: str, minimum: Bound | None = None, maximum: Bound | None = None, *, severity: Severity = "block"
    ) -> Check:
        """Return: ``minimum <= value <= maximum``; one bound may be left out. NaN fails, null passes."""
        return cls(kind="in_range", columns=(column,), minimum=minimum, maximum=maximum, severity=severity)

    @classmethod
    def in_set(cls, column: str, values: Iterable[Value], *, severity: Severity = "block") -> Check:
        """Return: each value is one of *values*. Null passes."""
        items = sorted(values, key=repr) if isinstance(values, set | frozenset) else values
        return cls(kind="in_set", columns=(column,), values=tuple(items), severity=severity)

    @classmethod
    def matches(cls, column: str, pattern: str, *, severity: Severity = "block") -> Check:
        """Return: the regular expression is found in each value; anchor it with ``^`` and ``$``. Null passes."""
        return cls(kind="matches", columns=(column,), pattern=pattern, severity=severity)

    @classmethod
    def unique(cls, *columns: str, severity: Severity = "block") -> Check:
        """Return: no row repeats an earlier row's values in these columns. A row with a null among them passes."""
        return cls(kind="unique", columns=columns, severity=severity)

    @classmethod
    def type_is(cls, column: str, type_name: str, *, severity: Severity = "block") -> Check:
        """Return: the column is there and has this type, a key of ``TYPES`` such as ``"int64"``."""
        return cls(kind="types", columns=(column,), type_names=(type_name,), severity=severity)

    @classmethod
    def types(cls, type_by_column: Mapping[str, str], *, severity: Severity = "block") -> Check:
        """Return: these columns are there and have these types; further columns may be there too."""
        columns, type_names = tuple(type_by_column), tuple(type_by_column.values())
        return cls(kind="types", columns=columns, type_names=type_names, severity=severity)

    @classmethod
    def rows(cls, at_least: int | None = None, at_most: int | None = None, *, severity: Severity = "block") -> Check:
        """Return: the table has this many rows; one bound may be left out."""
        return cls(kind="rows", minimum=at_least, maximum=at_most, severity=severity)

    @classmethod
    def finite(cls, *columns: str, severity: Severity = "block") -> Check:
        """Return: no value of these columns is NaN or infinite. Null passes."""
        return cls(kind="finite", columns=columns, severity=severity)

    @classmethod
    def one_hot(cls, *columns: str, severity: Severity = "block") -> Check:
        """Return: in each row exactly one of these columns is 1 or true and all others 0 or false. Null fails."""
        return cls(kind="one_hot", columns=columns, severity=severity)

    @classmethod
    def rule(cls, name: str, function: RuleFunction, *, severity: Severity = "block") -> Check:
        """Return a rule of your own: *function* is given ``polars.col`` and returns an expression true for good rows.

        The function is defined at the top level of a module, such as
        ``def adds_up(col): return col.src_bytes + col.dst_bytes == col.total_bytes``. Null passes.
        """
        return cls(kind="rule", name=name, function=function, severity=severity)


class Domain(NamedTuple):
    """What the checks promise for a column, in the terms of a model's signature."""

    minimum: float | None = None  #: least value
    maximum: float | None = None  #: greatest value
    values: tuple[str | int | bool, ...] | None = None  #: closed set of values, in the order they were declared


def domains(checks: Iterable[Check]) -> dict[str, Domain]:
    """Return what *checks* promise for every published row, per column: the narrowest range, the common values.

    A blocking check promises, and so does a quarantining one, as rows that break it are not published. Ranges of dates
    and sets of fractions are promised too, but a signature has no words for them: they are left out.

    >>> domains([Check.in_range("a", 0), Check.in_range("a", -1, 9), Check.in_set("b", ["x"], severity="warn")])
    {'a': Domain(minimum=0, maximum=9, values=None)}
    """
    found: dict[str, Domain] = {}
    for check in checks:
        if check.severity != "warn" and check.kind in ("in_range", "in_set"):
            column = check.columns[0]
            narrowed = _narrow(found.get(column, Domain()), check)
            if narrowed != Domain():
                found[column] = narrowed
    return found


def _narrow(before: Domain, check: Check) -> Domain:
    if check.kind == "in_set":
        values = tuple(value for value in check.values if isinstance(value, str | int))
        if len(values) < len(check.values):
            return before
        common = values if before.values is None else tuple(value for value in before.values if value in values)
        return before._replace(values=common)
    minima = [bound for bound in (before.minimum, check.minimum) if _is_finite_number(bound)]
    maxima = [bound for bound in (before.maximum, check.maximum) if _is_finite_number(bound)]
    return before._replace(minimum=max(minima, default=None), maximum=min(maxima, default=None))


def _is_finite_number(bound: Bound | None) -> TypeGuard[float]:
    return isinstance(bound, int | float) and math.isfinite(bound)


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One offending row: where it is and what stood in the checked columns."""

    row: int  #: position in the table, from 0
    values: tuple[tuple[str, Any], ...]  #: column and value, plain and short; "(hidden)" in sensitive columns


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """What one check found. Holds no user function, so that it is readable where the user's code is not."""

    name: str
    kind: Kind
    columns: tuple[str, ...]
    severity: Severity
    passed: bool
    rows_checked: int
    rows_failed: int = 0  #: offending rows; 0 when the table as a whole fails
    reason: str = ""  #: why it failed, for people
    examples: tuple[Example, ...] = ()  #: the first few offending rows

    @property
    def blocks(self) -> bool:
        """Tell whether what depends on the table must stop.

        A quarantine check that fails without offending rows could not be evaluated: nothing was set aside, it blocks.
        """
        return not self.passed and (
            self.severity == "block" or (self.severity == "quarantine" and not self.rows_failed)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckReport:
    """What a list of checks found in one table: a verdict."""

    results: tuple[CheckResult, ...]
    rows: int  #: rows of the table

    @property
    def blocks(self) -> bool:
        """Tell whether a check with severity block failed, or one of severity quarantine could not be evaluated."""
        return any(result.blocks for result in self.results)

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """Return the results that did not pass, blocking ones first."""
        return tuple(sorted((r for r in self.results if not r.passed), key=lambda r: not r.blocks))

    @property
    def failed_by_severity(self) -> dict[Severity, int]:
        """Return how many checks of each severity failed."""
        return {
            "warn": sum(r.severity == "warn" for r in self.failed),
            "quarantine": sum(r.severity == "quarantine" for r in self.failed),
            "block": sum(r.severity == "block" for r in self.failed),
        }

    @property
    def summary(self) -> str:
        """Return one line for people: how many checks failed, and the worst one with its reason."""
        total = f"{len(self.results):,} check{'' if len(self.results) == 1 else 's'}"
        if not self.failed:
            return f"{total} passed on {self.rows:,} rows"
        counts = ", ".join(f"{count} {severity}" for severity, count in self.failed_by_severity.items() if count)
        worst = self.failed[0]
        return f"{len(self.failed):,} of {total} failed ({counts}): {worst.name}: {worst.reason}"


def _problem(check: Check) -> str:
    if check.severity not in _SEVERITIES:
        return f"severity must be one of {', '.join(_SEVERITIES)}, got {check.severity!r}"
    if check.severity == "quarantine" and check.kind in _WHOLE_TABLE:
        return "it is about the whole table, so there are no rows to quarantine; use warn or block"
    if any(not isinstance(column, str) or not column for column in check.columns):
        return f"columns are named by text, got {check.columns!r}"
    if len(set(check.columns)) < len(check.columns):
        return f"a column is named twice in {check.columns!r}"
    if not check.columns and check.kind not in ("rows", "rule"):
        return "no column is named"
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
    if not check.name:
        return "a rule needs a name"
    if not isinstance(check.function, FunctionType) or "<" in check.function.__qualname__:
        return "a rule needs a function defined at the top level of a module, so that it can be named and found again"
    return ""


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
    "rule": _rule_problem,
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
}


def _usage(kind: str) -> str:
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


def _describe(check: Check) -> str:
    names = _listed(check.columns, _SHOWN_COLUMNS)
    low = "" if check.minimum is None else str(check.minimum)
    high = "" if check.maximum is None else str(check.maximum)
    match check.kind:
        case "in_range":
            return f"{names} in {low}..{high}"
        case "in_set":
            return f"{names} in {{{_listed([str(value) for value in check.values], _SHOWN_VALUES)}}}"
        case "matches":
            return f"{names} matches {check.pattern}"
        case "types":
            if len(set(check.type_names)) == 1:
                return f"{names} {'is' if len(check.columns) == 1 else 'are'} {check.type_names[0]}"
            pairs = [f"{column} is {name}" for column, name in zip(check.columns, check.type_names, strict=True)]
            return _listed(pairs, _SHOWN_COLUMNS)
        case "rows":
            return f"rows in {low}..{high}"
    return f"{names} {check.kind.replace('_', ' ')}"


def _listed(items: Iterable[str], shown: int) -> str:
    all_items = list(items)
    rest = len(all_items) - shown
    return ", ".join(all_items[:shown]) + (f" and {rest} more" if rest > 0 else "")
