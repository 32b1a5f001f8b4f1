"""The values that name a dataset's partitions: given one by one, or from the first to the last."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Any

from filiera.errors import UsageError

_MOST = 100_000
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def partitions_between(first: Any, last: Any) -> list[Any]:
    """Return the values from *first* to *last*, both included: days, whole numbers, or texts of days or months.

    Raises:
        UsageError: They are of another kind, in the wrong order, or more than 100,000.

    >>> partitions_between("2025-12", "2026-02"), partitions_between(3, 5)
    (['2025-12', '2026-01', '2026-02'], [3, 4, 5])
    """
    found = _between(first, last)
    if found is None:
        raise UsageError(
            f"There is no way from {first} to {last}.",
            why="What lies between is known for days (2026-01-31), months (2026-01) and whole numbers.",
            do="Name each partition: --partition A,B,C",
        )
    values = []
    for value in found:
        values.append(value)
        if len(values) > _MOST:
            raise UsageError(f"From {first} to {last} there are more than {_MOST:,} partitions.")
    if not values:
        raise UsageError(f"{first} comes behind {last}.", do=f"--backfill {last}..{first}")
    return values


def all_partitions(known: Iterable[Any], asked: Iterable[Any]) -> list[Any]:
    """Return all values once, in ascending order.

    >>> all_partitions([1, 3], [2, 3])
    [1, 2, 3]
    """
    return sorted({*known, *asked})


def _between(first: Any, last: Any) -> Iterator[Any] | None:
    match first, last:
        case int(), int():
            return iter(range(first, last + 1))
        case dt.datetime(), _:
            return None
        case dt.date(), dt.date():
            return map(dt.date.fromordinal, range(first.toordinal(), last.toordinal() + 1))
        case str(), str():
            return _texts_between(first, last)
    return None


def _texts_between(first: str, last: str) -> Iterator[str] | None:
    for number, text in ((_month_number, _month_text), (_day_number, _day_text)):
        ends = number(first), number(last)
        if ends[0] is not None and ends[1] is not None:
            return map(text, range(ends[0], ends[1] + 1))
    return None


def _month_number(text: str) -> int | None:
    found = _MONTH.fullmatch(text)
    return int(found[1]) * 12 + int(found[2]) - 1 if found else None


def _month_text(number: int) -> str:
    return f"{number // 12:04}-{number % 12 + 1:02}"


def _day_number(text: str) -> int | None:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return day.toordinal() if day.isoformat() == text else None


def _day_text(number: int) -> str:
    return dt.date.fromordinal(number).isoformat()
