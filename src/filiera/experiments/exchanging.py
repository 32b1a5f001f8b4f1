"""Experiments that others work on too: branches go by git, what their runs have made by a place that all can reach."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from filiera.adapters.git_repository import NONE, RefChange
from filiera.adapters.shared_place import SharedPlace
from filiera.core.value import dataclass
from filiera.errors import Rejected, UsageError, did_you_mean
from filiera.experiments.names import branch_of
from filiera.experiments.place import Place
from filiera.experiments.records import Record, RunRecord, runs_in, start_in
from filiera.project.upkeep.exporting import export_runs
from filiera.project.upkeep.importing import Imported, import_runs
from filiera.project.upkeep.marks import Tell

_ENDING = ".filiera"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """What went to others."""

    names: tuple[str, ...]
    targets: Mapping[str, str]  #: experiment → branch it is to be merged into
    sent: int = 0  #: archives that the place had not
    there: int = 0  #: archives that it had
    lost: tuple[str, ...] = ()  #: runs that this store has no more, and the place neither
    said: tuple[str, ...] = ()  #: addresses that the remote answered with, such as one that opens a merge request


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    """What came from others."""

    states: Mapping[str, str]  #: experiment → "new", "newer", "as it was", "newer here", "dropped here"
    runs: tuple[str, ...] = ()  #: that are new here, as they are called here
    versions: tuple[tuple[str, str], ...] = ()  #: that are new here: as they are called there, and here
    lost: tuple[str, ...] = ()  #: runs, as they are called there, that neither this store nor the place has
    other_data: tuple[str, ...] = ()  #: datasets that an experiment uses, of which this store has other versions only


def push(place: Place, names: Sequence[str], *, remote: str, to: SharedPlace | None, tell: Tell) -> Pushed:
    """Push branches of experiments, and what their runs have made to a shared place that has not got it yet.

    Raises:
        UsageError: There is no such experiment.
        ProjectError: git cannot push: nobody answers, or the remote has commits that are not here.
        StoreError: The place cannot be written.
    """
    records = place.records(*names)
    wanted = _archives(place, records)
    there = to.names() if to is not None else set()
    new = {} if to is None else {name: run_id for name, run_id in wanted.items() if name not in there}
    for count, (name, run_id) in enumerate(new.items()):  # before the branches: who pulls these finds what they name
        if to is not None and run_id:
            _send(place, to, name, run_id)
        tell(f"{count + 1:,} of {len(new):,} runs sent")
    refs = [f"{branch_of(name)}:{branch_of(name)}" for name in names]
    said = place.repository.push(remote, refs)
    runs = [record for each in records.values() for record in runs_in(each)]
    return Pushed(
        names=tuple(names),
        targets={name: place.start_of(name).target.removeprefix("refs/heads/") for name in names},
        sent=sum(map(bool, new.values())),
        there=len(there & set(wanted)),
        lost=tuple(record.run_id for record in runs if new.get(f"{record.id}{_ENDING}") == ""),
        said=tuple(said),
    )


def pull(place: Place, names: Sequence[str], *, remote: str, source: SharedPlace | None, tell: Tell) -> Pulled:
    """Fetch branches of experiments, all or some, and take over what their runs have made and this store has not.

    A branch that is here moves forward only; files of its worktree that are not committed stay as they are.

    Raises:
        UsageError: The remote has no such experiment, or it was dropped here.
        Rejected: It has moved on here and there; the branches after it were not looked at.
        ProjectError: git cannot fetch.
        StoreError, ArchiveError: The place cannot be read, or an archive is damaged.
    """
    prefix = f"refs/remotes/{remote}/exp/"
    place.repository.git("fetch", "--quiet", "--prune", "--", remote, f"+refs/heads/exp/*:{prefix}*")
    found = {ref.removeprefix(prefix): commit for ref, commit in place.repository.refs(prefix).items()}
    for name in names:
        _require(name, found, place, remote)
    states = {name: _take(place, name, found[name], remote) for name in names or found}
    pulled = [name for name, state in states.items() if state != "dropped here"]
    records = place.records(*pulled) if pulled else {}
    wanted = [record for each in records.values() for record in runs_in(each) if not _run_here(place, record)]
    there = source.names() if source is not None else set()
    datasets, other_data = _datasets(place, pulled)
    have = [name for name in (*datasets, *(f"{record.id}{_ENDING}" for record in wanted)) if name in there]
    done = [] if source is None else [_import(place, source, name, tell) for name in have]
    for name in pulled:
        worktree = place.worktree(name)
        if states[name] == "newer" and worktree is not None:
            place.mark(worktree, place.start_of(name))  # its datasets are here now
    return Pulled(
        states=states,
        runs=tuple(run.here for one in done for run in one.runs if run.is_new),
        versions=tuple((old, new) for one in done for old, new, is_new in one.versions if is_new),
        lost=tuple(record.run_id for record in wanted if f"{record.id}{_ENDING}" not in there),
        other_data=tuple(other_data),
    )


def _send(place: Place, to: SharedPlace, name: str, run_id: str) -> None:
    place.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="push-", dir=place.folder) as folder:
        file = Path(folder) / name
        export_runs(place.project, [run_id], file, tell=lambda text: None)
        to.put(name, file)


def _import(place: Place, source: SharedPlace, name: str, tell: Tell) -> Imported:
    place.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pull-", dir=place.folder) as folder:
        file = Path(folder) / name
        source.get(name, file)
        return import_runs(place.project, file, products=True, tell=tell)


def _archives(place: Place, records: Mapping[str, Sequence[Record]]) -> dict[str, str]:
    """Return archives by name with the run in each, "" where it is not here: datasets first, then runs."""
    found = {}
    for each in records.values():
        start = start_in(each)
        for dataset, content in start.contents.items() if start is not None else ():
            for version in place.project.versions.find(kind="dataset", name=dataset):
                if version.artifact.digest == content:
                    found[f"{content}{_ENDING}"] = version.run_id
    for each in records.values():
        for record in runs_in(each):
            found[f"{record.id}{_ENDING}"] = _run_here(place, record)
    return found


def _run_here(place: Place, record: RunRecord) -> str:
    """Return what the run of a record is called in this store; '' when it is not there."""
    where = {"pipeline": record.pipeline, "started_at": record.started_at, "took_s": record.took_s}
    rows = place.project.records.read("run_of_that_time", where)
    return str(rows[0]["run_id"]) if rows else ""


def _datasets(place: Place, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the archives of datasets that are not here at all, and the names of those that differ here.

    The latter do not come along: a new version of a dataset is what everybody's next run reads.
    """
    wanted: dict[str, None] = {}
    others: dict[str, None] = {}
    for name in names:
        for dataset, content in place.start_of(name).contents.items():
            known = place.project.versions.find(kind="dataset", name=dataset)
            if not known:
                wanted[f"{content}{_ENDING}"] = None
            elif all(version.artifact.digest != content for version in known):
                others[dataset] = None
    return list(wanted), list(others)


