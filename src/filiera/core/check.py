"""Checks: what must hold for a table, as values; and what was found, as values.

Null passes range, set, pattern, unique, finite and rule checks: that a value must be there is a check of its own,
``not_null``. NaN is a value and lies outside every range.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeGuard

from filiera.core.value import dataclass
from filiera.errors import ProjectError

Severity = Literal["warn", "quarantine", "block"]
Kind = Literal[
    "not_null", "in_range", "in_set", "matches", "unique", "types", "rows", "finite", "one_hot", "rule",
    "foreign_key", "rows_near", "sorted", "no_gaps", "fresh", "recomputed", "imputed", "no_leakage", "no_drift",
    "no_look_ahead",
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
    function: RuleFunction | None = None  #: of "rule" and "recomputed"
    table: str = ""  #: another dataset version, such as "artists@latest"; "" is the version before this one
    key: tuple[str, ...] = ()  #: of "foreign_key": the columns of *table*
    by: tuple[str, ...] = ()  #: of "sorted" and "no_gaps": each group of rows with equal values here is judged alone
    tolerance: float | None = None  #: of "rows_near", "recomputed" and "no_drift": how much may differ
    sample: int | None = None  #: of "recomputed": so many rows are judged, beside all boundary rows; None: all rows
    strategy: Value | None = None  #: of "imputed": what stands where nothing was
    training: str = ""  #: of "imputed": a column that is true in the rows the value was learned from; "": all rows
    or_none: bool = False  #: of "one_hot": a row may also be of no column of the group

    def __post_init__(self) -> None:
        from filiera.core import check_terms

        problem = check_terms.problem(self)
        if problem:
            usage = check_terms.usage(self.kind)
            raise ProjectError(f"A check of kind {self.kind!r} makes no sense.", why=problem, do=usage)
        if not self.name:
            object.__setattr__(self, "name", check_terms.describe(self))

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
    def one_hot(cls, *columns: str, or_none: bool = False, severity: Severity = "block") -> Check:
        """Return: in each row exactly one of these columns is 1 or true and all others 0 or false. Null fails.

        With *or_none* a row may have none: it is of a category that was not seen when the encoder was fitted.
        """
        return cls(kind="one_hot", columns=columns, or_none=or_none, severity=severity)

    @classmethod
    def rule(cls, name: str, function: RuleFunction, *, severity: Severity = "block") -> Check:
        """Return a rule of your own: *function* is given ``polars.col`` and returns an expression true for good rows.

        The function is defined at the top level of a module, such as
        ``def adds_up(col): return col.src_bytes + col.dst_bytes == col.total_bytes``. Null passes.
        """
        return cls(kind="rule", name=name, function=function, severity=severity)

    @classmethod
    def foreign_key(
        cls, columns: str | Sequence[str], table: str, key: str | Sequence[str] = (), *, severity: Severity = "block"
    ) -> Check:
        """Return: the values of *columns* are those of *key* in some row of a dataset version. Null passes.

        *table* is a reference such as ``"artists@latest"``; *key* is left out where the names are the same.
        """
        names = _names(columns)
        return cls(kind="foreign_key", columns=names, table=table, key=_names(key) or names, severity=severity)

    @classmethod
    def rows_near(cls, table: str = "", *, within: float, severity: Severity = "block") -> Check:
        """Return: the number of rows is that of another dataset version, up to this share of it.

        Without *table* it is the version before, and the first version passes; ``within=0`` asks for equal numbers.
        """
        return cls(kind="rows_near", table=table, tolerance=within, severity=severity)

    @classmethod
    def sorted(cls, column: str, *, by: str | Sequence[str] = (), severity: Severity = "block") -> Check:
        """Return: no value is less than one before it, of the same group where *by* names columns. Null passes."""
        return cls(kind="sorted", columns=(column,), by=_names(by), severity=severity)

    @classmethod
    def no_gaps(
        cls, column: str, longer_than: Bound, *, by: str | Sequence[str] = (), severity: Severity = "block"
    ) -> Check:
        """Return: put in order, neighbouring values are at most *longer_than* apart, in each group. Null passes."""
        return cls(kind="no_gaps", columns=(column,), maximum=longer_than, by=_names(by), severity=severity)

    @classmethod
    def fresh(cls, column: str, within: dt.timedelta, *, severity: Severity = "block") -> Check:
        """Return: the newest time is not older than this when the check runs. Times without a zone are UTC."""
        return cls(kind="fresh", columns=(column,), maximum=within, severity=severity)

    @classmethod
    def recomputed(
        cls,
        column: str,
        function: RuleFunction,
        *,
        tolerance: float = 1e-9,
        sample: int | None = None,
        severity: Severity = "block",
    ) -> Check:
        """Return: a feature equals its second definition, *function*, which returns an expression as that of ``rule``.

        Integers, texts and times are equal; fractions up to a relative *tolerance*. Null equals null, NaN equals NaN.
        With *sample* so many rows are judged, the same ones each time, and all those where something that the second
        definition reads is least, greatest, null or not finite.
        """
        return cls(
            kind="recomputed",
            columns=(column,),
            function=function,
            tolerance=tolerance,
            sample=sample,
            severity=severity,
        )

    @classmethod
    def imputed(
        cls, column: str, raw: str, *, strategy: Value, training: str = "", severity: Severity = "block"
    ) -> Check:
        """Return: *column* is *raw* where that has a value, to the last bit, and elsewhere what *strategy* says.

        A strategy is ``"mean"``, ``"median"``, ``"most_frequent"``, ``"min"`` or ``"max"`` of the raw values in the
        rows where the column *training* is true; anything else is the constant itself.
        """
        return cls(kind="imputed", columns=(column, raw), strategy=strategy, training=training, severity=severity)

    @classmethod
    def no_leakage(cls, label: str, *features: str, severity: Severity = "block") -> Check:
        """Return: no feature is a function of the label, nor tells it: what is known only with the label is no input.

        Without *features* all other columns are looked at.
        """
        return cls(kind="no_leakage", columns=(label, *features), severity=severity)

    @classmethod
    def no_drift(cls, *columns: str, table: str = "", effect: float = 0.1, severity: Severity = "block") -> Check:
        """Return: the columns are distributed as in another dataset version; without *table*, the version before.

        A column differs when its change is unlikely to be chance (a false discovery rate of 1 % over the columns) and
        large: the greatest distance of the distribution functions, or the share of rows that would have to change
        category, or the change of the share of nulls, is at least *effect*. The first version passes.
        """
        return cls(kind="no_drift", columns=columns, table=table, tolerance=effect, severity=severity)


def _names(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


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


HIDDEN = "(hidden)"
"""Stands for a value of a sensitive column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One offending row: where it is and what stood in the checked columns."""

    row: int  #: position in the table, from 0
    values: tuple[tuple[str, Any], ...]  #: column and value, plain and short; ``HIDDEN`` in sensitive columns


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
    is_evaluated: bool = True  #: False: it does not fit the table, or its function raised
    examples: tuple[Example, ...] = ()  #: the first few offending rows

    @property
    def blocks(self) -> bool:
        """Tell whether what depends on the table must stop.

        A check that could not be evaluated says nothing of the table, and blocks whatever its severity is.
        """
        return not self.passed and (
            self.severity == "block"
            or not self.is_evaluated
            or (self.severity == "quarantine" and not self.rows_failed)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckReport:
    """What a list of checks found in one table: a verdict."""

    results: tuple[CheckResult, ...]
    rows: int  #: rows of the table

    @property
    def blocks(self) -> bool:
        """Tell whether a check with severity block failed, or one of any severity could not be evaluated."""
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
    def headline(self) -> str:
        """Return how many checks failed, for people; a list of ``failed`` may follow."""
        total = f"{len(self.results):,} check{'' if len(self.results) == 1 else 's'}"
        if not self.failed:
            return f"{total} passed on {self.rows:,} rows"
        counts = ", ".join(f"{count} {severity}" for severity, count in self.failed_by_severity.items() if count)
        return f"{len(self.failed):,} of {total} failed ({counts})"

    @property
    def summary(self) -> str:
        """Return one line for people: the headline, and the worst check that failed with its reason."""
        worst = [f"{one.name}: {one.reason}" for one in self.failed[:1]]
        return ": ".join([self.headline, *worst])
