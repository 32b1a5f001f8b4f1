"""Running a pipeline of an experiment and keeping what came of it in the experiment's branch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from filiera.adapters.git_repository import RefChange, Repository
from filiera.adapters.git_status import Status
from filiera.adapters.local_disk import disk_errors
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import digest
from filiera.core.evaluation import Evaluation, metrics_of
from filiera.core.graph import Node, OutputRef
from filiera.core.parameters import parse
from filiera.core.pipeline import Pipeline
from filiera.core.products import ProductRef
from filiera.core.value import dataclass
from filiera.engine.rows import write_refs
from filiera.errors import ProjectError, Rejected, UsageError, did_you_mean
from filiera.experiments.files import require_keepable
from filiera.experiments.moving import recover
from filiera.experiments.names import RECORDS, branch_of, new_id
from filiera.experiments.place import Place
from filiera.experiments.ranking import best_first, deciding_metric
from filiera.experiments.records import RunRecord, path_of, runs_in, verdicts_of, write_record
from filiera.project.audit import actor
from filiera.project.collecting import STEP
from filiera.project.index import pipelines
from filiera.project.launch import Launch, start_many
from filiera.project.origin import given_to, own_steps, version_named
from filiera.project.project import Listener, Project
from filiera.project.runs import Run

_UNFINISHED = ".new"
_KEPT = ("succeeded", "rejected")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A run of an experiment, and its record if it came to one."""

    run: Run
    record: RunRecord | None  #: None: it failed, or was cancelled or is waiting


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What to run."""

    pipeline: str
    settings: Sequence[Mapping[str, str]] = ({},)  #: parameters as texts, for each run
    fresh: frozenset[str] = frozenset()  #: steps to run although they are in the cache
    metric: str = ""  #: which of several runs is the best; "": the metric of the first gate


def run(place: Place, name: str, wanted: Wanted, *, listener: Listener | None = None) -> list[Recorded]:
    """Run a pipeline of an experiment, once for each setting, and return how each run ended.

    Its files are taken as they are. Where a run succeeds or is rejected, they are committed to the experiment's branch
    with its record; where all fail, nothing is. The best of several is recorded as the newest: that one counts.

    Raises:
        UsageError, GraphError, SourceError: The run could not be planned.
        StoreBusy: Another process works on the experiment.
        ProjectError: The worktree is not as it should be.
        Rejected: Files changed while it ran: what ran cannot be told, and nothing is committed.
    """
    with place.lease(name):
        worktree = place.ensure_worktree(name)
        recover(place, name)
        repository = place.repository.at(worktree)
        for left in (worktree / place.prefix / RECORDS / name).glob(f"*{_UNFINISHED}"):
            left.unlink()
        status = _on_its_branch(repository, name)
        before = status.commit
        require_keepable(repository, status)
        tree = repository.tree(before) if status.is_clean else repository.snapshot()
        _require_records(place, repository, name, status)
        project = place.project_in(worktree)
        pipeline = project.pipeline(wanted.pipeline)
        several = [values_of(pipeline, texts) for texts in wanted.settings]
        launches = [Launch(pipeline=pipeline, values=values, fresh=wanted.fresh) for values in several]
        done = start_many(project, launches, listener=listener)
        kept = [one for one in done if one.status in _KEPT]
        if not kept:
            return [Recorded(run=one, record=None) for one in done]
        after = tree if status.is_clean and repository.status() == status else repository.snapshot()
        if after != tree:
            files = repository.changed(tree, after)
            raise Rejected(
                f"Files of {worktree} changed while {kept[0].run_id} ran: {', '.join(files[:5])}.",
                why="What ran is not what is there now, so that nothing was recorded in the branch.",
                do=f"Run it again: filiera experiment run {name}",
            )
        pairs = zip(done, several, strict=True)
        found = [record_of(place, name, tree, one, values) for one, values in pairs if one in kept]
        best_last = best_first(found, wanted.metric or deciding_metric(found))[::-1]
        records = {one.run_id: replace(one, id=new_id()) for one in best_last}
        _commit(place, repository, _Change(name, before, tree), list(records.values()))
        return [Recorded(run=one, record=records.get(one.run_id)) for one in done]


def _require_records(place: Place, repository: Repository, name: str, status: Status) -> None:
    """Refuse to commit that somebody has changed or removed what is written once. Raises UsageError.

    A new one is left of a run that was killed before its commit, and comes along.
    """
    own = f"{place.prefix}{RECORDS}/{name}/"
    changed = [file for file in status.changed if file.startswith(own)]
    known = repository.read([f"{status.commit}:{file}" for file in changed]) if changed else []
    records = [file for file, content in zip(changed, known, strict=True) if content is not None]
    if records:
        raise UsageError(
            f"Records of experiment {name!r} were changed: {', '.join(records[:5])}.",
            why="They say what ran, and are never written again.",
            do=f"git -C {repository.top} restore --source=HEAD --staged --worktree -- {own}",
        )


def default_pipeline(place: Place, name: str) -> str:
    """Return which pipeline an experiment runs when none is named. Raises UsageError.

    The last that made a model; else the only one of the project that publishes a model, or makes one; else the last.
    """
    records = runs_in(place.records(name)[name])
    models = [each.pipeline for each in records if each.task]
    if models:
        return models[-1]
    project = place.project_in(place.ensure_worktree(name))
    known = [project.pipeline(each) for each in pipelines(project.config)]
    found = [each.name for each in known if each.kind == "model"]
    published = [each.name for each in known if each.kind == "model" and each.publishes is not None]
    if len(found) == 1 or len(published) == 1:
        return (published or found)[0]
    if records:
        return records[-1].pipeline
    raise UsageError(
        f"Which pipeline shall experiment {name!r} run?",
        why=f"The project has {'no' if not found else 'several'} of kind model{': ' if found else ''}"
        f"{', '.join(found)}.",
        do=f"filiera experiment run {name} --pipeline NAME",
    )


def values_of(pipeline: Pipeline, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters of a pipeline that texts give. Raises UsageError."""
    known = {each.name: each for each in pipeline.parameters}
    for name in texts:
        if name not in known:
            raise UsageError(
                f"Pipeline {pipeline.name!r} has no parameter {name!r}.",
                why=f"It has: {', '.join(known) or 'none'}.{did_you_mean(name, known)}",
            )
    return {name: parse(text, known[name]) for name, text in texts.items()}


