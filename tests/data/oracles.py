"""What checks must find, said row by row in plain Python: slow, and plain to see."""

from __future__ import annotations

import itertools
import math
from typing import Any

Rows = list[dict[str, Any]]


def repeated(rows: Rows, columns: tuple[str, ...]) -> list[int]:
    seen, found = set(), []
    for number, row in enumerate(rows):
        key = tuple("NaN" if row[name] != row[name] else row[name] for name in columns)
        if None in key:
            continue
        if key in seen:
            found.append(number)
        seen.add(key)
    return found


def strangers(rows: Rows, columns: tuple[str, ...], others: Rows, key: tuple[str, ...]) -> list[int]:
    known = {tuple(other[name] for name in key) for other in others}
    keys = [tuple(row[name] for name in columns) for row in rows]
    return [number for number, mine in enumerate(keys) if None not in mine and mine not in known]


def unsorted(rows: Rows, column: str, by: tuple[str, ...]) -> list[int]:
    last: dict[tuple[Any, ...], Any] = {}
    found = []
    for number, row in enumerate(rows):
        group, value = tuple(row[name] for name in by), row[column]
        if value is None or value != value:
            continue
        if group in last and value < last[group]:
            found.append(number)
        last[group] = value
    return found


def gaps(rows: Rows, column: str, by: tuple[str, ...], longest: float) -> int:
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        value = row[column]
        if value is not None and math.isfinite(value):
            groups.setdefault(tuple(row[name] for name in by), []).append(value)
    ordered = [sorted(values) for values in groups.values()]
    return sum(b - a > longest for values in ordered for a, b in itertools.pairwise(values))


def differs(given: Any, again: Any, tolerance: float) -> bool:
    if given is None or again is None:
        return given is not again
    if given != given or again != again:
        return (given != given) != (again != again)
    if isinstance(given, float) or isinstance(again, float):
        if math.isinf(given) or math.isinf(again):
            return bool(given != again)
        return bool(abs(given - again) > tolerance * max(abs(given), abs(again)))
    return bool(given != again)
