"""Proof that a transformation does not look ahead: what it says of a time is the same when later rows are not there."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from filiera.core.check import CheckResult, Example

_EXAMPLES = 5
_TOLERANCE = 1e-9

Transform = Callable[[pl.DataFrame], pl.DataFrame]


def check_no_look_ahead(
    transform: Transform, table: pl.DataFrame, *, time: str, cuts: int = 5, seed: int = 0
) -> CheckResult:
    """Return whether features of rows up to a time stay the same when all later rows are removed.

    The transformation is run on the whole table and, for some times, on the rows up to it: rows that a feature has seen
    the future of are those that differ. It may drop rows and put them in another order, but keeps *time*.

    Args:
        transform: Takes a table and returns one with the same column of times.
        table: Its input, with at least two times.
        time: The column that says when a row is known.
        cuts: How many times are tried, drawn between the first and the last one.
        seed: Draws them; the same seed draws the same.

    Raises:
        ValueError: *table* has fewer than two times.

    >>> flows = pl.DataFrame({"t": range(100), "x": range(100)})
    >>> check_no_look_ahead(lambda rows: rows.with_columns(m=pl.col("x").cum_sum()), flows, time="t").passed
    True
    >>> check_no_look_ahead(lambda rows: rows.with_columns(m=pl.col("x").mean()), flows, time="t").reason
    'm at t = 0 is 49.5, but 2.5 without the rows after 5'
    """
    times = table[time].drop_nulls().unique().sort()
    if len(times) < 2:
        raise ValueError(f"{time} has fewer than two times, so nothing lies ahead")
    whole = transform(table)
    dice = random.Random(seed)
    places = sorted(dice.sample(range(len(times) - 1), min(cuts, len(times) - 1)))
    found: list[tuple[str, Any, Example]] = []
    for cut in [times[place] for place in places]:
        early = transform(table.filter(pl.col(time) <= cut))
        found = _differences(whole.filter(pl.col(time) <= cut), early, time=time)
        if found:
            reason = _reason(found[0], time, cut)
            return _result(table, columns=(time,), reason=reason, examples=[example for _, _, example in found])
    return _result(table, columns=(time,), reason="", examples=())


def _differences(whole: pl.DataFrame, early: pl.DataFrame, *, time: str) -> list[tuple[str, Any, Example]]:
    """Return the first rows that differ: the column, the value without later rows, and the row."""
    if whole.height != early.height:
        more = Example(row=0, values=((time, None), ("rows", whole.height)))
        return [("rows", early.height, more)]
    for column in whole.columns:
        differs = _differs(whole[column], early[column])
        numbers = differs.arg_true().head(_EXAMPLES)
        if len(numbers):
            return [
                (
                    column,
                    early[column][number],
                    Example(row=number, values=((time, whole[time][number]), (column, whole[column][number]))),
                )
                for number in numbers
            ]
    return []


def _differs(one: pl.Series, other: pl.Series) -> pl.Series:
    if one.dtype.is_float() and other.dtype.is_float():
        near = (one - other).abs() <= _TOLERANCE * one.abs()
        return ~(one.eq_missing(other) | near.fill_null(False))
    return one.ne_missing(other)


def _reason(first: tuple[str, Any, Example], time: str, cut: Any) -> str:
    column, without, example = first
    values = dict(example.values)
    if column == "rows":
        return f"{values['rows']:,} rows up to {time} = {cut}, but {without:,} without the rows after it"
    return f"{column} at {time} = {values[time]} is {values[column]}, but {without} without the rows after {cut}"


def _result(table: pl.DataFrame, *, columns: tuple[str, ...], reason: str, examples: Sequence[Example]) -> CheckResult:
    return CheckResult(
        name=f"no look ahead in {columns[0]}",
        kind="no_look_ahead",
        columns=columns,
        severity="block",
        passed=not reason,
        rows_checked=table.height,
        reason=reason,
        examples=tuple(examples),
    )