def values_back(pipeline: Pipeline, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run as its record has them: what JSON does not know is a text there."""
    types = {each.name: each for each in pipeline.parameters}
    return {
        name: parse(value, types[name]) if isinstance(value, str) and types[name].type is not str else value
        for name, value in parameters.items()
        if name in types
    }


def record_of(place: Place, name: str, tree: str, done: Run, values: Mapping[str, Any]) -> RunRecord:
    """Return what is kept of a run."""
    project = done.project
    row = project.records.read("get_run", {"run_id": done.run_id})[0]
    steps = project.records.read("steps_of_run", {"run_id": done.run_id})
    inputs = _inputs(row)
    gate = _gate(done)
    judged = _output(done, None if gate is None else gate.arguments.get("evaluation"))
    verdict = None if gate is None else _output(done, OutputRef(gate.name, 0))
    found = None if judged is None else project.value(judged)
    metrics = None if found is None else metrics_of(found)
    split, rows = split_of(found)
    return RunRecord(
        id=new_id(),
        experiment=name,
        at=project.clock(),
        by=actor(),
        run_id=done.run_id,
        pipeline=done.graph.pipeline,
        status=done.status,
        message=done.state.message if done.status == "rejected" else "",
        tree=tree,
        parameters={key: _plain(value) for key, value in values.items()},
        step_parameters=given_to(row for row in own_steps(steps) if not is_added(row["step"])),
        inputs=inputs,
        contents=contents_of(project, inputs),
        sources=sources_of(project, inputs.values()),
        steps={each["step"]: each["closure_digest"] for each in steps if each["closure_digest"]},
        product="" if done.graph.publication is None else done.graph.publication.name,
        gates=_gates(done),
        verdicts=verdicts_of(None if verdict is None else project.value(verdict)),
        published="" if done.version is None else done.version.ref,
        artifact="" if done.version is None else done.version.artifact.digest,
        task="" if metrics is None else metrics.task,
        metrics={} if metrics is None else {each.name: asdict(each) for each in metrics},
        evaluation="" if judged is None else write_refs([judged]),
        split=split,
        rows=rows,
        started_at=row["started_at"],
        took_s=(row["finished_at"] or row["started_at"]) - row["started_at"],
    )


def split_of(evaluation: Any) -> tuple[str, int]:
    """Return a digest of the rows that were evaluated, whatever their order, with their truths, and how many they are.

    Two evaluations with the same digest were asked the same questions. Rows are known by their content, or by their
    key: with ``Design(key=…)`` they stay the same though an experiment computes other features from them.
    """
    if not isinstance(evaluation, Evaluation) or not {"row", "truth"} <= set(evaluation.rows.columns):
        return "", 0
    rows = evaluation.rows.select("row", "truth").sort("row", "truth")
    content = rows.hash_rows(seed=0).to_numpy().tobytes()
    return digest("split/1", content), rows.height


def _output(done: Run, made: object) -> ArtifactRef | None:
    """Return what a step of a run has made, such as what its gates decided on, or None."""
    if not isinstance(made, OutputRef) or made.node not in done.state.steps:
        return None
    outputs = done.state.steps[made.node].outputs
    return outputs[made.index] if len(outputs) > made.index else None


def is_added(step: str) -> bool:
    """Tell whether a step was added for checks or a source: what it is given is in the code or the inputs."""
    return step == "validate" or step.startswith(STEP)


def _gate(done: Run) -> Node | None:
    return next((node for node in done.graph.nodes if node.name == "gate"), None)


def _gates(done: Run) -> dict[str, str]:
    gate = _gate(done)
    return {} if gate is None else {str(each): each.metric for each in gate.arguments.get("gates", ())}


def sources_of(project: Project, references: Iterable[str]) -> list[str]:
    """Return the sources that inputs were made from, through all versions in between, sorted."""
    found: set[str] = set()
    for reference in references:
        version = version_named(project.versions, reference)
        found |= {reference} if version is None else set(sources_of(project, version.inputs.values()))
    return sorted(found)


def _inputs(row: Mapping[str, Any]) -> dict[str, str]:
    return dict(json.loads(row["record"]).get("inputs", {}))


def contents_of(project: Project, inputs: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of the versions among the inputs of a run."""
    found = {}
    for reference in inputs.values():
        if "@" in reference and " " not in reference:
            ref = ProductRef.parse(reference)
            found[reference] = project.versions.get(project.versions.kind_of(ref.name), ref).artifact.digest
    return found


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)


