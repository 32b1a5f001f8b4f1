"""What is compared: experiments by their newest runs, one run of an experiment, and the target as it is now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.evaluation import Evaluation, metrics_of
from filiera.core.gate import GateReport
from filiera.core.metric import Metrics
from filiera.core.products import OF_EXPERIMENT
from filiera.core.value import dataclass
from filiera.engine.rows import read_refs, write_refs
from filiera.errors import CodecError, StoreError, UsageError, did_you_mean
from filiera.experiments.place import Place
from filiera.experiments.ran import commit_of
from filiera.experiments.records import Record, RunRecord, records_at, runs_in, start_in, verdicts_of
from filiera.experiments.running import contents_of, is_added, sources_of, split_of
from filiera.project.attached import stored
from filiera.project.origin import lineage, origin_of, version_named
from filiera.project.project import Project
from filiera.project.versions import Version

TARGET = "main"
"""Means the target of the experiments, whatever its branch is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of those that are compared."""

    name: str  #: "deeper", "deeper/train-5" or "main"
    run: RunRecord  #: of the target: what is known of the run that published its version
    files: str  #: the commit that has the files which ran; of the target the newest one, where that is not known

    @property
    def metrics(self) -> Metrics:
        """Return what was measured."""
        found = [self.run.metric(name) for name in self.run.metrics]
        return Metrics(tuple(one for one in found if one is not None), task=self.run.task)  # type: ignore[arg-type]


def sides_of(place: Place, names: Sequence[str]) -> list[Side]:
    """Return what names stand for: an experiment, a run of one as ``NAME/RUN``, or ``main``.

    Raises:
        UsageError: There is no such thing, it has not been measured, or the experiments have several targets or models.
    """
    branches = place.branches()
    targets = [name for name in names if _is_target(place, name, branches)]
    wanted = {name: name.partition("/") for name in names if name not in targets}
    commits = {each: branches.get(each) or place.tip(each) for each, *_ in wanted.values()}
    records = records_at(place.repository, commits, place.prefix)
    runs = {name: _run(each, run_id, records[each]) for name, (each, _, run_id) in wanted.items()}
    found = {
        name: Side(name=name, run=run, files=commit_of(place, run, commits[wanted[name][0]]))
        for name, run in runs.items()
    }
    if targets:
        begun = [start_in(records[each]) for each in records]
        branch = _only({each.target for each in begun if each is not None}, "targets", place.repository.branch())
        product = _only({run.product or run.published.partition(OF_EXPERIMENT)[0] for run in runs.values()}, "models")
        found |= dict.fromkeys(targets, _target(place, targets[0], branch, product))
    return [found[name] for name in names]


def evaluation_of(project: Project, run: RunRecord) -> Evaluation | None:
    """Return what was answered row by row, or None: it was not kept, or is lost."""
    if not run.evaluation:
        return None
    try:
        value = project.value(_ref(project, run.evaluation))
    except (StoreError, CodecError):
        return None
    return value if isinstance(value, Evaluation) else None


def steps_behind(project: Project, run: RunRecord) -> dict[str, str]:
    """Return the code of a run's steps by digest, and as "pipeline/step" that of all that its datasets were made by."""
    found = dict(run.steps)
    for reference in run.inputs.values():
        version = version_named(project.versions, reference)
        for made in [] if version is None else [version, *(each for *_, each in lineage(project.versions, version))]:
            if made is not None:
                found |= {f"{pipeline}/{step}": code for pipeline, step, code in _steps_of(project, made.run_id)}
    return found


def _steps_of(project: Project, run_id: str) -> Iterator[tuple[str, str, str]]:
    rows = project.records.read("steps_of_run", {"run_id": run_id})
    yield from (
        (run_id.rpartition("-")[0], row["step"], row["closure_digest"]) for row in rows if row["closure_digest"]
    )


def _ref(project: Project, text: str) -> ArtifactRef:
    return read_refs(text, project.versions.inline)[0]


