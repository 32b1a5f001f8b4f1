"""Dropping experiments into the archive, and bringing them back. Nothing is lost until ``gc``."""

from __future__ import annotations

from pathlib import Path

from filiera.adapters.git_repository import NONE, RefChange
from filiera.core.value import dataclass
from filiera.errors import ProjectError, UsageError
from filiera.experiments.files import require_keepable
from filiera.experiments.names import ARCHIVE, branch_of, new_id
from filiera.experiments.place import Place
from filiera.experiments.records import start_in
from filiera.experiments.submodules import require_pushed_submodules
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

    With *force* changes in its worktree that are not committed are committed to the archive first. Files that git
    ignores go with the folder. The archive gets it and the branch goes in one act; a folder that a killed process
    leaves then is removed by ``put_away``.

    Raises:
        UsageError: There is no such experiment, or it has changes that are not committed.
        StoreBusy: Another process works on it.
        ProjectError: Its branch is checked out elsewhere.
    """
    with place.lease(name):
        tip = place.tip(name)
        worktree = place.worktree(name)
        kept = tip
        if worktree is not None:
            kept = with_changes(place, worktree, name, tip)
            if not force:
                require_committed(place, worktree, tip, kept)
        ref = f"{ARCHIVE}{name}/{new_id()}"
        gone = RefChange(branch_of(name), NONE, tip)
        place.repository.update([RefChange(ref, kept, NONE), gone], f"filiera: drop {name}")
        put_away(place, name)
        place.project.records.write([audit.entry("drop", f"exp/{name}", at=place.project.clock(), detail={"ref": ref})])
        return Dropped(name=name, ref=ref, commit=kept, is_kept_dirty=kept != tip)


def restore(place: Place, name: str) -> Path:
    """Bring the newest state of an experiment back from the archive; return its worktree.

    Where only the folder is missing, that is made anew.

    Raises:
        UsageError: It is not in the archive, or there is an experiment of that name.
        StoreBusy: Another process works on it.
        ProjectError: Its folder cannot be made.
    """
    with place.lease(name):
        found = place.archived().get(name)
        if place.repository.resolve(branch_of(name)):
            if not found and place.worktree(name) is None:
                return place.ensure_worktree(name)
            raise UsageError(
                f"There is an experiment {name!r}.",
                why="Its branch would be overwritten." if found else "It was not dropped.",
                do=f"filiera experiment drop {name}, or: git branch -m exp/{name} exp/{name}-2" if found else "",
            )
        if not found:
            known = ", ".join(place.archived()) or "none"
            raise UsageError(f"The archive has no experiment {name!r}.", why=f"It has: {known}.")
        put_away(place, name)
        ref, commit = list(place.archived()[name].items())[-1]
        back = [RefChange(branch_of(name), commit, NONE), RefChange(ref, NONE, commit)]
        place.repository.update(back, f"filiera: restore {name}")
        place.project.records.write([audit.entry("restore", f"exp/{name}", at=place.project.clock())])
        return place.ensure_worktree(name)


def put_away(place: Place, name: str) -> bool:
    """Remove the folder of an experiment that is in the archive; tell whether there was one.

    What changed in it since it was dropped goes into the archive first.

    Raises:
        ProjectError: The folder is on another branch than the experiment's.
    """
    worktree = place.worktree_now(name)
    if worktree is None:
        return place.clear(name)
    ref, commit = list(place.repository.refs(f"{ARCHIVE}{name}/").items())[-1]
    if worktree.is_unborn:  # its branch is gone: git would compare all of its files with nothing
        place.repository.at(worktree.path).detach(commit)
    kept = with_changes(place, worktree.path, name, commit, may_be_detached=True)
    if kept != commit:
        place.repository.update([RefChange(ref, kept, commit)], f"filiera: keep changes of {name}")
    place.remove(name, worktree.path)
    return True


def require_committed(place: Place, worktree: Path, tip: str, kept: str) -> None:
    """Refuse a worktree whose changes made of its *tip* the commit *kept*. Raises UsageError."""
    if kept != tip:
        files = place.repository.changed(tip, kept) or place.repository.changed(tip, f"{kept}^")
        raise UsageError(
            f"{worktree} has changes that are not committed: {', '.join(files[:5])}.",
            do="Commit them, or keep them in the archive: filiera experiment drop --force",
        )


def with_changes(place: Place, worktree: Path, name: str, commit: str, *, may_be_detached: bool = False) -> str:
    """Return *commit*, or one behind it that has what is staged in its worktree, and then all its files.

    With *may_be_detached* that commit may be checked out without a branch.

    Raises:
        ProjectError: The worktree is on another branch.
    """
    repository = place.repository.at(worktree)
    status = repository.status()
    is_detached = may_be_detached and not status.branch and status.commit == commit
    if status.branch != branch_of(name) and not is_detached:
        raise ProjectError(
            f"{worktree} is not on branch exp/{name}.",
            why="It would be removed with what is checked out there.",
            do=f"git -C {worktree} switch exp/{name}",
        )
    require_pushed_submodules(repository, worktree)
    if status.is_clean and status.commit == commit:
        return commit
    require_keepable(repository, status, may_be_large=True)
    known = repository.git("log", "-3", "--first-parent", "--format=%T", commit).splitlines()
    staged, files = repository.staged(), repository.snapshot()
    what = f"when {name} was dropped\n\nExperiment: {name}\n"
    if staged and staged not in (*known, files):
        commit = repository.commit(staged, [commit], f"Keep what was staged {what}")
    if files != repository.tree(commit):
        commit = repository.commit(files, [commit], f"Keep what was not committed {what}")
    return commit


def merged(place: Place) -> list[str]:
    """Return the experiments whose branches their targets have in them."""
    found = []
    for name, records in place.records(*place.branches()).items():
        start = start_in(records)
        if start is None:
            continue
        done = place.repository.git("branch", "--list", "--merged", start.target, f"exp/{name}", check=False)
        found += [name] if done else []
    return found
