"""What ``filiera doctor`` looks at, and what it can repair."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from filiera.core.artifact import ArtifactRef
from filiera.core.events import RunInterrupted
from filiera.engine.journal import Journal
from filiera.engine.recorder import Recorder
from filiera.errors import BlobCorrupted, BlobMissing, FilieraError, UsageError
from filiera.project.index import import_module, pipelines
from filiera.project.project import Project
from filiera.project.runs import recorded_state, shown_state

_EXTRAS = {
    "polars": "data",
    "sklearn": "model",
    "skops": "model",
    "scipy": "model",
    "granian": "serve",
    "msgspec": "serve",
}

_ABANDONED_AFTER_S = 86_400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    state: Literal["ok", "warning", "problem", "repaired"]
    detail: str


def examine(project: Project, *, repair: bool) -> Iterator[Finding]:
    """Yield findings about the environment, the project, its records and its blobs; with *repair*, mend what can be."""
    yield _environment()
    yield from _extras()
    yield from _pipelines(project)
    yield from _runs(project, repair)
    yield from _blobs(project, repair)


def _environment() -> Finding:
    git = shutil.which("git")
    detail = f"Python {platform.python_version()}, {platform.system()}, git {'found' if git else 'not found'}"
    return Finding(what="environment", state="ok" if git else "warning", detail=detail)


def _extras() -> Iterator[Finding]:
    missing: dict[str, list[str]] = {}
    for module, extra in _EXTRAS.items():
        if find_spec(module) is None:
            missing.setdefault(extra, []).append(module)
    for extra, modules in missing.items():
        yield Finding(
            what=f"extra {extra}",
            state="warning",
            detail=f"{', '.join(modules)} not installed: {sys.executable} -m pip install 'filiera[{extra}]'",
        )
    if not missing:
        yield Finding(what="extras", state="ok", detail="data, model and serve are installed")


def _pipelines(project: Project) -> Iterator[Finding]:
    try:
        found = pipelines(project.config)
    except FilieraError as error:
        yield Finding(what="pipelines", state="problem", detail=str(error).replace("\n", " "))
        return
    for module in sorted({entry.module for entry in found.values()}):
        try:
            import_module(project.config, module)
        except FilieraError as error:
            yield Finding(what=f"module {module}", state="problem", detail=str(error).replace("\n", " "))
    yield Finding(what="pipelines", state="ok", detail=", ".join(found) or "none yet")
    for name in found:
        yield from _opaque(project, name)


def _opaque(project: Project, name: str) -> Iterator[Finding]:
    try:
        graph = project.pipeline(name).trace({})
        places = [(node.name, place) for node in graph.nodes for place in project.code.opaque(node)]
    except UsageError:  # it needs parameters, which only a run has
        return
    except FilieraError as error:
        yield Finding(what=f"pipeline {name}", state="warning", detail=str(error).replace("\n", " "))
        return
    for step, place in places:
        detail = f"{place} looks names up while it runs: what it finds there is not part of the cache key"
        yield Finding(what=f"step {name}/{step}", state="warning", detail=detail)


def _runs(project: Project, repair: bool) -> Iterator[Finding]:
    for row in project.records.read("running_runs"):
        full = project.records.read("get_run", {"run_id": row["run_id"]})[0]
        if shown_state(project, full) != "interrupted":
            continue
        detail = f"its driver is gone; filiera resume {row['run_id']}"
        if repair:
            _mark_interrupted(project, row["run_id"])
            yield Finding(what=f"run {row['run_id']}", state="repaired", detail=f"recorded as interrupted: {detail}")
        else:
            yield Finding(what=f"run {row['run_id']}", state="warning", detail=detail)


def _mark_interrupted(project: Project, run_id: str) -> None:
    last = project.records.read("last_event_of_run", {"run_id": run_id})[0]["seq"]
    state = recorded_state(project, run_id)
    recorder = Recorder(
        journal=Journal(records=project.records), run_id=run_id, clock=project.clock, seq=last, state=state
    )
    if state.status == "running":  # else it was only adopted, by a driver that said nothing any more
        recorder.record(RunInterrupted(reason="its driver was gone"))
    recorder.flush(durable=True)


def _blobs(project: Project, repair: bool) -> Iterator[Finding]:
    present = {digest: size for digest, size, _ in project.blobs.blobs()}
    for digest in present:
        try:
            project.blobs.path(digest)
        except BlobCorrupted:
            if repair:
                project.blobs.delete(digest)
            state: Literal["repaired", "problem"] = "repaired" if repair else "problem"
            what = "removed; its step runs again" if repair else "its bytes changed: filiera doctor --repair"
            yield Finding(what=f"blob {digest[:12]}", state=state, detail=what)
        except BlobMissing:
            continue
    yield from _missing(project)
    if repair:
        freed = project.blobs.sweep_scratch(_ABANDONED_AFTER_S)
        if freed:
            yield Finding(what="scratch", state="repaired", detail=f"{freed:,} bytes of unfinished files removed")
    yield Finding(what="blobs", state="ok", detail=f"{len(present)} read and compared with their digests")


def _missing(project: Project) -> Iterator[Finding]:
    for version in project.versions.find(limit=10_000):
        for ref in (version.artifact, *version.attachments.values()):
            if not project.holds(ref):
                yield Finding(what=version.ref, state="problem", detail=_how_to_make(ref, version.run_id))


def _how_to_make(ref: ArtifactRef, run_id: str) -> str:
    pipeline = run_id.rpartition("-")[0]
    return f"its artifact {ref.short} is not in the store: filiera run {pipeline} makes it again"
