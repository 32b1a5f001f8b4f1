"""A project's experiments: its repository, its store, and who works on which of them at the moment."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filiera.adapters import git_worktrees
from filiera.adapters.git_repository import Repository, Worktree
from filiera.adapters.local_disk import disk_errors
from filiera.errors import ProjectError, StoreBusy, UsageError, did_you_mean
from filiera.experiments.names import ARCHIVE, BRANCHES, branch_of, worktrees_folder
from filiera.experiments.records import Record, StartRecord, records_at, start_in
from filiera.project.checkout import MARKER, checkout_of, git_folder
from filiera.project.config import find_root, load
from filiera.project.project import Project

_ALL = 1_000_000
MAKING = ".making-"
"""Begins the name of a worktree that is not whole yet: nobody has worked in it."""


class Place:
    """Where the experiments of a project are.

    Raises:
        ProjectError: There is no project or no repository, or one that experiments cannot use.
    """

    def __init__(self, start: Path | None = None, *, profile: str | None = None) -> None:
        root = find_root(start)
        checkout = checkout_of(root)
        self.here = checkout.scope.name if checkout.scope else ""  #: the experiment whose worktree this is, or ""
        self.profile = profile
        self.repository = Repository(root)
        place = root.relative_to(self.repository.top.resolve()).as_posix()
        self.prefix = "" if place == "." else f"{place}/"  #: where the project lies in the repository: "" or "sub/"
        is_linked = not self.here and self.repository.git_dir != self.repository.common
        home = self._main() if is_linked else checkout.home
        self.project = Project(load(home, profile))  #: as it is outside of all experiments
        self.folder = self.project.store / "experiments"
        self.worktrees = worktrees_folder(self.repository.common).resolve()

    def _main(self) -> Path:
        """Return the project's folder in the main worktree: all others share its store. Raises ProjectError."""
        main = self.repository.main
        if not main.is_dir() or not (main / self.prefix / "filiera.toml").exists():
            raise ProjectError(
                f"{main}, from which {self.repository.top} was made, has no project in it.",
                why="Experiments of all worktrees share the store of the project there; they outlive other worktrees.",
                do="git clone the repository into a folder with files, and start experiments from there.",
            )
        return main / self.prefix

    def branches(self) -> dict[str, str]:
        """Return the experiments with the commits they are at."""
        found = self.repository.refs(BRANCHES)
        return {ref.removeprefix(BRANCHES): commit for ref, commit in found.items()}

    def archived(self) -> dict[str, dict[str, str]]:
        """Return, by experiment, what was dropped: the archive's references with their commits, the oldest first."""
        found: dict[str, dict[str, str]] = {}
        for ref, commit in sorted(self.repository.refs(ARCHIVE).items()):
            found.setdefault(ref.removeprefix(ARCHIVE).rpartition("/")[0], {})[ref] = commit
        return found

    def tip(self, name: str) -> str:
        """Return the commit that an experiment is at. Raises UsageError, naming those that there are."""
        commit = self.repository.resolve(branch_of(name))
        if not commit:
            known = list(self.branches())
            dropped = f" {name!r} was dropped: filiera experiment restore {name}" if name in self.archived() else ""
            raise UsageError(
                f"There is no experiment {name!r}.",
                why=f"There are: {', '.join(known) or 'none'}.{did_you_mean(name, known)}{dropped}",
                do=f"filiera experiment start {name}",
            )
        return commit

    def records(self, *names: str) -> dict[str, list[Record]]:
        """Return the records of experiments, the oldest first. Raises UsageError."""
        commits = self.branches()
        return records_at(self.repository, {name: commits.get(name) or self.tip(name) for name in names}, self.prefix)

    def start_of(self, name: str) -> StartRecord:
        """Return how an experiment began, the last time. Raises UsageError, ProjectError."""
        found = start_in(self.records(name)[name])
        if found is None:
            raise ProjectError(
                f"Branch exp/{name} has no record of how it began.",
                why="It was not made by filiera experiment start.",
                do="Give the branch another name: those below exp/ are experiments.",
            )
        return found

    def worktree(self, name: str) -> Path | None:
        """Return an experiment's own folder, whatever is checked out there, or None.

        Raises:
            ProjectError: Its branch is checked out elsewhere.
        """
        found = self.worktree_now(name)
        return None if found is None else found.path

    def worktree_now(self, name: str) -> Worktree | None:
        """Return an experiment's own folder with what is checked out there, or None. Raises ProjectError."""
        return self._own(self._registered(name), name)

    def ensure_worktree(self, name: str, start: StartRecord | None = None) -> Path:
        """Return an experiment's worktree, made anew where it is missing. The caller has the experiment's lease.

        Args:
            name: The experiment.
            start: How it began; None: its branch is asked.

        Raises:
            ProjectError: The branch is checked out in a worktree that is not ours, or git cannot make one.
        """
        registered = self._registered(name)
        found = self._own(registered, name)
        if start is None and (found is None or found.branch != branch_of(name) or found.is_unborn):
            self.tip(name)
        if found is None and self._clear(registered, name):
            found = self.worktree_now(name)
        return self._make(name, start or self.start_of(name)) if found is None else found.path

    def unfinished(self, name: str) -> list[Path]:
        """Return folders of an experiment that git knows and that are gone, or that were never or are no more whole."""
        return self._unfinished(self._registered(name), name)

    def _unfinished(self, registered: Sequence[Worktree], name: str) -> list[Path]:
        half, aside = self.worktrees / f"{MAKING}{name}", self.worktrees / _aside(name)
        gone = [each.path for each in registered if not each.path.is_dir()]
        is_half = half not in gone and (half.exists() or git_worktrees.is_known(self.repository, half))
        return [*gone, *([half] if is_half else []), *([aside] if aside.exists() else [])]

    def clear(self, name: str) -> bool:
        """Forget worktrees of an experiment that are gone or are not whole; tell whether there were any."""
        return self._clear(self._registered(name), name)

    def _clear(self, registered: Sequence[Worktree], name: str) -> bool:
        half, whole = self.worktrees / f"{MAKING}{name}", self.worktrees / name
        unfinished = self._unfinished(registered, name)
        for path in unfinished:
            if path == half and not half.exists() and (whole / ".git").exists():  # killed while it was moved
                self.repository.git("worktree", "repair", str(whole))
            else:
                git_worktrees.discard(self.repository, path)
        return bool(unfinished)

    def unmake(self, name: str) -> None:
        """Remove what there is of the worktree of an experiment that could not begin: nobody has worked in it."""
        for path in (self.worktrees / f"{MAKING}{name}", self.worktrees / name):
            git_worktrees.discard(self.repository, path)

    def require_room(self, name: str) -> None:
        """Refuse where something is in the place of an experiment's worktree. Raises ProjectError."""
        path = self.worktrees / name
        if path.exists():
            raise ProjectError(
                f"{path} is in the way: the experiment's files belong there.",
                why="It is no worktree of this repository, or one whose branch is gone.",
                do=f"filiera experiment doctor says which; or move it away: mv {path} {path}.old",
            )

    def remove(self, name: str, worktree: Path) -> None:
        """Remove the folder of an experiment with all that is in it."""
        git_worktrees.remove(self.repository, worktree, worktree.with_name(_aside(name)))

    def marker(self, start: StartRecord) -> dict[str, Any]:
        """Return what is written down of a worktree."""
        pins = pins_here(self.project, start)
        return {"experiment": start.experiment, "pins": pins, "home": str(self.project.config.root)}

    def mark(self, worktree: Path, start: StartRecord) -> None:
        """Write down, where git keeps what it knows of a worktree, for which experiment it is."""
        file = git_folder(worktree) / MARKER
        beside = file.with_suffix(".new")
        with disk_errors(file):
            beside.write_text(json.dumps(self.marker(start)))
            beside.replace(file)

    def project_in(self, worktree: Path) -> Project:
        """Return the project as an experiment has it. Raises ProjectError."""
        return Project(load(worktree / self.prefix, self.profile))

    @contextmanager
    def lease(self, name: str) -> Iterator[None]:
        """Be the only one who changes an experiment; the kernel gives it back when the process ends, however.

        Raises:
            StoreBusy: Another process does; the message says which.
            StoreError: The store cannot be written.
        """
        file = self.folder / f"{name}.lock"
        with disk_errors(file):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                pid = os.pread(descriptor, 32, 0).decode().strip()
                raise StoreBusy(
                    f"{_told(name)} is in use.",
                    why=f"Process {pid or '?'} works on it.",
                    do="Wait until it has ended.",
                ) from error
            with disk_errors(file):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            self.repository.held.append(descriptor)
            yield
        finally:
            if descriptor in self.repository.held:
                self.repository.held.remove(descriptor)
            os.close(descriptor)

    def _registered(self, name: str) -> list[Worktree]:
        """Return worktrees that are an experiment's by their branch or their place."""
        places = {self.worktrees / name, self.worktrees / f"{MAKING}{name}"}
        return [each for each in self.repository.worktrees() if each.branch == branch_of(name) or each.path in places]

    def _own(self, registered: Sequence[Worktree], name: str) -> Worktree | None:
        """Return the one of an experiment's worktrees that is whole. Raises ProjectError."""
        there = [each for each in registered if each.path.is_dir() and each.path.name != f"{MAKING}{name}"]
        found = next((each for each in there if each.branch == branch_of(name)), there[0] if there else None)
        return None if found is None else self._ours(found, name)

    def _ours(self, found: Worktree, name: str) -> Worktree:
        if found.path != self.worktrees / name and not has_marker(found.path):
            raise ProjectError(
                f"exp/{name} is checked out in {found.path}.",
                why="That is not the worktree that Filiera made for it; a branch can be checked out once.",
                do=f"Switch that one to another branch: git -C {found.path} switch --detach",
            )
        self.repository.at(found.path)  # which raises where it has lost its .git file
        return found

    def _make(self, name: str, start: StartRecord) -> Path:
        """Make a worktree beside its place, move it there when it is whole, and return that."""
        path = self.worktrees / name
        self.require_room(name)
        with disk_errors(path):
            self.worktrees.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"{MAKING}{name}")
        git_worktrees.add(self.repository, half, f"exp/{name}", only=start.only, lock="an experiment of Filiera")
        self.mark(half, start)
        git_worktrees.move(self.repository, half, path)
        return path


