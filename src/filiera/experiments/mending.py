"""What killed processes and users' hands left of experiments, and how it is mended: ``filiera experiment doctor``."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filiera.adapters import git_worktrees
from filiera.adapters.git_repository import SCRATCH
from filiera.errors import FilieraError, ProjectError, StoreBusy
from filiera.experiments import journal
from filiera.experiments.accepting import LEASE, merge_folder
from filiera.experiments.dropping import put_away
from filiera.experiments.locks import dead_locks, remove_locks
from filiera.experiments.moving import is_broken_off, recover
from filiera.experiments.names import branch_of, check_experiment_name
from filiera.experiments.place import MAKING, Place
from filiera.experiments.records import start_in
from filiera.project.checkout import MARKER, git_folder
from filiera.project.upkeep.health import Finding

_ABANDONED_AFTER_S = 3600.0


def examine(place: Place, *, repair: bool) -> Iterator[Finding]:
    """Yield findings about a project's experiments; with *repair*, mend what can be.

    Nothing that somebody wrote is removed: what is in the folder of a dropped experiment is in the archive first.

    Raises:
        StoreError: The store cannot be read or written.
    """
    found = 0
    for finding in _all(place, repair):
        found += 1
        yield finding
    if not found:
        detail = f"{len(place.branches())} with all that belongs to them, {len(place.archived())} in the archive"
        yield Finding(what="experiments", state="ok", detail=detail)


def _all(place: Place, repair: bool) -> Iterator[Finding]:
    locks = dead_locks(place)
    if repair:
        remove_locks(locks)
    for lock in locks:
        yield _told("git", f"{lock} is of a process that is gone", "removed", repair)
    try:
        with place.lease(LEASE):
            yield from _acceptance(place, repair)
    except StoreBusy as error:
        yield _busy("accept", error)
    for folder in place.repository.common.glob(f"{SCRATCH}*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_S:
            if repair:
                shutil.rmtree(folder)
            yield _told("git", f"{folder} is a copy of an index that nobody uses", "removed", repair)
    for name in _names(place):
        try:
            with place.lease(name):
                yield from _Look(place, name, repair).run()
        except StoreBusy as error:
            yield _busy(f"exp/{name}", error)
        except ProjectError as error:
            yield Finding(what=f"exp/{name}", state="warning", detail=_line(error))


def _acceptance(place: Place, repair: bool) -> Iterator[Finding]:
    entry = journal.read(place)
    if entry is not None:
        said = journal.recover(place) if repair else ""
        yield _told("accept", f"accepting {entry.name} was broken off", said, repair)
    for name in (*place.branches(), *place.archived()):
        folder = place.worktrees / merge_folder(name)
        if folder.exists() or git_worktrees.is_known(place.repository, folder):
            if repair:
                git_worktrees.discard(place.repository, folder)
            yield _told("accept", f"{folder} is left of an evaluation", "removed", repair)


def _names(place: Place) -> list[str]:
    """Return all names that an experiment has, had, or was to get."""
    known = {*place.branches(), *place.archived()}
    folders = [each.name for each in place.worktrees.glob("*")] if place.worktrees.is_dir() else []
    folders += [each.path.name for each in place.repository.worktrees() if each.path.parent == place.worktrees]
    return sorted({*known, *filter(_is_name, (name.removeprefix(MAKING) for name in folders))})


def _is_name(name: str) -> bool:
    try:
        return bool(check_experiment_name(name))
    except FilieraError:
        return False


@dataclass(frozen=True, slots=True)
class _Look:
    """A look at one experiment, whose lease the caller has."""

    place: Place
    name: str
    repair: bool

    def run(self) -> Iterator[Finding]:
        """Yield what is not as it should be."""
        if is_broken_off(self.place, self.name):
            said = recover(self.place, self.name) if self.repair else ""
            yield self._told("bringing it up to date was broken off", said or "nothing was to be done")
        unfinished = self.place.unfinished(self.name)
        if unfinished and self.repair:
            self.place.clear(self.name)
        for path in unfinished:
            if path.name.startswith(MAKING):
                yield self._told(f"{path} is not whole", "removed")
            else:
                yield self._told(f"{path} is gone", f"forgotten; filiera experiment restore {self.name} makes it anew")
        folder = self.place.worktrees / self.name
        is_known = git_worktrees.is_known(self.place.repository, folder)
        if is_known and folder.is_dir() and not (folder / ".git").exists():
            if self.repair:
                self.place.repository.git("worktree", "repair")
            yield self._told(f"{folder} has lost its .git file", "written anew")
            if not self.repair:
                return
        worktree = self.place.worktree(self.name)
        is_live = bool(self.place.repository.resolve(branch_of(self.name)))
        if is_live:
            yield from self._records(worktree)
        elif worktree is not None:
            yield from self._dropped(worktree)
        if worktree is None and folder.exists():
            yield self._finding("warning", f"{folder} is no worktree, and in the way of one: move it elsewhere")

    def _records(self, worktree: Path | None) -> Iterator[Finding]:
        start = start_in(self.place.records(self.name)[self.name])
        if start is None:
            do = f"give it a name that does not begin with exp/: git branch -m exp/{self.name} {self.name}"
            yield self._finding("warning", f"its branch has no record of how it began; {do}")
        elif worktree is not None:
            file = git_folder(worktree) / MARKER
            if not _says(file, self.place.marker(start)):
                if self.repair:
                    self.place.mark(worktree, start)
                yield self._told(f"{file} does not say what its branch does", "written anew")
            if self.place.repository.at(worktree).branch() != branch_of(self.name):
                detail = f"{worktree} is on another branch: git -C {worktree} switch exp/{self.name}"
                yield self._finding("warning", detail)

    def _dropped(self, worktree: Path) -> Iterator[Finding]:
        if self.name not in self.place.archived():
            commit = _last_commit(worktree)
            back = f"git branch exp/{self.name} {commit[:12]}" if commit else f"take what you need out of {worktree}"
            yield self._finding("problem", f"its branch is gone, and its folder is not: {back}")
            return
        if self.repair:
            put_away(self.place, self.name)
        yield self._told(f"it was dropped, and {worktree} is still there", "removed; the archive has all of it")

    def _told(self, what: str, done: str) -> Finding:
        return _told(f"exp/{self.name}", what, done, self.repair)

    def _finding(self, state: str, detail: str) -> Finding:
        return Finding(what=f"exp/{self.name}", state="warning" if state == "warning" else "problem", detail=detail)


def _says(marker: Path, wanted: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads(marker.read_text()) == wanted)
    except (OSError, ValueError):
        return False


def _last_commit(worktree: Path) -> str:
    """Return the commit that was checked out in a worktree whose branch is gone; "" where git has not noted it."""
    try:
        return (git_folder(worktree) / "logs/HEAD").read_text().splitlines()[-1].split()[1]
    except (OSError, IndexError):
        return ""


def _told(subject: str, what: str, done: str, repair: bool) -> Finding:
    if repair:
        return Finding(what=subject, state="repaired", detail=f"{what}: {done}")
    return Finding(what=subject, state="problem", detail=f"{what}: filiera experiment doctor --repair")


def _busy(subject: str, error: StoreBusy) -> Finding:
    return Finding(what=subject, state="warning", detail=f"not looked at: {_line(error)}")


def _line(error: FilieraError) -> str:
    return str(error).replace("\n", " ")