@dataclass(frozen=True, slots=True)
class _Change:
    name: str
    before: str  #: the commit that the branch is at
    tree: str  #: what ran


def _commit(place: Place, repository: Repository, change: _Change, records: Sequence[RunRecord]) -> None:
    """Commit the files that ran, with records, to the experiment's branch.

    The index comes first, then the branch: whoever is killed in between leaves changes that are staged, no more.
    """
    contents = {path_of(record, place.prefix): write_record(record) for record in records}
    tree = repository.with_files(change.tree, contents)
    for path, content in contents.items():
        file = repository.top / path
        beside = file.with_suffix(_UNFINISHED)
        with disk_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content)
            beside.replace(file)  # half a record would be committed by the next run, and read by nobody
    repository.stage(tree)
    commit = repository.commit(tree, [change.before], message_of(records))
    repository.update([RefChange(branch_of(change.name), commit, change.before)], f"filiera: run {records[-1].run_id}")


def message_of(records: Sequence[RunRecord]) -> str:
    """Return the message of the commit that keeps records."""
    lines = []
    for record in records:
        shown = ", ".join(f"{name} {each['value']:.4f}" for name, each in list(record.metrics.items())[:3])
        lines.append(f"{record.run_id} {record.status}{': ' if shown else ''}{shown}")
    head = f"Run {records[0].pipeline}" if len(records) == 1 else f"Run {records[0].pipeline} {len(records)} times"
    return f"{head}\n\n" + "\n".join(lines) + f"\n\nExperiment: {records[0].experiment}\n"


def _on_its_branch(repository: Repository, name: str) -> Status:
    """Return what has changed in an experiment's worktree. Raises ProjectError when that is on another branch."""
    status, worktree = repository.status(may_refresh=True), repository.top
    if status.branch != branch_of(name):
        raise ProjectError(
            f"{worktree} is not on branch exp/{name}.",
            why=f"It is on {status.branch.removeprefix('refs/heads/') or 'no branch'}.",
            do=f"git -C {worktree} switch exp/{name}",
        )
    if busy := repository.busy():
        raise ProjectError(f"{worktree} is in the middle of something: {busy}.", do="git status says how to end it.")
    return status
