"""Rows set aside with the rule they broke: never dropped, countable, and given back once the rule changed."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import polars as pl

from filiera.core.check import HIDDEN
from filiera.core.value import dataclass
from filiera.data.quarantine import RULE_COLUMN
from filiera.errors import UsageError


class Parted(NamedTuple):
    """A table in two parts, both in its order."""

    kept: pl.DataFrame
    aside: pl.DataFrame  #: with the column ``_rule``, which says why


def set_aside(rows: pl.DataFrame, rule: pl.Expr, reason: str) -> Parted:
    """Return the rows that *rule* holds for, and the others with *reason* in the column ``_rule``. Null passes.

    For steps before a dataset's checks, which set rows aside by themselves where their severity is ``quarantine``.

    Raises:
        UsageError: The rule is not true or false for each row, or names a column that is not there.

    >>> kept, aside = set_aside(pl.DataFrame({"age": [30, 180, None]}), pl.col("age") <= 120, "age is plausible")
    >>> kept.rows(), aside.rows()
    ([(30,), (None,)], [(180, 'age is plausible')])
    """
    try:
        holds = rows.select(rule.alias(RULE_COLUMN)).to_series()
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"The rule {reason!r} does not fit the table: {str(error).splitlines()[0]}") from error
    if holds.dtype != pl.Boolean or len(holds) != rows.height:
        raise UsageError(
            f"The rule {reason!r} gives {len(holds):,} values of type {holds.dtype} for {rows.height:,} rows.",
            do="Give an expression that is true for good rows: pl.col('age') <= 120.",
        )
    is_good = holds.fill_null(True)
    aside = rows.filter(~is_good)
    if RULE_COLUMN not in rows.columns:
        aside = aside.with_columns(pl.lit(reason).alias(RULE_COLUMN))
    return Parted(rows.filter(is_good), aside)


def readmit(rows: pl.DataFrame, aside: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with those that were set aside after them, for the dataset's checks to judge all of them anew.

    What the checks of now let pass is published again, what still breaks a rule is set aside again: nothing is lost.

    Raises:
        UsageError: The columns are not the same.

    >>> readmit(pl.DataFrame({"age": [30]}), pl.DataFrame({"age": [130], "_rule": ["age in 0..120"]})).rows()
    [(30,), (130,)]
    """
    back = aside.drop(RULE_COLUMN, strict=False)
    if back.schema != rows.schema:
        odd = sorted({name for name, _ in set(back.schema.items()) ^ set(rows.schema.items())})
        raise UsageError(
            f"The rows that were set aside do not fit: {', '.join(odd) or 'the order of columns'} differs.",
            do="Bring them into the form of the table first, with select and cast.",
        )
    return pl.concat([rows, back])


def joined(before: pl.LazyFrame, rejected: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows that steps have set aside, and those that checks have after them, with the columns of both.

    Raises:
        UsageError: The former have no column ``_rule`` that says why.
    """
    if before.collect_schema().get(RULE_COLUMN) != pl.String:
        raise UsageError(
            f"The rows that were set aside have no column {RULE_COLUMN!r} that says why.",
            do="Return what set_aside gives: kept, aside = set_aside(rows, rule, reason).",
        )
    return pl.concat([before, rejected], how="diagonal_relaxed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Census:
    """How many rows were set aside, and why."""

    rows: int
    by_rule: tuple[tuple[str, int], ...]  #: rule and rows that broke it, most first; a row may break several


def census(aside: pl.LazyFrame) -> Census:
    """Return how many rows were set aside, in all and by rule.

    >>> census(pl.LazyFrame({"_rule": ["a", "a; b"]})).by_rule
    (('a', 2), ('b', 1))
    """
    if RULE_COLUMN not in aside.collect_schema():
        return Census(rows=int(aside.select(pl.len()).collect().item()), by_rule=())
    rule = pl.col(RULE_COLUMN)
    # Few combinations of rules are broken by many rows: count those first.
    together = aside.group_by(rule).agg(pl.len().alias("rows")).collect(engine="streaming")
    single = together.with_columns(rule.str.split("; ")).explode(RULE_COLUMN)
    counts = single.group_by(RULE_COLUMN).agg(pl.col("rows").sum()).sort("rows", RULE_COLUMN, descending=[True, False])
    return Census(
        rows=int(together["rows"].sum()), by_rule=tuple((str(name), int(count)) for name, count in counts.rows())
    )


def broken_by(aside: pl.LazyFrame, rule: str) -> pl.LazyFrame:
    """Return the rows that broke one rule, perhaps among others."""
    return aside.filter(pl.col(RULE_COLUMN).str.split("; ").list.contains(rule))


def without_values_of(sensitive: Collection[str], rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return *rows* with ``HIDDEN`` in place of the values of the columns in *sensitive*."""
    return rows.with_columns(pl.lit(HIDDEN).alias(name) for name in rows.collect_schema() if name in sensitive)
