"""Columns of a list of runs that compare them: metrics and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from filiera.cli.show_command import parameters_of
from filiera.core.charts import short
from filiera.errors import UsageError, did_you_mean
from filiera.ports import Row
from filiera.project.metrics import summaries_of_run
from filiera.project.project import Project


class Compared:
    """The runs of a page, in the order asked for, with the last values of metrics, and parameters.

    Raises:
        UsageError: None of the runs has one that is asked for.
    """

    def __init__(self, project: Project, rows: Sequence[Row], columns: str, sort: str) -> None:
        self.rows = list(rows)
        self.names: list[str] = []
        self._values: dict[str, dict[str, Any]] = {}
        self._by = sort.removeprefix("-")
        if not rows or not (columns or sort):
            return
        for row in rows:
            metrics = summaries_of_run(project, row["run_id"])
            last = {name: summary.last for name, summary in metrics.items()}
            self._values[row["run_id"]] = {**parameters_of(row), **last}
        known = dict.fromkeys(name for values in self._values.values() for name in values)
        self.names = list(known) if columns == "all" else [name for name in columns.split(",") if name]
        for name in (*self.names, self._by):
            if name and name not in known:
                why = f"There are: {', '.join(known) or 'none'}.{did_you_mean(name, known)}"
                raise UsageError(f"None of these runs has a metric or parameter {name!r}.", why=why)
        if self._by:
            self.names += [] if self._by in self.names else [self._by]
            self._sort(descends=sort.startswith("-"))

    def cells(self, run_id: str) -> list[str]:
        """Return what the columns show of a run."""
        return [_shown(self._values[run_id].get(name)) for name in self.names]

    def data(self, run_id: str) -> dict[str, Any]:
        """Return the columns of a run as JSON data; nothing where none were asked for."""
        return {"columns": {name: self._values[run_id].get(name) for name in self.names}} if self.names else {}

    def _sort(self, *, descends: bool) -> None:
        """Sort by value, numbers before texts; what a run has not, or is NaN, comes last."""

        def place(row: Row) -> Any:
            value = self._values[row["run_id"]][self._by]
            return (0, value, "") if isinstance(value, int | float) else (1, 0, str(value))

        def is_there(row: Row) -> bool:
            value = self._values[row["run_id"]].get(self._by)
            return value is not None and value == value

        last = [row for row in self.rows if not is_there(row)]
        self.rows = [*sorted(filter(is_there, self.rows), key=place, reverse=descends), *last]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return short(value) if isinstance(value, float) else str(value)
