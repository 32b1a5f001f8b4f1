"""Run checks over a table: every check of a list in one Polars plan, collected once.

Each check becomes an expression that is true in the rows that break it. One select counts them all; only where some row
broke a check does a second plan fetch a few of those rows. A check that cannot be evaluated (a missing column, a rule
that raises) fails with its reason, and the others are measured all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from filiera.core.check import Check, CheckReport, CheckResult, Example
from filiera.core.files import PROBLEM, Files
from filiera.core.value import dataclass
from filiera.data.broken_rows import Broken, broken_rows, first_line

RULE_COLUMN = "_rule"
"""Column of quarantined rows: the names of the checks that the row broke, joined by "; "."""

_EXAMPLES = 5
_SHOWN_COLUMNS = 6
_SHOWN_CHARS = 80
_HIDDEN = "(hidden)"


class Validated(NamedTuple):
    """A table after its checks."""

    kept: pl.DataFrame  #: rows that broke no quarantine check
    rejected: pl.DataFrame  #: the other rows, with ``_rule``
    report: CheckReport  #: quarantine checks measured on all rows, the others on the kept ones


def run_checks(
    frame: pl.DataFrame | pl.LazyFrame, checks: Iterable[Check], *, sensitive: Collection[str] = ()
) -> CheckReport:
    """Return what *checks* find in *frame*, one result per check, in their order; never raises for what it finds.

    Args:
        frame: The table; a lazy one is streamed.
        checks: What must hold.
        sensitive: Columns whose values never enter the report.

    >>> run_checks(pl.DataFrame({"rate": [0.5, 1.5]}), [Check.in_range("rate", 0, 1)]).summary
    '1 of 1 check failed (1 block): rate in 0..1: 1 of 2 rows, first row 1: rate = 1.5'
    """
    lazy = frame.lazy()
    engine = "streaming" if isinstance(frame, pl.LazyFrame) else "in-memory"
    table = _Table(frame=lazy, schema=lazy.collect_schema(), sensitive=frozenset(sensitive), engine=engine)
    compiled = [_Item(check, broken_rows(check, table.schema)) for check in checks]
    return _measure(table, compiled)


def quarantine(frame: pl.DataFrame, checks: Iterable[Check]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that pass every check of severity quarantine, and the others with the column ``_rule``.

    Both keep the order of *frame*. A check that cannot be evaluated sets no row aside; its result in ``run_checks``
    blocks.

    >>> kept, rejected = quarantine(pl.DataFrame({"a": [1, -1]}), [Check.in_range("a", 0, severity="quarantine")])
    >>> kept.rows(), rejected.rows()
    ([(1,)], [(-1, 'a in 0..')])
    """
    return _split(frame, run_checks(frame, _quarantining(checks)), _quarantining(checks))


def validate(frame: pl.DataFrame, checks: Iterable[Check], *, sensitive: Collection[str] = ()) -> Validated:
    """Return the table split by its quarantine checks, and the report of all checks on what is kept.

    A blocking check on the number of rows, or on a column that quarantine cleans, therefore judges what would be
    published.
    """
    checks = list(checks)
    set_aside = _quarantining(checks)
    first = run_checks(frame, set_aside, sensitive=sensitive)
    kept, rejected = _split(frame, first, set_aside)
    others = [check for check in checks if check.severity != "quarantine"]
    second = run_checks(kept, others, sensitive=sensitive)
    streams = {True: iter(first.results), False: iter(second.results)}
    results = tuple(next(streams[check.severity == "quarantine"]) for check in checks)
    return Validated(kept, rejected, CheckReport(results=results, rows=kept.height))


class ValidatedFiles(NamedTuple):
    """Files after their checks."""

    kept: Files  #: those that broke no quarantine check; the others are among its ``rejected``, with the rules
    report: CheckReport  #: as that of ``Validated``


def validate_files(files: Files, checks: Iterable[Check]) -> ValidatedFiles:
    """Return *files* without those that break a quarantine check, and the report of all checks on what is kept."""
    found = validate(files.table, checks)
    broke = found.rejected.rename({RULE_COLUMN: PROBLEM})
    kept = files.with_table(found.kept, rejected=pl.concat([files.rejected, broke], how="diagonal_relaxed"))
    return ValidatedFiles(kept, found.report)


def _quarantining(checks: Iterable[Check]) -> list[Check]:
    return [check for check in checks if check.severity == "quarantine"]


def _split(frame: pl.DataFrame, report: CheckReport, checks: Sequence[Check]) -> tuple[pl.DataFrame, pl.DataFrame]:
    broken = [check for check, result in zip(checks, report.results, strict=True) if result.rows_failed]
    if not broken:
        return frame, frame.clear().with_columns(pl.lit(None, dtype=pl.String).alias(RULE_COLUMN))
    names = [
        pl.when(_any(broken_rows(check, frame.schema))).then(pl.lit(check.name)).otherwise(pl.lit(None))
        for check in broken
    ]
    marked = frame.with_columns(pl.concat_str(names, separator="; ", ignore_nulls=True).alias(RULE_COLUMN))
    is_broken = pl.col(RULE_COLUMN) != ""
    return frame.filter(~marked.select(is_broken).to_series()), marked.filter(is_broken)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    frame: pl.LazyFrame
    schema: pl.Schema
    sensitive: frozenset[str]
    engine: Any  #: how Polars collects


class _Item(NamedTuple):
    check: Check
    broken: Broken


Counts = Mapping[str, int]


def _any(broken: Broken) -> pl.Expr:
    return pl.any_horizontal(*broken.parts.values())


