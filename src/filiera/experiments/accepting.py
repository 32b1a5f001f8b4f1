"""Merging the preferred experiment: what is merged is what was evaluated, and its gates have passed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import field, replace
from pathlib import Path

from filiera.adapters import git_worktrees
from filiera.adapters.git_repository import RefChange
from filiera.core.value import dataclass
from filiera.errors import FilieraError, ProjectError, Rejected, StepFailed, StoreFull, UsageError
from filiera.experiments import journal
from filiera.experiments.candidates import Candidate, candidate_of
from filiera.experiments.carrying import carried, entries, stage
from filiera.experiments.dropping import with_changes
from filiera.experiments.journal import Entry, Finished
from filiera.experiments.moving import put
from filiera.experiments.names import ARCHIVE, new_id
from filiera.experiments.place import MAKING, Place
from filiera.experiments.ran import code_changes
from filiera.experiments.records import RunRecord, path_of, write_record
from filiera.experiments.running import record_of, values_back
from filiera.project.index import forget_modules
from filiera.project.launch import Launch, start_many
from filiera.project.project import Listener
from filiera.project.serving.contracts import FOLDER as CONTRACTS
from filiera.project.serving.contracts import require_kept
from filiera.project.versions import Version

LEASE = ".accept"
_TRIES = 3
_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """How an experiment is to be accepted."""

    into: str = ""  #: branch; "": the one that it was started for
    squash: bool = False  #: one commit on the target, without the experiment's
    drop_others: bool = False  #: all other experiments go into the archive, with what is not committed in them
    allow_data_change: bool = False  #: although the target uses other data by now
    dry_run: bool = False  #: find out whether it can be, and change nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """An experiment that was accepted, or would be."""

    name: str
    target: str
    commit: str  #: that the target is at now
    is_evaluated_again: bool  #: the target had moved: what came of merging was run
    records: tuple[RunRecord, ...]  #: the runs that count
    finished: Finished | None  #: None: it was a dry run


@dataclass(frozen=True, kw_only=True, slots=True)
class _Evaluated:
    tree: str  #: what is merged, with records
    records: tuple[RunRecord, ...]
    versions: tuple[Version, ...]
    is_again: bool = field(default=False)


def accept(place: Place, name: str, wanted: Acceptance, *, listener: Listener | None = None) -> Accepted:
    """Merge an experiment into its target, publish its versions there, and move it into the archive.

    First its pipelines run again on what would be merged, which computes nothing where the target has not moved: that
    they succeed says that all gates pass against the champion of now.

    Raises:
        UsageError: There is no such experiment or branch; something is not committed.
        Rejected: A gate fails, applications that call the champion would break, the runs are not of the newest files,
            data or files are in conflict.
        StepFailed: What would be merged does not run.
        StoreBusy: Another process accepts, or works on the experiment.
        ProjectError: git does not do what it is asked.
    """
    with place.lease(LEASE), place.lease(name):
        journal.recover(place)
        for _ in range(_TRIES):
            candidate = candidate_of(place, name, into=wanted.into, allow_data_change=wanted.allow_data_change)
            old = candidate.old
            evaluated = _evaluate(place, candidate, listener)
            parents = [old] if wanted.squash else [old, candidate.tip]
            message = message_of(candidate.name, evaluated.records, evaluated.versions)
            new = place.repository.commit(evaluated.tree, parents, message)
            done = Accepted(
                name=name,
                target=candidate.target,
                commit=new,
                is_evaluated_again=evaluated.is_again,
                records=evaluated.records,
                finished=None,
            )
            if wanted.dry_run:
                return done
            with _others(place, name, wanted) as archive:
                archive[name] = (f"{ARCHIVE}{name}/{new_id()}", candidate.tip, candidate.tip)
                refs = tuple(version.ref for version in evaluated.versions)
                entry = Entry(name=name, target=candidate.target, old=old, new=new, published=refs, archive=archive)
                journal.write(place, entry)
                moved = _moved(place, entry)
            if moved is not None:
                return replace(done, finished=_finished(place, moved))
            journal.clear(place)  # somebody else moved the target meanwhile: once more
        raise Rejected(
            f"{candidate.target.removeprefix('refs/heads/')} moved {_TRIES} times while {name} was being accepted.",
            do="Try again.",
        )


def _finished(place: Place, entry: Entry) -> journal.Finished:
    """End what has been decided. Raises what ``journal.finish`` does, saying how it can be ended later."""
    try:
        return journal.finish(place, entry)
    except FilieraError as error:
        target = entry.target.removeprefix("refs/heads/")
        error.do = f"{target} has experiment {entry.name!r}; for what is left to do: filiera experiment doctor --repair"
        raise


def _merged(place: Place, candidate: Candidate) -> tuple[str, bool]:
    """Return a tree of what comes of merging the candidate, and whether that has other files than the candidate.

    Raises Rejected, UsageError.
    """
    base = place.repository.git("merge-base", candidate.old, candidate.tip, check=False)
    target = candidate.target.removeprefix("refs/heads/")
    if base == candidate.tip:
        raise UsageError(f"{target} has all of experiment {candidate.name!r}: there is nothing to accept.")
    if base == candidate.old:
        return place.repository.tree(candidate.tip), False
    merge = place.repository.merge(candidate.old, candidate.tip)
    if merge.conflicts:
        raise Rejected(
            f"Experiment {candidate.name!r} is in conflict with {target}: {', '.join(merge.conflicts[:10])}.",
            why="Both have changed the same lines. Nothing was changed.",
            do=f"filiera experiment sync {candidate.name}",
        )
    return merge.tree, bool(code_changes(place, candidate.tip, merge.tree))


def _evaluate(place: Place, candidate: Candidate, listener: Listener | None) -> _Evaluated:
    """Run the candidate's pipelines on what comes of merging it, and return that with what they published."""
    tree, is_moved = _merged(place, candidate)
    if not is_moved and candidate.worktree is not None:
        found = _run_in(place, candidate, candidate.worktree, tree, listener)
    else:
        with _scratch(place, candidate, tree) as folder:
            found = _run_in(place, candidate, folder, tree, listener)
    if not is_moved and not candidate.is_renewed:
        return _Evaluated(tree=tree, records=candidate.runs, versions=tuple(v for _, v in found))
    records = {path_of(record, place.prefix): write_record(record) for record, _ in found}
    tree = place.repository.with_files(tree, records)
    return _Evaluated(tree=tree, records=tuple(r for r, _ in found), versions=tuple(v for _, v in found), is_again=True)


