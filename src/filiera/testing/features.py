"""Laws that features and cleaning obey, to be asserted in a project's tests on its own rows.

Each takes a function from a table to a table, as steps are, and raises AssertionError with what broke the law.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

Compute = Callable[[Any], Any]


def assert_row_by_row(compute: Compute, rows: Any, *, seed: int = 0) -> None:
    """Rows come out the same in another order, and without half of the others: *compute* looks at one at a time."""
    expected = compute(rows).rows()
    order = list(range(rows.height))
    random.Random(seed).shuffle(order)
    _same(compute(rows[order]).rows(), [expected[index] for index in order], "in another order")
    half = sorted(order[: rows.height // 2])
    _same(compute(rows[half]).rows(), [expected[index] for index in half], "without half of the others")


def assert_order_is_kept_out(compute: Compute, rows: Any, *, seed: int = 0) -> None:
    """The same rows come out, in whatever order they go in: for aggregates, joins and cleaning."""
    order = list(range(rows.height))
    random.Random(seed).shuffle(order)
    _same(sorted(map(repr, compute(rows[order]).rows())), sorted(map(repr, compute(rows).rows())), "in another order")


def assert_scales(compute: Compute, rows: Any, columns: Sequence[str], *, feature: str, power: float) -> None:
    """With *columns* twice as large, *feature* is ``2**power`` as large: 0 of a ratio, 1 of a sum, 2 of an area.

    Doubling is exact in floats, so that there is no rounding to allow for.
    """
    doubled = rows.with_columns(rows[name] * 2 for name in columns)
    before, after = compute(rows)[feature].to_list(), compute(doubled)[feature].to_list()
    _same(
        after, [None if value is None else value * 2**power for value in before], f"with {', '.join(columns)} doubled"
    )


def assert_idempotent(clean: Compute, rows: Any) -> None:
    """Cleaning what is clean changes nothing."""
    once = clean(rows)
    _same(clean(once).rows(), once.rows(), "cleaned twice")


def _same(found: Sequence[Any], expected: Sequence[Any], when: str) -> None:
    if len(found) != len(expected):
        raise AssertionError(f"{when}: {len(found):,} rows instead of {len(expected):,}")
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        if repr(one) != repr(other):
            raise AssertionError(f"{when}: row {index} is {one!r} instead of {other!r}")
