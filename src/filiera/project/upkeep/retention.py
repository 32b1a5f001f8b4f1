"""Which runs stay: the newest of each pipeline, young ones, those that published, and those that are driven now."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.ports import MetadataStore, Row
from filiera.project import identity

DAY_S = 86_400.0
KEEP_DAYS = 30.0
KEEP_RUNS = 10
SHORTEST_GRACE_S = 7_200.0
"""Twice the hour after which a blob that is put again is marked as newly stored: see ``adapters/folder_blobs.py``."""

_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """How long what is kept. A run stays while one of both rules says so; the newest of a pipeline always does."""

    keep_days: float = KEEP_DAYS  #: days since somebody last drove a run
    keep_runs: int = KEEP_RUNS  #: newest runs of each pipeline
    grace_s: float = DAY_S  #: what was stored within so many seconds stays, whether something needs it or not
    runs: frozenset[str] = frozenset()  #: these stay in any case

    def __post_init__(self) -> None:
        if not (math.isfinite(self.keep_days) and self.keep_days >= 0):
            raise UsageError(f"Days to keep must be 0 or more, not {self.keep_days}.")
        if self.keep_runs < 0:
            raise UsageError(f"Runs to keep must be 0 or more, not {self.keep_runs}.")
        if not (math.isfinite(self.grace_s) and self.grace_s >= SHORTEST_GRACE_S):
            raise UsageError(
                f"The grace must be {SHORTEST_GRACE_S / 3600:g} hours or more, not {self.grace_s / 3600:g}.",
                why="A run may be about to use what was stored a moment ago, and nothing says so yet.",
            )


class Kept:
    """Tells which runs stay, as of the moment when it was made."""

    def __init__(self, records: MetadataStore, retention: Retention, *, now: float) -> None:
        self._records = records
        self._before = now - retention.keep_days * DAY_S
        self._publishing = {row["run_id"] for row in records.read("publishing_runs")}
        running = records.read("live_runs")
        self.live = [row for row in running if _may_live(row, now)]
        self._live = {row["run_id"] for row in self.live}
        self.abandoned = [row for row in running if row["run_id"] not in self._live]  #: their drivers died
        self._named = retention.runs
        self._first = dict(self._first_kept(max(retention.keep_runs, 1)))

    def stays(self, run: Row) -> bool:
        """Tell whether a run stays, from its row."""
        return (
            run["number"] >= self._first.get(run["pipeline"], 0)
            or (run["heartbeat_at"] or run["started_at"]) >= self._before
            or run["run_id"] in self._publishing
            or run["run_id"] in self._named
            or run["run_id"] in self._live
        )

    def others(self) -> Iterator[list[Row]]:
        """Yield the runs that do not stay, some at a time."""
        for pipeline, below in self._first.items():
            after = -1
            while rows := self._records.read("older_runs", self._range(pipeline, after, below)):
                after = rows[-1]["number"]
                found = [row for row in rows if not self.stays(row)]
                if found:
                    yield found

    def _range(self, pipeline: str, after: int, below: int) -> Mapping[str, object]:
        return {"pipeline": pipeline, "after": after, "below": below, "before": self._before, "limit": _AT_ONCE}

    def _first_kept(self, count: int) -> Iterator[tuple[str, int]]:
        """Yield the number of the oldest among the newest *count* runs of each pipeline that has more."""
        after = ""
        while (pipeline := self._records.read("next_pipeline", {"after": after})[0]["pipeline"]) is not None:
            rows = self._records.read("number_of_run_at", {"pipeline": pipeline, "place": count - 1})
            if rows:
                yield pipeline, rows[0]["number"]
            after = pipeline


def _may_live(run: Row, now: float) -> bool:
    """Tell whether a run may be driven now: by another host, whose clock may differ, if it spoke within a day."""
    if identity.pid_of(run["driver"]) is None:
        return bool(now - run["heartbeat_at"] < DAY_S)
    return identity.is_alive(run["driver"], last_seen_at=run["heartbeat_at"], now=now)