def _run_in(
    place: Place, candidate: Candidate, folder: Path, tree: str, listener: Listener | None
) -> list[tuple[RunRecord, Version]]:
    """Run the pipelines in a folder that has the files of a tree, and return their records and versions.

    Raises Rejected, StepFailed.
    """
    forget_modules(place.worktrees)
    project = place.project_in(folder)
    found = []
    for record in candidate.runs:
        pipeline = project.pipeline(record.pipeline)
        values = values_back(pipeline, record.parameters)
        done = start_many(project, [Launch(pipeline=pipeline, values=values)], listener=listener)[0]
        if done.status != "succeeded" or done.version is None:
            kind = Rejected if done.status == "rejected" else StepFailed
            raise kind(
                f"What would be merged does not pass: {done.run_id} {done.status}.",
                why=done.state.message,
                do=f"filiera show {done.run_id}",
            )
        if (project.config.root / CONTRACTS).is_dir():
            # Of what would be merged, so that an experiment may bring an approval along. Where nobody has written down
            # a contract, a model may take what it likes: promoting it will ask.
            require_kept(project, done.version)
        found.append((record_of(place, candidate.name, tree, done, values), done.version))
    return found


def merge_folder(name: str) -> str:
    """Return what the folder is called in which that runs what would be merged: no experiment can have this name."""
    return f"{MAKING}{name}.merged"


