"""Repeats a recorded run in a clean place: a process of its own, ``python -m filiera.project.proving.proof_run``.

It reads from standard input what to repeat and writes to a file what came of it. Inputs are those recorded: versions of
products by their numbers, and collected sources by the digests that they had, not as they are now.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.closure import decode
from filiera.core.gate import Waiver
from filiera.core.graph import Future, Graph, Known, Node, OutputRef
from filiera.core.pipeline import Pipeline
from filiera.core.products import Dataset, Model, ProductKind, ProductRef
from filiera.core.value import dataclass
from filiera.engine.rows import read_refs
from filiera.errors import FilieraError, ProjectError
from filiera.ports import Row
from filiera.project import launch, plugins
from filiera.project.assemble import Assembled, Lookups, assemble
from filiera.project.assemble_model import TIMING
from filiera.project.beside import BEFORE, CLOCK, BesideLookups
from filiera.project.collecting import COLLECT
from filiera.project.config import Profile, SigningRules, load
from filiera.project.project import Project
from filiera.project.proving.suspects import suspects
from filiera.project.rivals import Rivals
from filiera.project.versions import Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What to repeat, where."""

    root: str  #: the project, rebuilt
    store: str  #: an empty store of its own
    original_root: str  #: the project whose store has the record; only read
    profile: str
    run_id: str
    only: str = ""  #: run just this step again, after all before it; "": everything
    answer: str  #: file to write: run_id and suspects as JSON


_NOT_REPEATED = (COLLECT, f"{COLLECT.partition(':')[0]}:{TIMING}")
"""Addresses of steps whose recorded outputs are taken: what they look at is not the same now."""


class Repeated(Project):
    """The project in its clean place, whose pipelines start from what the record says."""

    def __init__(self, job: Job) -> None:
        self._original = Project(load(Path(job.original_root), job.profile))
        config = load(Path(job.root), job.profile)
        profile = Profile(
            name=config.profile.name,
            store=Path(job.store),
            executor=config.profile.executor,
            workers=config.profile.workers,
        )
        super().__init__(replace(config, profile=profile, signing=SigningRules()))
        self._only = job.only
        rows = self._original.records.read("steps_of_run", {"run_id": job.run_id})
        self._recorded = {row["step"]: row["outputs"] for row in rows}
        self._inputs: dict[str, str] = json.loads(self.recorded_run(job.run_id)["record"])["inputs"]

    def recorded_run(self, run_id: str) -> Row:
        """Return the record of the run."""
        return self._original.records.read("get_run", {"run_id": run_id})[0]

    def assemble(
        self, pipeline: Pipeline, values: Mapping[str, Any], *, fresh: frozenset[str] = frozenset()
    ) -> Assembled:
        """Return the graph with what was collected and timed as it was recorded, without those steps."""
        beside = BesideLookups(version=self._beside_then, newest=self._newest_then, now=self._now_then)
        lookups = Lookups(
            version=self._then,
            rivals=_RivalsThen(self),
            waivers=self._waivers_then,
            source=lambda name: ({}, ""),
            to_grow=lambda name, entry: {},
            beside=beside,
        )
        assembled = assemble(pipeline, values, lookups)
        graph = self._without_what_is_recorded(assembled.graph)
        return replace(assembled, graph=up_to(graph, self._only) if self._only else graph)

    def _then(self, kind: ProductKind, ref: ProductRef) -> Version:
        version = self._original.versions.resolve(kind, ref)
        self._take(version.artifact)
        if "promised" in version.attachments:
            self._take(version.attachments["promised"])
        return version

    def _beside_then(self, ref: ProductRef) -> Version:
        return self._then("dataset", ProductRef.parse(self._inputs.get(str(ref), str(ref))))

    def _newest_then(self, name: str) -> Version | None:
        return self._then("dataset", ProductRef.parse(self._inputs[BEFORE])) if BEFORE in self._inputs else None

    def _now_then(self) -> dt.datetime:
        return dt.datetime.fromisoformat(self._inputs[CLOCK])

    def _waivers_then(self, model: Model) -> tuple[Waiver, ...]:
        report = self._original.value(self.recorded_output("gate", 0))
        return tuple(result.waiver for result in report.results if result.waiver is not None)

    def _without_what_is_recorded(self, graph: Graph) -> Graph:
        collected = {node.name for node in graph.nodes if node.step.address in _NOT_REPEATED}

        def substitute(future: Future) -> Future:
            if isinstance(future, OutputRef) and future.node in collected:
                return Known(self.recorded_output(future.node, future.index), future.node)
            return future

        graph = graph.replace_futures(substitute)
        publication = graph.publication
        if publication is not None:
            kept = {name: ref for name, ref in publication.attachments.items() if ref.node not in collected}
            publication = replace(publication, attachments=kept)
        nodes = tuple(node for node in graph.nodes if node.name not in collected)
        return replace(graph, nodes=nodes, publication=publication)

    def recorded_output(self, step: str, index: int) -> ArtifactRef:
        """Return what a step of the recorded run returned, brought into this store. Raises ProjectError."""
        outputs = read_refs(self._recorded.get(step, ""), self._original.versions.inline)
        if index >= len(outputs):
            raise ProjectError(
                f"The run has no recorded output of step {step!r}, from which a proof would start.",
                why="The step did not finish.",
                do="Prove a run that came further.",
            )
        self._take(outputs[index])
        return outputs[index]

    def _take(self, artifact: ArtifactRef) -> None:
        """Bring the bytes of an artifact of the original store into this one."""
        for digest in plugins.blobs_of(artifact, self._original.blobs.get):
            if not self.blobs.has(digest):
                bring(self._original.blobs.path(digest), self.blobs.scratch() / digest)
                self.blobs.adopt(self.blobs.scratch() / digest, digest)


