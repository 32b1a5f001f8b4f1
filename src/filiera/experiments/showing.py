"""One experiment: how it began, how it stands, what has run in it, and what may be done next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from filiera.core.value import dataclass
from filiera.experiments.listing import Listed, list_experiments
from filiera.experiments.place import Place
from filiera.experiments.records import RunRecord, StartRecord, runs_in, start_in
from filiera.experiments.sides import TARGET


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """All that is told of an experiment."""

    listed: Listed
    start: StartRecord | None  #: how it began, or was brought up to date; None: it was not begun by us
    runs: tuple[RunRecord, ...]  #: the newest first
    uncommitted: tuple[str, ...]  #: files of its worktree that differ from its branch
    busy: str  #: what git is in the middle of there, such as ``MERGE_HEAD``; "" when nothing

    @property
    def state(self) -> str:
        """Return the state of the experiment; what is not committed has not run."""
        is_other = bool(self.uncommitted) and self.listed.state == self.listed.summary.status
        return "stale" if is_other else self.listed.state

    @property
    def data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            **self.listed.data,
            "state": self.state,
            "start": None if self.start is None else asdict(self.start),
            "uncommitted": list(self.uncommitted),
            "in_the_middle_of": self.busy or None,
            "runs": [asdict(run) for run in self.runs],
            "next": list(self.next),
        }

    @property
    def next(self) -> Iterator[str]:
        """Yield commands that make sense now, the most useful first."""
        one, name = self.listed, self.listed.name
        newest = next((run for run in self.runs if run.run_id == one.summary.newest), None)
        if one.holder is not None:
            return
        if self.busy:
            yield f"git -C {one.worktree} status"
            return
        if one.standing is not None and one.standing.is_merged:
            yield f"filiera experiment drop {name}"
            return
        if one.standing is not None and one.standing.behind:
            yield f"filiera experiment sync {name}"
        if newest is None or one.summary.is_stale or self.uncommitted:
            yield f"filiera experiment run {name}" if newest is None else newest.again
        elif newest.status == "rejected":
            yield f"filiera show {newest.run_id}"
        if newest is not None and newest.metrics:
            yield f"filiera experiment compare {TARGET} {name}"
        if newest is not None and newest.status == "succeeded" and not (one.summary.is_stale or self.uncommitted):
            yield f"filiera experiment accept {name}"


def show(place: Place, name: str) -> Shown:
    """Return what is to be told of an experiment. Raises UsageError when there is none."""
    (listed,) = list_experiments(place, [name])
    records = place.records(name)[name]
    worktree = None if listed.worktree is None else place.repository.at(listed.worktree)
    status = None if worktree is None else worktree.status()
    return Shown(
        listed=listed,
        start=start_in(records),
        runs=tuple(runs_in(records)[::-1]),
        uncommitted=() if status is None else (*status.changed, *status.new),
        busy="" if worktree is None else worktree.busy(),
    )