@contextmanager
def _scratch(place: Place, candidate: Candidate, tree: str) -> Iterator[Path]:
    """Give a folder with the files of a tree, which counts as the experiment's for as long as it is there."""
    commit = place.repository.commit(tree, [candidate.old, candidate.tip], "What would be merged\n")
    folder = place.worktrees / merge_folder(candidate.name)
    place.worktrees.mkdir(parents=True, exist_ok=True)
    git_worktrees.discard(place.repository, folder)
    git_worktrees.add(place.repository, folder, commit, only=candidate.start.only)
    try:
        place.mark(folder, candidate.start)
        yield folder
    finally:
        git_worktrees.discard(place.repository, folder)


@contextmanager
def _others(place: Place, name: str, wanted: Acceptance) -> Iterator[dict[str, tuple[str, str, str]]]:
    """Give what goes into the archive along with the accepted one; nobody works on these meanwhile."""
    found: dict[str, tuple[str, str, str]] = {}
    with ExitStack() as leases:
        for other, tip in place.branches().items() if wanted.drop_others else ():
            if other != name:
                leases.enter_context(place.lease(other))
                worktree = place.worktree(other)
                kept = tip if worktree is None else with_changes(place, worktree, other, tip)
                ref = f"{ARCHIVE}{other}/{new_id()}"
                found[other] = (ref, kept, tip)
        yield found


def _moved(place: Place, entry: Entry) -> Entry | None:
    """Move the target, where it is checked out with its files; return None when it is not where it was.

    Raises:
        UsageError: Files of that folder are in the way.
        StoreFull: No space is left. What was written is taken back, later where there is no space for that either.
    """
    folder = place.repository.folder_of(entry.target)
    try:
        if folder is None:
            place.repository.update([RefChange(entry.target, entry.new, entry.old)], f"filiera: accept {entry.name}")
        else:
            entry = _merged_there(place, entry, folder)
    except (ProjectError, StoreFull) as error:
        now = place.repository.resolve(entry.target)
        if now != entry.old:
            return entry if now == entry.new else None
        if "Aborting" in error.why:  # git has looked at all files before it wrote any
            journal.clear(place)
        else:
            journal.recover(place)
        if isinstance(error, StoreFull):
            raise
        raise UsageError(
            f"{entry.target.removeprefix('refs/heads/')} cannot take experiment {entry.name!r}: nothing was changed.",
            why=error.why,
            do=f"Commit or put away these changes in {folder or place.repository.top}, then accept again.",
        ) from error
    return entry if place.repository.resolve(entry.target) == entry.new else None


def _merged_there(place: Place, entry: Entry, folder: Path) -> Entry:
    """Move a branch with its files, those too that are changed there as the experiment has them; return the entry."""
    words = ("merge", "--ff-only", "--quiet", entry.new)
    try:
        place.repository.git(*words, cwd=folder)
    except ProjectError:
        _, kept, _ = entry.archive[entry.name]
        files = carried(place, folder, entry.old, entry.new, kept)
        if not files:
            raise
        entry = replace(entry, carried=files)
        journal.write(place, entry)
        stage(place, folder, entry.old, entry.new, files)
        try:
            place.repository.git(*words, cwd=folder)
        except ProjectError:
            put(place, folder, entries(files))
            raise
    return entry


def message_of(name: str, records: Sequence[RunRecord], versions: Sequence[Version]) -> str:
    """Return the message of the commit that accepts an experiment: what came of it is in its trailers."""
    trailers = [f"Experiment: {name}", *(f"Run: {record.run_id}" for record in records)]
    for record in records:
        shown = [
            f"{key}={one['value']:.4f} ({one['low']:.4f} to {one['high']:.4f})" for key, one in record.metrics.items()
        ]
        trailers += [f"Metrics: {', '.join(shown[:5])}"] if shown else []
        trailers += [f"Dataset: {ref} {content[:12]}" for ref, content in record.contents.items()]
    for version in versions:
        if "signature" in version.attachments:
            trailers.append(f"Signature: {version.attachments['signature'].digest[:12]}")
    return f"Accept experiment {name}\n\n" + "\n".join(dict.fromkeys(trailers)) + "\n"