class _RivalsThen(Rivals):
    """What the recorded run compared with."""

    def __init__(self, repeated: Repeated) -> None:
        super().__init__(repeated.versions, repeated.artifacts, repeated.holds)
        self._repeated = repeated

    def evaluation(self, name: str, model: ArtifactRef, evaluation: ArtifactRef) -> Known:
        return Known(self._repeated.recorded_output("gate", 1), "rival of then")

    def reference(self, name: str, model: ArtifactRef, evaluation: ArtifactRef) -> Known:
        return Known(self._repeated.recorded_output("gate", 2), "rival of then")


def bring(file: Path, target: Path) -> None:
    """Make a file that is never written again appear at another place: as a link where possible, else as a copy."""
    try:
        os.link(file, target)
    except OSError:
        import shutil

        shutil.copyfile(file, target)


def up_to(graph: Graph, step: str) -> Graph:
    """Return the part of a graph that a step needs, itself included; nothing is published.

    A step that the graph got while it ran, such as ``fit[3]``, stands for the node it came from.
    """
    nodes = {node.name: node for node in graph.nodes}
    waiting, needed = [origin_of(graph, step)], dict[str, Node]()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = nodes[name]
            waiting += nodes[name].upstream
    kept = tuple(node for node in graph.nodes if node.name in needed)
    return replace(graph, nodes=kept, result=None, publication=None)


def origin_of(graph: Graph, step: str) -> str:
    """Return the node of a graph that a step is, or came from. Raises ProjectError when there is none."""
    names = [
        node.name for node in graph.nodes if step == node.name or step.startswith((f"{node.name}[", f"{node.name}."))
    ]
    if not names:
        raise ProjectError(f"The rebuilt pipeline has no step {step!r}.")
    return max(names, key=len)


def repeat(job: Job) -> dict[str, Any]:
    """Run the pipeline again and return the new run's id, and what in a step's code may differ each time."""
    project = Repeated(job)
    row = project.recorded_run(job.run_id)
    pipeline = project.pipeline(row["pipeline"])
    inputs = json.loads(row["record"])["inputs"]
    products = [p.name for p in pipeline.parameters if isinstance(p.default, Dataset | Model)]
    values = plain.decode(row["parameters"].encode()) | {name: inputs[name] for name in products if name in inputs}
    if not job.only:
        return {"run_id": launch.start_pipeline(project, pipeline, values).run_id, "suspects": []}
    graph = project.assemble(pipeline, values).graph
    node = next(node for node in graph.nodes if node.name == origin_of(graph, job.only))
    found = suspects(decode(project.code.of(node).parts).parts)
    run = launch.start_pipeline(project, pipeline, values, fresh=frozenset({node.name}))
    return {"run_id": run.run_id, "suspects": [asdict(suspect) for suspect in found]}


def main() -> None:
    """Do what standard input says; an error of ours is an answer too."""
    job = Job(**json.load(sys.stdin))
    try:
        answer = repeat(job)
    except FilieraError as error:
        answer = {"error": {"what": error.what, "why": error.why, "do": error.do}}
    Path(job.answer).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