def _aside(name: str) -> str:
    """Return what a folder is called while it is removed: no experiment can have this name."""
    return f"{MAKING}{name}.gone"


def has_marker(worktree: Path) -> bool:
    """Tell whether a worktree says for which experiment it is."""
    return (worktree / ".git").is_file() and (git_folder(worktree) / MARKER).exists()


def pins_of(project: Project) -> tuple[Mapping[str, int], Mapping[str, str]]:
    """Return the number and the digest of each dataset's newest version, but for those of experiments."""
    numbers: dict[str, int] = {}
    contents: dict[str, str] = {}
    for row in project.records.read("product_names"):
        if row["kind"] == "dataset" and "~" not in row["name"]:
            newest = project.versions.find(kind="dataset", name=row["name"], limit=1)[0]
            numbers[newest.name], contents[newest.name] = newest.number, newest.artifact.digest
    return numbers, contents


def pins_here(project: Project, start: StartRecord) -> dict[str, int]:
    """Return the datasets that an experiment uses by their numbers in this store: another one may count otherwise.

    The number is 0, which no version has, where this store has another content under the number and not the right one.
    """
    found = dict(start.pins)
    for name, content in start.contents.items():
        known = project.versions.find(kind="dataset", name=name, limit=_ALL)
        same = [version.number for version in known if version.artifact.digest == content]
        if same and found[name] not in same:
            found[name] = same[0]
        elif not same and any(version.number == found[name] for version in known):
            found[name] = 0
    return found


def _told(name: str) -> str:
    return "Accepting experiments" if name.startswith(".") else f"Experiment {name!r}"
