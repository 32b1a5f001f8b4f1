"""Beginning an experiment: a branch with the state of a folder, and a worktree for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from filiera.adapters.git_repository import NONE, RefChange, Repository
from filiera.adapters.git_status import Status
from filiera.core.value import dataclass
from filiera.errors import FilieraError, ProjectError, UsageError
from filiera.experiments.files import require_keepable
from filiera.experiments.names import ARCHIVE, RECORDS, branch_of, check_experiment_name, new_id
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Beginning:
    """How an experiment is to begin."""

    base: str = "HEAD"  #: the commit it begins from
    dirty: Dirty = "carry"
    """What becomes of changes that are not committed, new files included, when the base is what is checked out: they
    come along, or stay behind, or the experiment is refused."""
    into: str = ""  #: the branch it will be merged into; "": the one that is checked out
    only: Sequence[Path] = ()
    """Folders whose files its own folder gets, beside those in folders above them and what the project names as its
    flows; by default it gets all. The branch has all in any case."""


_PLAIN = Beginning()


def start(place: Place, name: str, wanted: Beginning = _PLAIN) -> Started:
    """Begin an experiment and return it; the folder it is started from stays as it is, its index too.

    Args:
        place: Where.
        name: Its name: small letters, digits and ``-``.
        wanted: How.

    Raises:
        UsageError: The name is taken, or was; there are changes and they are to be refused; no such folder.
        ProjectError: The repository is in a state that nothing can begin from.
    """
    check_experiment_name(name)
    with place.lease(name):
        _require_free(place, name)
        status = place.repository.status()
        commit = _base(place.repository, status, wanted.base)
        target = _target(place, status, wanted.into)
        is_asked = wanted.dirty != "ignore" and commit == status.commit
        files = _changed(place.repository, status) if is_asked else ""
        if files and wanted.dirty == "refuse":
            raise UsageError(
                f"{place.repository.top} has changes that are not committed: "
                f"{_some(place.repository.changed(commit, files))}.",
                do="Commit them, or let them come along: --dirty carry",
            )
        is_carried = bool(files)
        only = _only(place, name, files or commit, wanted.only)
        record = replace(_record(place, name, commit, target), is_carried=is_carried, only=only)
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


def _record(place: Place, name: str, base: str, target: str) -> StartRecord:
    pins, contents = pins_of(place.project)
    return StartRecord(
        id=new_id(),
        experiment=name,
        at=place.project.clock(),
        by=actor(),
        base=base,
        target=target,
        pins=pins,
        contents=contents,
    )


def _only(place: Place, name: str, tree: str, wanted: Sequence[Path]) -> tuple[str, ...]:
    """Return the folders whose files an experiment's own folder gets, from the top of the repository; none: all.

    An experiment that is started in another one's folder gets those that this one has. Raises UsageError.
    """
    if not wanted:
        given = set(place.start_of(place.here).only) if place.here else set()
        return tuple(sorted(given | {f"{place.prefix}{RECORDS}/{name}"})) if given else ()
    top = place.repository.top.resolve()
    given = {_below(each, top) for each in wanted}
    if "." in given:
        return ()
    flows = [flow.replace(".", "/") for flow in place.project.config.flows]
    packages = [flow.rpartition("/")[0] for flow in flows]  # of a flow that is a module, not a folder
    asked = [*given, *(place.prefix + folder for folder in (*flows, *packages) if folder)]
    found = place.repository.look([f"{tree}:{folder}" for folder in asked])
    folders = {folder for folder, each in zip(asked, found, strict=True) if each is not None and each.kind == "tree"}
    if missing := given - folders:
        raise UsageError(
            f"{sorted(missing)[0]} is no folder with files that git knows, in {top}.",
            do="git ls-tree -d --name-only HEAD shows some.",
        )
    return tuple(sorted({*folders, f"{place.prefix}{RECORDS}/{name}"}))


def _below(folder: Path, top: Path) -> str:
    """Return where a folder lies from the top of the repository. Raises UsageError."""
    whole = folder.resolve()
    if not whole.is_relative_to(top):
        raise UsageError(f"{folder} is not in the repository {top}.", do="Name folders of the repository.")
    return whole.relative_to(top).as_posix()


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
