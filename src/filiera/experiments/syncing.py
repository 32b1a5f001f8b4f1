"""Bringing an experiment up to date with its target: its files, and the datasets it uses."""

from __future__ import annotations

from dataclasses import replace

from filiera.core.value import dataclass
from filiera.errors import Rejected
from filiera.experiments.dropping import require_committed, with_changes
from filiera.experiments.moving import Move, move, recover
from filiera.experiments.names import branch_of, new_id
from filiera.experiments.place import Place, pins_of
from filiera.experiments.records import RunRecord, StartRecord, newest_runs, path_of, start_in, write_record
from filiera.project.audit import actor


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    """An experiment that has its target in it."""

    record: StartRecord
    is_changed: bool  #: False: it was up to date
    runs: tuple[RunRecord, ...]  #: the newest of each pipeline, datasets first: what is to be run again


def sync(place: Place, name: str) -> Synced:
    """Merge the target into an experiment, in its worktree, and let it use the datasets of now.

    Raises:
        UsageError: There is no such experiment, or it has changes that are not committed.
        Rejected: Files are in conflict: they are left in the worktree, to be resolved and committed there.
        StoreBusy: Another process works on it.
        ProjectError: The worktree is not as it should be.
    """
    with place.lease(name):
        worktree = place.ensure_worktree(name)
        recover(place, name)
        repository = place.repository.at(worktree)
        records = place.records(name)[name]
        before, runs = start_in(records) or place.start_of(name), newest_runs(records)
        tip = place.tip(name)
        require_committed(place, worktree, tip, with_changes(place, worktree, name, tip))
        base = repository.resolve(before.target)
        merged = repository.merge(place.tip(name), base)
        message = f"Bring {name} up to date\n\nExperiment: {name}\n"
        if merged.conflicts:
            words = ("merge", "--no-ff", "-m", message, base)
            repository.git(*words, cwd=worktree, variables=repository.somebody, check=False)
            raise Rejected(
                f"Experiment {name!r} is in conflict with its target: {', '.join(merged.conflicts[:10])}.",
                why=f"The files in {worktree} show both sides.",
                do=f"Resolve them there, git add, git commit; then: filiera experiment sync {name}",
            )
        pins, contents = pins_of(place.project)
        tip = place.tip(name)
        has_base = repository.git("merge-base", tip, base, check=False) == base
        if has_base and before.base == base and dict(before.pins) == dict(pins):
            return Synced(record=before, is_changed=False, runs=runs)
        now = place.project.clock()
        record = replace(before, id=new_id(), at=now, by=actor(), base=base, pins=pins, contents=contents)
        tree = repository.with_files(merged.tree, {path_of(record, place.prefix): write_record(record)})
        commit = repository.commit(tree, [tip] if has_base else [tip, base], message)
        move(place, name, Move(branch=branch_of(name), old=tip, new=commit), worktree)
        place.mark(worktree, record)
        return Synced(record=record, is_changed=True, runs=runs)
