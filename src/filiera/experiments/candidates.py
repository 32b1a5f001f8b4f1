"""Which experiments may be accepted: what ran is what is there, on the data of now, and nothing is left uncommitted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from filiera.adapters.git_repository import Repository
from filiera.core.products import OF_EXPERIMENT
from filiera.core.value import dataclass
from filiera.errors import ProjectError, Rejected, UsageError
from filiera.experiments.place import Place
from filiera.experiments.ran import changes_since, is_only_renewed
from filiera.experiments.records import RunRecord, StartRecord, records_at, runs_in, start_in
from filiera.experiments.submodules import require_pushed_submodules


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """An experiment that can be accepted if what comes of merging it passes."""

    name: str
    tip: str
    target: str
    old: str  #: the commit that the target is at
    start: StartRecord
    worktree: Path | None
    runs: tuple[RunRecord, ...]  #: those to be repeated, in order
    is_renewed: bool  #: it was brought up to date with its target since then: other files or data would be run


def candidate_of(place: Place, name: str, *, into: str, allow_data_change: bool) -> Candidate:
    """Return what is to be merged, when nothing forbids it.

    Raises:
        UsageError: There is no such experiment or branch.
        Rejected: Its newest runs are not of its files, or not of the data of now, or were rejected.
        ProjectError: Its folder is not as it should be.
    """
    tip = place.tip(name)
    records = records_at(place.repository, {name: tip}, place.prefix)[name]
    begun = start_in(records) or place.start_of(name)
    target = f"refs/heads/{into.removeprefix('refs/heads/')}" if into else begun.target
    old = place.repository.resolve(target)
    if not old:
        raise UsageError(f"There is no branch {target.removeprefix('refs/heads/')!r}.", do="--into names another one.")
    worktree = place.worktree(name)
    if worktree is not None:
        _require_committed(place.repository.at(worktree), tip, name)
    runs = _runs(place, begun, tip, runs_in(records))
    if not allow_data_change:
        _require_same_data(place, name, begun, runs)
    return Candidate(
        name=name,
        tip=tip,
        target=target,
        old=old,
        start=begun,
        worktree=worktree,
        runs=runs,
        is_renewed=any(run.id < begun.id for run in runs),
    )


def _require_committed(repository: Repository, tip: str, name: str) -> None:
    status, worktree = repository.status(may_refresh=True), repository.top
    if status.commit != tip or repository.busy():
        raise ProjectError(
            f"{worktree} is not at the end of exp/{name}.",
            why="Something else is checked out, or a merge or rebase is under way.",
            do=f"git -C {worktree} status",
        )
    require_pushed_submodules(repository, worktree)
    if files := [] if status.is_clean else repository.changed(tip, repository.snapshot()):
        raise Rejected(
            f"{worktree} has changes that did not run: {', '.join(files[:5])}.",
            why="What is merged must be what was evaluated.",
            do=f"filiera experiment run {name}, or take them back: git -C {worktree} restore .",
        )


def _runs(place: Place, begun: StartRecord, tip: str, runs: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """Return the newest run of each pipeline that the experiment has run, datasets first.

    Raises:
        Rejected: One was rejected, ran other files than those of *tip*, or used a dataset that was made anew since.
    """
    name = begun.experiment
    if not runs:
        raise Rejected(f"Experiment {name!r} has not run yet.", do=f"filiera experiment run {name}")
    newest = {run.pipeline: run for run in runs}
    made = {run.published.partition("@")[0]: run for run in newest.values() if run.published}
    for run in newest.values():
        files = changes_since(place, run, runs, tip)
        if files and not is_only_renewed(place, run, begun, tip):
            raise Rejected(
                f"The files of experiment {name!r} are not those that {run.run_id} ran.",
                why=f"Different: {', '.join(files[:5])}.",
                do=run.again,
            )
        if run.status != "succeeded":
            raise Rejected(f"Run {run.run_id} was rejected.", why=run.message, do=f"filiera show {run.run_id}")
        for source in filter(None, (made.get(ref.partition("@")[0]) for ref in run.inputs.values())):
            if source.artifact not in run.contents.values():
                raise Rejected(f"{run.run_id} used an older dataset than {source.published}.", do=run.again)
    return tuple(sorted(newest.values(), key=lambda run: bool(run.task)))


def _require_same_data(place: Place, name: str, begun: StartRecord, runs: Sequence[RunRecord]) -> None:
    """Refuse when the target would use other data by now: pinned versions, or other sources of its own datasets."""
    versions = place.project.versions
    for run in runs:
        for reference in run.inputs.values():
            product = reference.partition("@")[0]
            if product in begun.pins and reference == f"{product}@{begun.pins[product]}":
                newest = versions.newest("dataset", product)
                if newest is not None and newest.artifact.digest != run.contents.get(reference):
                    raise _other_data(name, f"it used {reference}, and the newest is {newest.ref}")
        before = versions.newest("dataset", run.published.partition(OF_EXPERIMENT)[0]) if not run.task else None
        for given, content in run.inputs.items() if before is not None else ():
            other = before.inputs.get(given, content) if before is not None else content
            if other != content and "@" not in content:
                raise _other_data(name, f"its source {given} was {content}; of the newest version it was {other}")


def _other_data(name: str, why: str) -> Rejected:
    return Rejected(
        f"The data have moved on since experiment {name!r} ran.",
        why=f"{why[0].upper()}{why[1:]}.",
        do=f"filiera experiment sync {name}, or accept it as it is: --allow-data-change",
    )
