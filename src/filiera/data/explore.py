"""Look at a table: one lazy pass, in memory that does not grow with the number of rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import polars as pl

from filiera.data.association import MAX_CATEGORIES, PAIR_ROWS, Comparable, associations
from filiera.data.column_types import type_name
from filiera.data.columns import Seen
from filiera.data.profile import Profile
from filiera.data.survey import survey
from filiera.data.tally import kind_of
from filiera.data.target import Answers
from filiera.errors import UsageError, did_you_mean


def explore(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    title: str = "",
    target: str | None = None,
    associate: Sequence[str] = (),
    sensitive: Collection[str] = (),
) -> Profile:
    """Return what *frame* looks like.

    Counts, extremes, means and deviations are exact, and so is all of columns with at most 4,096 different values, and
    all of tables with at most 262,144 rows (fewer beyond 64 columns). Else quantiles, bars and associations come from
    so many rows drawn at random, the same ones each time, and different values are estimated: ``Profile`` says which,
    and how far off they may be.

    Args:
        frame: The table; a lazy one is streamed and never held whole.
        title: What the table is, for people.
        target: A column that the others are compared with; classes (the rarest are taken together beyond six), or
            numbers.
        associate: Columns of which each pair is compared; the pairs grow with the square of their number.
        sensitive: Columns of whose values nothing is told but counts and lengths.

    Raises:
        UsageError: There is no such column, the target is sensitive, or its type has neither classes nor order.

    >>> explore(pl.DataFrame({"a": [1, 1, 2]})).columns[0].distinct
    2
    """
    schema = frame.collect_schema()
    _check(schema, target, associate, sensitive)
    found = survey(frame)
    sample, is_whole = found.sample()
    seen = [Seen.of(column, sample, is_whole=is_whole) for column in found.columns]
    asked = [one for one in seen if one.column.name == target]
    answers = Answers.of(asked[0], sample, rows=found.rows) if asked else None
    repeated, error = found.repeated_rows()
    return Profile(
        title=title,
        rows=found.rows,
        columns=tuple(one.column for one in seen) if answers is None else answers.against(seen, sample),
        sample_rows=None if is_whole else sample.height,
        repeated_rows=repeated,
        repeated_error=error,
        target=target,
        target_measure=None if answers is None else answers.measure,
        classes=() if answers is None else answers.classes,
        associations=tuple(associations(list(_comparables(seen, sample, associate)))),
    ).without_values_of(sensitive)


def _check(schema: pl.Schema, target: str | None, associate: Sequence[str], sensitive: Collection[str]) -> None:
    for name in ([] if target is None else [target]) + list(associate):
        if name not in schema:
            known = f"The table has: {', '.join(schema)}.{did_you_mean(name, list(schema))}"
            raise UsageError(f"There is no column {name!r} to compare with.", why=known)
    if target is not None and target in sensitive:
        raise UsageError(
            f"Column {target!r} is sensitive: its values would name the classes.", do="Choose another one."
        )
    if target is not None and kind_of(schema[target]) == "other":
        raise UsageError(f"Column {target!r} is {type_name(schema[target])} and has no classes to compare with.")


def _comparables(seen: Sequence[Seen], sample: pl.DataFrame, names: Sequence[str]) -> Iterator[Comparable]:
    rows = sample.sample(PAIR_ROWS, seed=0) if sample.height > PAIR_ROWS and names else sample
    kinds = {one.column.name: one.column.kind for one in seen}
    for name in dict.fromkeys(names):
        found = Comparable.of(rows.get_column(name), kinds[name]) if name in rows.columns else None
        if found is not None and (found.kind == "number" or found.different <= MAX_CATEGORIES):
            yield found
