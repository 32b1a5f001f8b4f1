"""The log of a serving graph, and those of the models inside, which are kept and closed along with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filiera.ports import PredictionLog
from filiera.project import plugins


class NodeLogs:
    """A prediction log for what a graph answers, which opens others for what its models have answered it."""

    def __init__(self, store: Path, name: str) -> None:
        """Open the log of the graph *name*. Raises StoreError when it cannot be written."""
        self._store = store
        self._log = plugins.prediction_log(store, name)
        self._others: dict[str, PredictionLog] = {}

    def of(self, name: str) -> PredictionLog:
        """Return the log of a model. Raises StoreError when it cannot be written."""
        if name not in self._others:
            self._others[name] = plugins.prediction_log(self._store, name)
        return self._others[name]

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep records of the graph."""
        self._log.append(records)

    def append_requests(
        self,
        about: Mapping[str, Any],
        requests: Sequence[bytes],
        answers: Sequence[bytes],
        *,
        count: int,
        raw: Sequence[bytes | memoryview] = (),
    ) -> None:
        """Keep records of the graph."""
        self._log.append_requests(about, requests, answers, count=count, raw=raw)

    def keep(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep records of the graph, and come back when they are on disk. Raises StoreError."""
        self._log.keep(records)

    def flush(self) -> None:
        """Return when all that was appended to any of the logs is on disk."""
        for log in self._all():
            log.flush()

    def read(self, *, since: float = 0.0, until: float | None = None) -> Iterator[Mapping[str, Any]]:
        """Yield records of the graph."""
        return self._log.read(since=since, until=until)

    def dropped(self) -> int:
        """Return how many records could not be kept in any of the logs."""
        return sum(log.dropped() for log in self._all())

    def trouble(self) -> str:
        """Return why one of the logs takes nothing now, or ''."""
        return next(filter(None, (log.trouble() for log in self._all())), "")

    def close(self) -> None:
        """Flush and close all logs."""
        for log in self._all():
            log.close()

    def _all(self) -> list[PredictionLog]:
        return [self._log, *self._others.values()]