def _measure(table: _Table, items: Sequence[_Item]) -> CheckReport:
    counted = [(f"{number}", item) for number, item in enumerate(items) if not item.broken.problem]
    counts, problems = _count(table, counted)
    rows = counts["rows"]
    results: list[CheckResult] = []
    for number, (check, broken) in enumerate(items):
        problem = broken.problem or problems.get(f"{number}", "") or _problem(check, counts, f"{number}")
        failed = 0 if problem else counts.get(f"{number}", 0)
        results.append(_result(check, rows=rows, failed=failed, reason=problem))
    failing = [number for number, result in enumerate(results) if result.rows_failed]
    for number, examples in zip(failing, _examples(table, [items[n] for n in failing], counts, failing), strict=True):
        parts = _counts_of_parts(items[number], counts, number)
        results[number] = _with_examples(results[number], parts, examples)
    return CheckReport(results=tuple(results), rows=rows)


def _count(table: _Table, counted: Sequence[tuple[str, _Item]]) -> tuple[dict[str, int], dict[str, str]]:
    """Return counts by alias and, when not all can be collected at once, the reason of each check at fault."""
    try:
        return _collect(table, [e for number, item in counted for e in _aggregates(number, item)]), {}
    except Exception:  # noqa: BLE001 a rule of the user's may raise anything; below each check answers for itself
        counts, problems = _collect(table, []), {}
    for number, item in counted:
        try:
            counts |= _collect(table, _aggregates(number, item))
        except Exception as error:  # noqa: BLE001 same
            problems[number] = f"cannot be evaluated: {first_line(error)}"
    return counts, problems


def _collect(table: _Table, aggregates: Sequence[pl.Expr]) -> dict[str, int]:
    row = table.frame.select(pl.len().alias("rows"), *aggregates).collect(engine=table.engine)
    return {name: int(value or 0) for name, value in row.row(0, named=True).items()}


def _aggregates(number: str, item: _Item) -> list[pl.Expr]:
    parts = list(item.broken.parts.values())
    if len(parts) == 1:
        # Named once: Polars evaluates an expression again for each name it is summed under.
        total = parts[0].sum() if item.broken.total is None else item.broken.total
        length = [parts[0].len().alias(f"{number}.length")] if item.check.kind == "rule" else []
        return [total.alias(number), *length]
    counts = [part.sum().alias(f"{number}.{i}") for i, part in enumerate(parts)]
    return [*counts, _any(item.broken).sum().alias(number)] if parts else []


def _counts_of_parts(item: _Item, counts: Counts, number: int) -> dict[str, int]:
    """Return by part how many rows it calls broken."""
    return {name: counts.get(f"{number}.{i}", counts[f"{number}"]) for i, name in enumerate(item.broken.parts)}


def _problem(check: Check, counts: Counts, number: str) -> str:
    """Return what is wrong with the table as a whole, or "" when only its rows decide."""
    rows = counts["rows"]
    if check.kind == "rows":
        low, high = check.minimum, check.maximum
        inside = (low is None or rows >= int(low)) and (high is None or rows <= int(high))  # type: ignore[arg-type]
        return "" if inside else f"the table has {rows:,} rows"
    if check.kind == "rule" and counts[f"{number}.length"] != rows:
        length = counts[f"{number}.length"]
        if length != 1:
            return f"the rule gave {length:,} values for {rows:,} rows"
        return "does not hold for the table as a whole" if counts[number] else ""
    return ""


def _result(check: Check, *, rows: int, failed: int, reason: str) -> CheckResult:
    return CheckResult(
        name=check.name,
        kind=check.kind,
        columns=check.columns,
        severity=check.severity,
        passed=not failed and not reason,
        rows_checked=rows,
        rows_failed=failed,
        reason=reason,
    )


def _examples(
    table: _Table, items: Sequence[_Item], counts: Counts, numbers: Sequence[int]
) -> list[tuple[Example, ...]]:
    if not items:
        return []
    index = "row"
    while index in table.schema:
        index += "_"
    numbered = table.frame.with_row_index(index)
    plans = []
    for number, item in zip(numbers, items, strict=True):
        shown = _shown_columns(item, counts, number)
        plans.append(numbered.filter(_any(item.broken)).head(_EXAMPLES).select(index, *shown))
    found = pl.collect_all(plans, engine=table.engine)
    return [tuple(_example(row, index, table.sensitive) for row in frame.iter_rows(named=True)) for frame in found]


def _shown_columns(item: _Item, counts: Counts, number: int) -> list[str]:
    if len(item.broken.parts) > 1:
        broken = [name for name, count in _counts_of_parts(item, counts, number).items() if count]
        return broken[:_SHOWN_COLUMNS]
    return list(item.broken.columns[:_SHOWN_COLUMNS])


def _example(row: Mapping[str, Any], index: str, sensitive: frozenset[str]) -> Example:
    values = ((name, _HIDDEN if name in sensitive else _short(value)) for name, value in row.items() if name != index)
    return Example(row=row[index], values=tuple(values))


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _with_examples(result: CheckResult, parts: Counts, examples: tuple[Example, ...]) -> CheckResult:
    reason = f"{result.rows_failed:,} of {result.rows_checked:,} rows"
    worst = sorted(((count, name) for name, count in parts.items() if count), key=lambda pair: -pair[0])
    if len(parts) > 1:
        reason += f" ({', '.join(f'{name} {count:,}' for count, name in worst[:_SHOWN_COLUMNS])})"
    if examples:
        shown = ", ".join(f"{name} = {value!r}" for name, value in examples[0].values)
        reason += f", first row {examples[0].row}: {shown}"
    return CheckResult(
        name=result.name,
        kind=result.kind,
        columns=result.columns,
        severity=result.severity,
        passed=False,
        rows_checked=result.rows_checked,
        rows_failed=result.rows_failed,
        reason=reason,
        examples=examples,
    )
