"""Columns of a list that compare what is listed: metrics and parameters."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from filiera.core.charts import short
from filiera.core.value import dataclass
from filiera.errors import UsageError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Which columns are asked for, and in what order."""

    columns: str  #: names with commas between them, or "all"
    sort: str  #: the name to sort by, perhaps behind "-"; it becomes a column, too
    what: str  #: what is listed, for messages
    descending: frozenset[str] = frozenset()  #: names that are sorted with the greatest first

    @property
    def by(self) -> str:
        """Return the name to sort by; "" for none."""
        return self.sort.removeprefix("-")

    @property
    def is_reversed(self) -> bool:
        """Tell whether the greatest comes first."""
        return self.sort.startswith("-") is not (self.by in self.descending)


class Compared(Generic[T]):
    """What is listed, in the order asked for, with columns of values.

    Raises:
        UsageError: None of them has a value that is asked for.
    """

    def __init__(self, found: Sequence[T], values_of: Callable[[T], Mapping[str, Any]], asked: Asked) -> None:
        self.found = list(found)
        self.names: list[str] = []
        self._values: dict[int, Mapping[str, Any]] = {}
        if not found or not (asked.columns or asked.sort):
            return
        self._values = {id(one): values_of(one) for one in self.found}
        known = dict.fromkeys(name for values in self._values.values() for name in values)
        self.names = list(known) if asked.columns == "all" else [name for name in asked.columns.split(",") if name]
        for name in (*self.names, asked.by):
            if name and name not in known:
                why = f"There are: {', '.join(known) or 'none'}.{did_you_mean(name, known)}"
                raise UsageError(f"None of these {asked.what} has a metric or parameter {name!r}.", why=why)
        if asked.by:
            self.names = self.names if asked.by in self.names else [asked.by, *self.names]
            self._sort(asked)

    def cells(self, one: T) -> list[str]:
        """Return what the columns show of one."""
        return [shown(value) for value in self.values(one).values()]

    def values(self, one: T) -> dict[str, Any]:
        """Return the values of one in the columns, None where it has none."""
        values = self._values.get(id(one), {})
        return {name: values.get(name) for name in self.names}

    def _sort(self, asked: Asked) -> None:
        """Sort by value, numbers before texts; what is not there, or is NaN, comes last."""
        values = {id(one): self._values[id(one)].get(asked.by) for one in self.found}

        def place(one: T) -> Any:
            value = values[id(one)]
            return (0, value, "") if isinstance(value, int | float) else (1, 0, str(value))

        def is_there(one: T) -> bool:
            value = values[id(one)]
            return value is not None and value == value

        last = [one for one in self.found if not is_there(one)]
        self.found = [*sorted(filter(is_there, self.found), key=place, reverse=asked.is_reversed), *last]


def shown(value: Any) -> str:
    """Return a value for people; '' for none."""
    if value is None:
        return ""
    return short(value) if isinstance(value, float) else str(value)


def estimate(metric: Mapping[str, Any]) -> str:
    """Return a metric with its interval, for a column.

    >>> estimate({"value": 0.9, "low": 0.85, "high": 0.93})
    '0.9000 (0.8500…0.9300)'
    """
    value, low, high = metric["value"], metric["low"], metric["high"]
    if max(abs(value), abs(low), abs(high)) < 1000:
        return f"{value:.4f} ({low:.4f}…{high:.4f})"
    return f"{short(value)} ({short(low)}…{short(high)})"


def drop_columns(columns: dict[str, list[str]], expendable: Sequence[str]) -> list[str]:
    """Take out columns that a screen has no room for, in this order, and return their names."""
    dropped: list[str] = []
    if not sys.stdout.isatty():
        return dropped
    screen = shutil.get_terminal_size().columns
    widths = {name: max(map(len, (name, *cells))) for name, cells in columns.items()}
    for name in expendable:
        if sum(widths.values()) + 2 * (len(widths) - 1) <= screen:
            break
        dropped.append(name)
        del columns[name], widths[name]
    return dropped