def _require(name: str, found: Mapping[str, str], place: Place, remote: str) -> None:
    if name not in found:
        known = ", ".join(found) or "none"
        raise UsageError(
            f"{remote} has no experiment {name!r}.", why=f"It has: {known}.{did_you_mean(name, list(found))}"
        )
    if name in place.archived() and name not in place.branches():
        raise UsageError(
            f"Experiment {name!r} was dropped here.",
            do=f"filiera experiment restore {name}, then filiera experiment pull {name}",
        )


def _take(place: Place, name: str, commit: str, remote: str) -> str:
    """Move an experiment's branch forward to a commit that was fetched; return what became of it."""
    with place.lease(name):
        here = place.repository.resolve(branch_of(name))
        if not here and name in place.archived():
            return "dropped here"
        if here == commit:
            return "as it was"
        if not here:
            place.repository.update([RefChange(branch_of(name), commit, NONE)], f"filiera: pull {name}")
            return "new"
        base = place.repository.git("merge-base", here, commit, check=False)
        if base == commit:
            return "newer here"
        worktree = place.worktree(name)
        if base != here:
            raise Rejected(
                f"Experiment {name!r} has moved on here and at {remote}.",
                why="Both have commits that the other one has not.",
                do=f"git -C {worktree or place.ensure_worktree(name)} merge {remote}/exp/{name}",
            )
        if worktree is None:
            place.repository.update([RefChange(branch_of(name), commit, here)], f"filiera: pull {name}")
        else:
            place.repository.git("merge", "--ff-only", "--quiet", commit, cwd=worktree)
        return "newer"