def _is_target(place: Place, name: str, branches: Any) -> bool:
    if name in branches or "/" in name:
        return False
    return name == TARGET or (name not in place.archived() and bool(place.repository.resolve(f"refs/heads/{name}")))


def _run(name: str, run_id: str, records: Sequence[Record]) -> RunRecord:
    """Return the run of an experiment that counts, or the one asked for. Raises UsageError."""
    runs = runs_in(records)
    measured = [each for each in runs if each.metrics]
    if run_id:
        known = [each.run_id for each in measured]
        found = next((each for each in measured if each.run_id == run_id), None)
        if found is None:
            raise UsageError(
                f"Experiment {name!r} has no run {run_id!r} that was measured.",
                why=f"There are: {', '.join(known) or 'none'}.{did_you_mean(run_id, known)}",
                do=f"filiera experiment show {name}",
            )
        return found
    if not measured:
        raise UsageError(
            f"Nothing was measured in experiment {name!r} yet.",
            why="It has not run." if not runs else f"It has run {', '.join(dict.fromkeys(r.pipeline for r in runs))}.",
            do=f"filiera experiment run {name}",
        )
    return measured[-1]


def _only(found: set[str], what: str, default: str = "") -> str:
    known = sorted(found - {""}) or [default]
    if len(known) > 1 or not known[0]:
        has = f"They have several: {', '.join(known)}." if known[0] else "No record says which."
        raise UsageError(f"What {TARGET!r} means is not known: the {what} of these experiments.", why=has)
    return known[0]


def _target(place: Place, name: str, branch: str, product: str) -> Side:
    """Return the champion of a model, or its newest version, as if it were a run of an experiment."""
    project = place.project
    versions = project.versions
    version = versions.champion(product) or versions.newest("model", product)
    if version is None:
        raise UsageError(
            f"{branch.removeprefix('refs/heads/')} has no version of model {product!r} yet.",
            do="Run the pipeline there first.",
        )
    origin = origin_of(project.records, version)
    commit = "" if origin is None else place.repository.resolve(origin.commit)
    tip = place.repository.resolve(branch)
    return Side(name=name, run=_run_of(project, version, commit), files=commit or tip)


def _run_of(project: Project, version: Version, commit: str) -> RunRecord:
    origin = origin_of(project.records, version)
    evaluation = stored(project, version, "evaluation")
    gates = stored(project, version, "gates")
    rows = project.records.read("steps_of_run", {"run_id": version.run_id})
    runs = project.records.read("get_run", {"run_id": version.run_id})
    split, count = split_of(evaluation)
    metrics = None if evaluation is None else metrics_of(evaluation)
    return RunRecord(
        id="",
        experiment="",
        at=version.created_at,
        by="",
        run_id=version.run_id,
        pipeline=runs[0]["pipeline"] if runs else "",
        status="succeeded",
        tree=commit,
        parameters=json.loads(runs[0]["parameters"]) if runs else {},
        step_parameters={} if origin is None else {k: v for k, v in origin.parameters.items() if not _is_of_added(k)},
        inputs=version.inputs,
        contents=contents_of(project, version.inputs),
        sources=sources_of(project, version.inputs.values()),
        steps={each["step"]: each["closure_digest"] for each in rows if each["closure_digest"]},
        product=version.name,
        gates={str(one.gate): one.gate.metric for one in gates.results} if isinstance(gates, GateReport) else {},
        verdicts=verdicts_of(gates),
        published=version.ref,
        artifact=version.artifact.digest,
        task=version.description["task"],
        metrics=version.description["metrics"] if metrics is None else {one.name: asdict(one) for one in metrics},
        evaluation=write_refs([version.attachments["evaluation"]]) if evaluation is not None else "",
        split=split,
        rows=count,
    )


def _is_of_added(parameter: str) -> bool:
    return is_added(parameter.partition(".")[0])
