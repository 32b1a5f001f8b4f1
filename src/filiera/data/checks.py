"""Run checks over a table: every check of a list in one Polars plan, collected once.

Each check becomes an expression that is true in the rows that break it. One select counts them all; only where some row
broke a check does a second plan fetch a few of those rows. What no expression says (a key of another table, a gap) has
a plan of its own over its columns. A check that cannot be evaluated (a missing column, a rule that raises) fails with
its reason, and the others are measured all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import polars as pl

from filiera.core.check import HIDDEN, Check, CheckReport, CheckResult, Example
from filiera.data.broken_rows import Broken, broken_rows, first_line
from filiera.data.checked_table import Beside, CannotBeChecked, CheckedTable

_EXAMPLES = 5
_SHOWN_COLUMNS = 6
_SHOWN_CHARS = 80


def run_checks(
    frame: pl.DataFrame | pl.LazyFrame,
    checks: Iterable[Check],
    *,
    beside: Beside | None = None,
    sensitive: Collection[str] = (),
) -> CheckReport:
    """Return what *checks* find in *frame*, one result per check, in their order; never raises for what it finds.

    Args:
        frame: The table; a lazy one is read in batches and need not fit into memory.
        checks: What must hold.
        beside: Other tables and the time, for the checks that look at them.
        sensitive: Columns whose values never enter the report.

    >>> run_checks(pl.DataFrame({"rate": [0.5, 1.5]}), [Check.in_range("rate", 0, 1)]).summary
    '1 of 1 check failed (1 block): rate in 0..1: 1 of 2 rows, first row 1: rate = 1.5'
    """
    return check_table(CheckedTable(frame, beside=beside, sensitive=sensitive), checks)


def check_table(table: CheckedTable, checks: Iterable[Check]) -> CheckReport:
    """Return what ``run_checks`` does."""
    return _measure(table, [Item(check, broken_rows(check, table)) for check in checks])


class Item(NamedTuple):
    """A check, and the queries it became."""

    check: Check
    broken: Broken


Counts = Mapping[str, int]


def is_broken(broken: Broken) -> pl.Expr:
    """Return an expression that is true in the rows that break any part of a check."""
    return pl.any_horizontal(*broken.parts.values())


def _measure(table: CheckedTable, items: Sequence[Item]) -> CheckReport:
    counted = [(f"{number}", item) for number, item in enumerate(items) if not item.broken.problem]
    counts, problems = _count(table, counted)
    rows = counts["rows"]
    results: list[CheckResult] = []
    for number, (check, broken) in enumerate(items):
        misfit = broken.problem or problems.get(f"{number}", "") or _misfit(check, counts, f"{number}")
        problem = misfit or _problem(check, counts, f"{number}")
        failed = 0 if problem else counts.get(f"{number}", 0)
        result = _result(check, rows=rows, failed=failed, reason=problem)
        # That a column is missing or of another type is what a check of types finds.
        results.append(replace(result, is_evaluated=not misfit or check.kind == "types"))
    for number, item in enumerate(items):
        if not results[number].reason and (item.broken.numbers or item.broken.verdict):
            results[number] = _measured_alone(table, item, results[number])
    failing = [number for number, item in enumerate(items) if item.broken.parts and results[number].rows_failed]
    for number, examples in zip(failing, _examples(table, [items[n] for n in failing], counts, failing), strict=True):
        parts = _counts_of_parts(items[number], counts, number)
        results[number] = _with_examples(results[number], parts, examples)
    return CheckReport(results=tuple(results), rows=rows)


def _count(table: CheckedTable, counted: Sequence[tuple[str, Item]]) -> tuple[dict[str, int], dict[str, str]]:
    """Return counts by alias and, when not all can be collected at once, the reason of each check at fault."""
    try:
        return _collect(table, [e for number, item in counted for e in _aggregates(number, item)]), {}
    except Exception:  # noqa: BLE001 a rule of the user's may raise anything; below each check answers for itself
        counts, problems = _collect(table, []), {}
    for number, item in counted:
        try:
            counts |= _collect(table, _aggregates(number, item))
        except Exception as error:  # noqa: BLE001 same
            problems[number] = f"cannot be evaluated: {_said(error, table)}"
    return counts, problems


def _collect(table: CheckedTable, aggregates: Sequence[pl.Expr]) -> dict[str, int]:
    row = table.collect(table.frame.select(pl.len().alias("rows"), *aggregates))
    return {name: int(value or 0) for name, value in row.row(0, named=True).items()}


def _aggregates(number: str, item: Item) -> list[pl.Expr]:
    parts = list(item.broken.parts.values())
    if len(parts) == 1:
        # Named once: Polars evaluates an expression again for each name it is summed under.
        total = parts[0].sum() if item.broken.total is None else item.broken.total
        length = [parts[0].len().alias(f"{number}.length")] if item.check.kind == "rule" else []
        return [total.alias(number), *length]
    counts = [part.sum().alias(f"{number}.{i}") for i, part in enumerate(parts)]
    return [*counts, is_broken(item.broken).sum().alias(number)] if parts else []


def _counts_of_parts(item: Item, counts: Counts, number: int) -> dict[str, int]:
    """Return by part how many rows it calls broken."""
    return {name: counts.get(f"{number}.{i}", counts[f"{number}"]) for i, name in enumerate(item.broken.parts)}


def _problem(check: Check, counts: Counts, number: str) -> str:
    """Return what is wrong with the table as a whole, or "" when only its rows decide."""
    rows = counts["rows"]
    if check.kind == "rows":
        low, high = check.minimum, check.maximum
        inside = (low is None or rows >= int(low)) and (high is None or rows <= int(high))  # type: ignore[arg-type]
        return "" if inside else f"the table has {rows:,} rows"
    is_of_the_whole = check.kind == "rule" and counts[f"{number}.length"] != rows
    return "does not hold for the table as a whole" if is_of_the_whole and counts[number] else ""


def _misfit(check: Check, counts: Counts, number: str) -> str:
    """Return why what a rule gave is nothing to count, or ""."""
    length = counts[f"{number}.length"] if check.kind == "rule" else 1
    return "" if length in (1, counts["rows"]) else f"the rule gave {length:,} values for {counts['rows']:,} rows"


def _measured_alone(table: CheckedTable, item: Item, result: CheckResult) -> CheckResult:
    """Return the result of a check that has a plan of its own."""
    try:
        if item.broken.verdict is not None:
            reason = item.broken.verdict()
            return replace(result, passed=not reason, reason=reason)
        assert item.broken.numbers is not None
        numbers = item.broken.numbers()
        failed = int(table.collect(numbers.select(pl.len())).item())
        if not failed:
            return result
        first = table.collect(numbers.bottom_k(_EXAMPLES, by=table.index))
        shown = table.numbered.join(first.lazy(), on=table.index, how="semi")
        found = table.collect(shown.select(table.index, *item.broken.columns[:_SHOWN_COLUMNS])).sort(table.index)
    except CannotBeChecked as error:
        return replace(result, passed=False, is_evaluated=False, reason=str(error))
    except Exception as error:  # noqa: BLE001 a second definition of the user's may raise anything
        reason = f"cannot be evaluated: {_said(error, table)}"
        return replace(result, passed=False, is_evaluated=False, reason=reason)
    examples = tuple(_example(row, table) for row in found.iter_rows(named=True))
    return _with_examples(replace(result, rows_failed=failed), {}, examples)


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
    table: CheckedTable, items: Sequence[Item], counts: Counts, numbers: Sequence[int]
) -> list[tuple[Example, ...]]:
    if not items:
        return []
    plans = []
    for number, item in zip(numbers, items, strict=True):
        shown = _shown_columns(item, counts, number)
        plans.append(table.numbered.filter(is_broken(item.broken)).head(_EXAMPLES).select(table.index, *shown))
    found = table.collect_all(plans)
    return [tuple(_example(row, table) for row in frame.iter_rows(named=True)) for frame in found]


def _shown_columns(item: Item, counts: Counts, number: int) -> list[str]:
    if len(item.broken.parts) > 1:
        broken = [name for name, count in _counts_of_parts(item, counts, number).items() if count]
        return broken[:_SHOWN_COLUMNS]
    return list(item.broken.columns[:_SHOWN_COLUMNS])


def _example(row: Mapping[str, Any], table: CheckedTable) -> Example:
    shown = {name: HIDDEN if name in table.sensitive else _short(value) for name, value in row.items()}
    return Example(row=row[table.index], values=tuple((n, value) for n, value in shown.items() if n != table.index))


def _said(error: Exception, table: CheckedTable) -> str:
    return type(error).__name__ if table.sensitive else first_line(error)  # its text may quote a value


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
        shown = ", ".join(f"{name} = {value if value == HIDDEN else repr(value)}" for name, value in examples[0].values)
        reason += f", first row {examples[0].row}: {shown}"
    return replace(result, passed=False, reason=reason, examples=examples)
