"""Dropping experiments into the archive, and bringing them back. Nothing is lost until ``gc``."""

from __future__ import annotations

from pathlib import Path

from filiera.adapters.git_repository import NONE, RefChange, Repository
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.experiments.files import require_keepable
from filiera.experiments.names import ARCHIVE, branch_of, new_id
from filiera.experiments.place import Place
from filiera.project import audit


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """An experiment in the archive."""

    name: str
    ref: str  #: the reference that keeps it
    commit: str
    is_kept_dirty: bool = False  #: changes that were not committed are in that commit


def drop(place: Place, name: str, *, force: bool = False) -> Dropped:
    """Move an experiment into the archive: its branch and worktree go, its commits, runs and versions stay.

    With *force* changes in its worktree that are not committed are committed to the archive first.

    Raises:
        UsageError: There is no such experiment, or it has changes that are not committed.
        StoreBusy: Another process works on it.
    """
    with place.lease(name):
        tip = place.tip(name)
        worktree = place.worktree(name)
        kept, is_dirty = tip, False
        if worktree is not None:
            kept = with_changes(worktree, name, tip, force=force)
            is_dirty = kept != tip
        ref = f"{ARCHIVE}{name}/{new_id()}"
        changes = [RefChange(ref, kept, NONE)]
        if is_dirty:  # before the folder goes
            place.repository.update(changes, f"filiera: keep changes of {name}")
            changes = []
        if worktree is not None:
            place.repository.remove_worktree(worktree, force=is_dirty)
        elif any(each.branch == branch_of(name) for each in place.repository.worktrees()):
            place.repository.git("worktree", "prune")
        changes.append(RefChange(branch_of(name), NONE, tip))
        place.repository.update(changes, f"filiera: drop {name}")
        place.project.records.write([audit.entry("drop", f"exp/{name}", at=place.project.clock(), detail={"ref": ref})])
        return Dropped(name=name, ref=ref, commit=kept, is_kept_dirty=is_dirty)


def restore(place: Place, name: str) -> Path:
    """Bring the newest state of an experiment back from the archive; return its worktree.

    Raises:
        UsageError: It is not in the archive, or there is an experiment of that name.
    """
    with place.lease(name):
        found = place.archived().get(name)
        if not found:
            known = ", ".join(place.archived()) or "none"
            raise UsageError(f"The archive has no experiment {name!r}.", why=f"It has: {known}.")
        if place.repository.resolve(branch_of(name)):
            raise UsageError(
                f"There is an experiment {name!r}.",
                why="Its branch would be overwritten.",
                do=f"filiera experiment drop {name}, or: git branch -m exp/{name} exp/{name}-2",
            )
        ref, commit = list(found.items())[-1]
        back = [RefChange(branch_of(name), commit, NONE), RefChange(ref, NONE, commit)]
        place.repository.update(back, f"filiera: restore {name}")
        place.project.records.write([audit.entry("restore", f"exp/{name}", at=place.project.clock())])
        return place.ensure_worktree(name)


def merged(place: Place) -> list[str]:
    """Return the experiments whose branches their targets have in them."""
    found = []
    for name in place.branches():
        target = place.start_of(name).target
        done = place.repository.git("branch", "--list", "--merged", target, f"exp/{name}", check=False)
        found += [name] if done else []
    return found


def with_changes(worktree: Path, name: str, tip: str, *, force: bool) -> str:
    """Return the commit that has all of an experiment: its tip, or with *force* one more with what is not committed.

    Raises:
        UsageError: There is something that is not committed, or another branch is checked out.
    """
    repository = Repository(worktree)
    if repository.branch() != branch_of(name):
        raise UsageError(
            f"{worktree} is not on branch exp/{name}.",
            why="It would be removed with what is checked out there.",
            do=f"git -C {worktree} switch exp/{name}",
        )
    require_keepable(repository, worktree, most_bytes=None)
    tree = repository.snapshot(worktree)
    files = repository.changed(tip, tree)
    if not files:
        return tip
    if not force:
        raise UsageError(
            f"{worktree} has changes that are not committed: {', '.join(files[:5])}.",
            do="Commit them, or keep them in the archive: --force",
        )
    return repository.commit(
        tree, [tip], f"Keep what was not committed when {name} was dropped\n\nExperiment: {name}\n"
    )
