"""What ``filiera doctor`` looks at, and what it can repair."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from typing import Literal

from filiera.core.artifact import ArtifactRef
from filiera.core.value import dataclass
from filiera.errors import FilieraError, UsageError
from filiera.project import audit
from filiera.project.healing import heal
from filiera.project.housekeeping import alone
from filiera.project.index import import_module, pipelines
from filiera.project.project import Project
from filiera.project.runs import is_driven
from filiera.project.upkeep.abandoned import record_interruption
from filiera.project.upkeep.damage import damaged_bytes, lacking_versions, owners
from filiera.project.upkeep.garbage import put_back
from filiera.project.upkeep.marks import Tell

_EXTRAS = {
    "polars": "data",
    "sklearn": "model",
    "skops": "model",
    "scipy": "model",
    "msgspec": "serve",
}

_ABANDONED_AFTER_S = 86_400.0
_MANY = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    state: Literal["ok", "warning", "problem", "repaired"]
    detail: str
    area: Literal["project", "store"] = "project"  #: whose it is: the code and configuration, or the store


def examine(project: Project, *, repair: bool, tell: Tell) -> Iterator[Finding]:
    """Yield findings about the environment, the project, its records and its blobs; with *repair*, mend what can be.

    Raises:
        StoreError: The store cannot be read; with *repair*, or written, or another process keeps house there.
    """
    yield _environment()
    yield from _extras()
    yield from _pipelines(project)
    with alone(project.store) if repair and project.store.is_dir() else nullcontext():
        for finding in _store(project, repair, tell):
            yield replace(finding, area="store")


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


def _store(project: Project, repair: bool, tell: Tell) -> Iterator[Finding]:
    if repair and project.store.is_dir():
        put_back(project)
    yield from _runs(project, repair)
    damaged = sorted(damaged_bytes(project, tell))
    for digest in damaged:
        yield _damaged(project, digest, repair)
    for version, run_id, ref in lacking_versions(project):
        yield Finding(what=version, state="problem", detail=_how_to_make(ref, run_id))
    if repair:
        freed = project.blobs.sweep_scratch(_ABANDONED_AFTER_S)
        if freed:
            yield Finding(what="scratch", state="repaired", detail=f"{freed:,} bytes of unfinished files removed")
    if not damaged:
        yield Finding(what="blobs", state="ok", detail="all read and compared with their digests")


def _runs(project: Project, repair: bool) -> Iterator[Finding]:
    for row in project.records.read("live_runs"):
        if is_driven(project, row):
            continue
        detail = f"its driver is gone; filiera resume {row['run_id']}"
        if repair and record_interruption(project, row):
            yield Finding(what=f"run {row['run_id']}", state="repaired", detail=f"recorded as interrupted: {detail}")
        else:
            yield Finding(what=f"run {row['run_id']}", state="warning", detail=detail)


def _damaged(project: Project, digest: str, repair: bool) -> Finding:
    needing = owners(project, digest)
    of = f"needed by {', '.join(needing[:_MANY])}" if needing else "needed by nothing that is recorded"
    what = f"blob {digest[:12]}"
    if not repair:
        return Finding(what=what, state="problem", detail=f"its bytes changed: filiera doctor --repair; {of}")
    healed = heal(project, digest)
    if healed.moved_to is None:  # another process was faster
        return Finding(what=what, state="repaired", detail=f"put anew by another process; {of}")
    noted = audit.entry("repair", digest[:12], at=project.clock(), detail={"moved_to": healed.moved_to.name})
    project.records.write([noted])
    place = f"{healed.moved_to.parent.name}/{healed.moved_to.name[:12]}…"
    return Finding(what=what, state="repaired", detail=f"set aside as {place}; its step runs again; {of}")


def _how_to_make(ref: ArtifactRef, run_id: str) -> str:
    pipeline = run_id.rpartition("-")[0]
    return f"its artifact {ref.short} is not in the store: filiera run {pipeline} makes it again"
