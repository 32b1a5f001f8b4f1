"""Set rows aside that break a quarantine check, with the rule they broke; the others go on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import polars as pl

from filiera.core.check import Check, CheckReport
from filiera.core.files import PROBLEM, Files
from filiera.data.broken_rows import broken_rows
from filiera.data.checked_table import Beside, CheckedTable
from filiera.data.checks import Item, check_table, is_broken

RULE_COLUMN = "_rule"
"""Column of quarantined rows: the names of the checks that the row broke, joined by "; "."""


class Validated(NamedTuple):
    """A table after its checks."""

    kept: pl.DataFrame  #: rows that broke no quarantine check
    rejected: pl.DataFrame  #: the other rows, with ``_rule``
    report: CheckReport  #: quarantine checks measured on all rows, the others on the kept ones


class LazilyValidated(NamedTuple):
    """A table after its checks, which need not fit into memory; see ``Validated``."""

    kept: pl.LazyFrame
    rejected: pl.LazyFrame
    report: CheckReport


def quarantine(frame: pl.DataFrame, checks: Iterable[Check]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that pass every check of severity quarantine, and the others with the column ``_rule``.

    Both keep the order of *frame*. A check that cannot be evaluated sets no row aside; its result in ``run_checks``
    blocks.

    >>> kept, rejected = quarantine(pl.DataFrame({"a": [1, -1]}), [Check.in_range("a", 0, severity="quarantine")])
    >>> kept.rows(), rejected.rows()
    ([(1,)], [(-1, 'a in 0..')])
    """
    validated = validate(frame, _quarantining(checks))
    return validated.kept, validated.rejected


def validate(
    frame: pl.DataFrame, checks: Iterable[Check], *, beside: Beside | None = None, sensitive: Collection[str] = ()
) -> Validated:
    """Return the table split by its quarantine checks, and the report of all checks on what is kept.

    A blocking check on the number of rows, or on a column that quarantine cleans, therefore judges what would be
    published.
    """
    kept, rejected, report = _validate(CheckedTable(frame, beside=beside, sensitive=sensitive), checks)
    kept_rows, rejected_rows = pl.collect_all([kept, rejected], engine="in-memory")
    return Validated(kept_rows, rejected_rows, report)


def validate_lazily(
    frame: pl.LazyFrame, checks: Iterable[Check], *, beside: Beside | None = None, sensitive: Collection[str] = ()
) -> LazilyValidated:
    """Return what ``validate`` does, of a table that need not fit into memory: as queries over it."""
    return _validate(CheckedTable(frame, beside=beside, sensitive=sensitive), checks)


class ValidatedFiles(NamedTuple):
    """Files after their checks."""

    kept: Files  #: those that broke no quarantine check; the others are among its ``rejected``, with the rules
    report: CheckReport  #: as that of ``Validated``


def validate_files(
    files: Files, checks: Iterable[Check], *, beside: Beside | None = None, sensitive: Collection[str] = ()
) -> ValidatedFiles:
    """Return *files* without those that break a quarantine check, and the report of all checks on what is kept."""
    found = validate(files.table, checks, beside=beside, sensitive=sensitive)
    broke = found.rejected.rename({RULE_COLUMN: PROBLEM})
    kept = files.with_table(found.kept, rejected=pl.concat([files.rejected, broke], how="diagonal_relaxed"))
    return ValidatedFiles(kept, found.report)


def _validate(table: CheckedTable, checks: Iterable[Check]) -> LazilyValidated:
    checks = list(checks)
    set_aside = _quarantining(checks)
    first = check_table(table, set_aside)
    broken = [check for check, result in zip(set_aside, first.results, strict=True) if result.rows_failed]
    kept, rejected = _split(table, broken)
    second = check_table(table.narrowed(kept), [check for check in checks if check.severity != "quarantine"])
    streams = {True: iter(first.results), False: iter(second.results)}
    results = tuple(next(streams[check.severity == "quarantine"]) for check in checks)
    return LazilyValidated(kept, rejected, CheckReport(results=results, rows=second.rows))


def _quarantining(checks: Iterable[Check]) -> list[Check]:
    return [check for check in checks if check.severity == "quarantine"]


def _split(table: CheckedTable, broken: Sequence[Check]) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    if not broken:
        return table.frame, table.frame.head(0).with_columns(pl.lit(None, dtype=pl.String).alias(RULE_COLUMN))
    marked = table.frame
    items = [Item(check, broken_rows(check, table)) for check in broken]
    is_numbered = any(item.broken.numbers for item in items)
    if is_numbered:
        marked = table.numbered
    names, helpers = [], [table.index] if is_numbered else []
    for number, (check, queries) in enumerate(items):
        is_hit = is_broken(queries) if queries.parts else pl.col(f"{table.index}.{number}")
        names.append(pl.when(is_hit).then(pl.lit(check.name)).otherwise(pl.lit(None)))
        if queries.numbers is not None:
            helpers.append(f"{table.index}.{number}")
            # Collected: the numbers are few beside the table, and would else be looked for once for each use.
            hit = table.collect(queries.numbers()).with_columns(pl.lit(True).alias(helpers[-1])).lazy()
            marked = marked.join(hit, on=table.index, how="left", maintain_order="left")
    mark = f"{table.index}.rule"
    marked = marked.with_columns(pl.concat_str(names, separator="; ", ignore_nulls=True).alias(mark)).drop(helpers)
    rejected = marked.filter(pl.col(mark) != "").with_columns(pl.col(mark).alias(RULE_COLUMN))
    return marked.filter(pl.col(mark) == "").drop(mark), rejected.drop(mark)
