"""What experiments there are and how they stand, read from their branches without checking anything out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filiera.core.value import dataclass
from filiera.experiments.names import BRANCHES
from filiera.experiments.place import MAKING, Place
from filiera.experiments.records import Record, RunRecord, StartRecord, records_at, runs_in, start_in


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One experiment."""

    name: str
    commit: str
    start: StartRecord | None
    runs: tuple[RunRecord, ...]  #: the oldest first
    worktree: Path | None

    @property
    def newest(self) -> RunRecord | None:
        """Return the run that counts: the newest one with metrics, or the newest."""
        measured = [each for each in self.runs if each.metrics] or self.runs
        return measured[-1] if measured else None

    @property
    def data(self) -> dict[str, Any]:
        """Return it as plain data."""
        newest = self.newest
        return {
            "experiment": self.name,
            "branch": f"exp/{self.name}",
            "commit": self.commit,
            "target": "" if self.start is None else self.start.target.removeprefix("refs/heads/"),
            "started_at": None if self.start is None else self.start.at,
            "worktree": None if self.worktree is None else str(self.worktree),
            "runs": len(self.runs),
            "newest": None if newest is None else newest.run_id,
            "status": None if newest is None else newest.status,
            "metrics": {} if newest is None else {name: dict(each) for name, each in newest.metrics.items()},
        }


def list_experiments(place: Place, names: Sequence[str] = ()) -> list[Listed]:
    """Return all experiments, or some, in the order of their beginnings. Raises UsageError for an unknown one."""
    branches = place.branches()
    commits = {name: branches.get(name) or place.tip(name) for name in names} if names else branches
    records = records_at(place.repository, commits, place.prefix)
    folders = {
        each.branch.removeprefix(BRANCHES): each.path
        for each in place.repository.worktrees()
        if each.branch.startswith(BRANCHES) and not each.path.name.startswith(MAKING)
    }
    found = [_listed(name, commit, records[name], folders.get(name)) for name, commit in commits.items()]
    return found if names else sorted(found, key=lambda each: (each.start.at if each.start else 0.0, each.name))


def _listed(name: str, commit: str, records: Sequence[Record], worktree: Path | None) -> Listed:
    is_there = worktree is not None and worktree.is_dir()
    return Listed(
        name=name,
        commit=commit,
        start=start_in(records),
        runs=tuple(runs_in(records)),
        worktree=worktree if is_there else None,
    )
