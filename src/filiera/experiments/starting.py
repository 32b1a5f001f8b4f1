"""Beginning an experiment: a branch with the state of a folder, and a worktree for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from filiera.adapters.git_repository import NONE, RefChange, Repository
from filiera.adapters.git_status import Status
from filiera.core.value import dataclass
from filiera.errors import FilieraError, ProjectError, UsageError
from filiera.experiments.files import require_keepable
from filiera.experiments.names import ARCHIVE, branch_of, check_experiment_name, new_id
from filiera.experiments.place import Place, pins_of
from filiera.experiments.records import StartRecord, path_of, write_record
from filiera.experiments.submodules import require_committed_submodules
from filiera.project.audit import actor

Dirty = Literal["carry", "ignore", "refuse"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """An experiment that has begun."""

    record: StartRecord
    worktree: Path


def start(place: Place, name: str, *, base: str = "HEAD", dirty: Dirty = "carry", into: str = "") -> Started:
    """Begin an experiment and return it; the folder it is started from stays as it is, its index too.

    Args:
        place: Where.
        name: Its name: small letters, digits and ``-``.
        base: The commit it begins from.
        dirty: What becomes of changes that are not committed, new files included, when *base* is what is checked out:
            they come along, or stay behind, or the experiment is refused.
        into: The branch it will be merged into; by default the one that is checked out.

    Raises:
        UsageError: The name is taken, or was; there are changes and *dirty* is ``refuse``.
        ProjectError: The repository is in a state that nothing can begin from.
    """
    check_experiment_name(name)
    with place.lease(name):
        _require_free(place, name)
        status = place.repository.status()
        commit = _base(place.repository, status, base)
        target = _target(place, status, into)
        files = "" if dirty == "ignore" or commit != status.commit else _changed(place.repository, status)
        if files and dirty == "refuse":
            raise UsageError(
                f"{place.repository.top} has changes that are not committed: "
                f"{_some(place.repository.changed(commit, files))}.",
                do="Commit them, or let them come along: --dirty carry",
            )
        is_carried = bool(files)
        record = _record(place, name, commit, target, is_carried=is_carried)
        kept = {path_of(record, place.prefix): write_record(record)}
        tree = place.repository.with_files(files or commit, kept)
        came = "\n\nChanges that were not committed came along." if is_carried else ""
        first = place.repository.commit(tree, [commit], f"Start experiment {name}{came}\n\nExperiment: {name}\n")
        place.repository.update([RefChange(branch_of(name), first, NONE)], f"filiera: start {name}")
        try:
            return Started(record=record, worktree=place.ensure_worktree(name, record))
        except FilieraError:
            place.unmake(name)
            place.repository.update([RefChange(branch_of(name), NONE, first)], f"filiera: start {name} failed")
            raise


def _record(place: Place, name: str, base: str, target: str, *, is_carried: bool) -> StartRecord:
    pins, contents = pins_of(place.project)
    return StartRecord(
        id=new_id(),
        experiment=name,
        at=place.project.clock(),
        by=actor(),
        base=base,
        target=target,
        is_carried=is_carried,
        pins=pins,
        contents=contents,
    )


def _require_free(place: Place, name: str) -> None:
    refs = place.repository.refs(branch_of(name), f"{ARCHIVE}{name}/")
    if branch_of(name) in refs:
        is_bare = place.worktree(name) is None
        raise UsageError(
            f"There is an experiment {name!r} already.",
            why=f"Its branch is exp/{name}{' and its folder is gone' if is_bare else ''}.",
            do=f"Choose another name, or: filiera experiment {'restore' if is_bare else 'drop'} {name}",
        )
    if refs:
        raise UsageError(
            f"There was an experiment {name!r}, which was dropped.",
            why="A name means one experiment; what this one has published is called after it.",
            do=f"Choose another name, or: filiera experiment restore {name}",
        )
    place.require_room(name)


def _changed(repository: Repository, status: Status) -> str:
    """Return a tree of the folder's files; "" where they are those of the commit."""
    require_keepable(repository, status)
    if status.is_clean:
        return ""
    files = repository.snapshot()
    return "" if files == repository.tree(status.commit) else files


def _base(repository: Repository, status: Status, base: str) -> str:
    if busy := repository.busy():
        raise ProjectError(
            f"{repository.top} is in the middle of something: {busy}.",
            why="A merge, rebase or the like has begun there and not ended.",
            do="git status says how to end it.",
        )
    if not status.commit:
        raise ProjectError(
            f"{repository.top} has no commits yet.",
            why="An experiment begins from one.",
            do="git add -A && git commit -m 'first state'",
        )
    commit = status.commit if base == "HEAD" else repository.resolve(base)
    if not commit:
        raise UsageError(f"There is no commit {base!r}.", do="git log --oneline shows some.")
    require_committed_submodules(status, repository.top)
    return commit


def _target(place: Place, status: Status, into: str) -> str:
    if into:
        found = into if into.startswith("refs/heads/") else f"refs/heads/{into}"
        if not place.repository.resolve(found):
            raise UsageError(f"There is no branch {into!r}.", do="git branch lists them.")
        return found
    if place.here:
        return place.start_of(place.here).target
    if not status.branch:
        raise UsageError(
            "No branch is checked out, so that it is not known where the experiment would be merged.",
            do="Say it: --into main",
        )
    return status.branch


def _some(files: Sequence[str], most: int = 5) -> str:
    more = f" and {len(files) - most} more" if len(files) > most else ""
    return ", ".join(files[:most]) + more
