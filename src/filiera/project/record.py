"""What a run records of what it is made from: enough to rebuild code and environment, and to say what was different.

Read when a run starts, not when it ends: files that are edited meanwhile are not what it ran. What costs most is asking
git, a process of 5 ms, and another one when files differ from the commit: ``begin`` asks while the run is planned.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from filiera.core.distributions import versions_in
from filiera.core.graph import Graph
from filiera.core.value import dataclass
from filiera.ports import BlobStore, CodeHistory
from filiera.project import plugins
from filiera.project.assemble import Assembled
from filiera.project.project import Project

ASKED_AGAIN_AFTER_S = 1.0
"""Runs that one process starts within so long share one answer of git: code that is imported stays as it is."""

_SEEDS = frozenset({"seed", "random_state", "random_seed"})
_BLOBS = ("changes", "distributions")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What git said, and when on the monotonic clock."""

    at: float
    facts: Mapping[str, Any]


_Place = tuple[Path, Path]
_answers: dict[_Place, _Answer] = {}
_asked: dict[_Place, CodeHistory] = {}


def begin(project: Project) -> None:
    """Ask git for the state of the project's code now; ``made_from`` collects the answer."""
    place = project.config.root, project.store
    if place not in _asked and not _is_fresh(place):
        history = _asked[place] = plugins.code_history(*place)
        history.ask()


def made_from(project: Project, assembled: Assembled, fresh: frozenset[str]) -> dict[str, Any]:
    """Return what a run that is about to start is made from, as plain data.

    What is large is kept as blobs, named by their digests; see ``blobs_named``. Raises StoreError.
    """
    return {
        **_code(project),
        **machine(),
        "distributions": _lock(project.blobs),
        "argv": sys.argv,
        "inputs": dict(assembled.inputs),
        "fresh": sorted(fresh),
        "hash_seed": os.environ.get("PYTHONHASHSEED", ""),
        **_options(project, assembled.graph),
    }


def blobs_named(record: Mapping[str, Any]) -> list[str]:
    """Return the digests of the blobs that a run's record names: they are kept, and exported, with the run.

    >>> blobs_named({"commit": "0" * 40, "changes": "", "distributions": "ab"})
    ['ab']
    """
    return [record[name] for name in _BLOBS if record.get(name)]


def _code(project: Project) -> Mapping[str, Any]:
    """Return the commit, and the blob of what differs from it."""
    place = project.config.root, project.store
    if not _is_fresh(place):
        begin(project)
        history = _asked.pop(place)
        state = history.state()
        facts: dict[str, Any] = {
            "commit": state.commit if state else "",
            "is_dirty": state.is_dirty if state else None,
            "changes": "",
        }
        if state is not None and state.is_dirty and state.commit:
            changes = history.changes()
            if changes is not None:
                facts |= {"changes": _kept(project.blobs, changes.patch), "left_out": list(changes.left_out)}
        _answers[place] = _Answer(monotonic(), facts)
    return _answers[place].facts


def _is_fresh(place: _Place) -> bool:
    answer = _answers.get(place)
    return answer is not None and monotonic() < answer.at + ASKED_AGAIN_AFTER_S


def _lock(blobs: BlobStore) -> str:
    return _kept(blobs, _lock_content(tuple(sys.path)))


@functools.cache
def _lock_content(path: tuple[str, ...]) -> bytes:
    return "".join(f"{line}\n" for line in versions_in(path)).encode()


def _kept(blobs: BlobStore, content: bytes) -> str:
    return blobs.put(content)  # though it is there: that renews its time, and clean-up leaves it alone


@functools.cache
def machine() -> Mapping[str, Any]:
    """Return what the results of a run may depend on beside its code and distributions: Python, system, processor."""
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "platform": " ".join(os.uname()[i] for i in (0, 2, 4)),
        "filiera": str(sys.modules["filiera"].__version__),
        "processor": _processor(),
        "processors": os.cpu_count(),
    }


def _processor() -> str:
    """Return the model of the processor; '' when the system does not say it in a file."""
    try:
        with Path("/proc/cpuinfo").open() as file:
            text = file.read(4096)
    except OSError:
        return ""
    line = next((line for line in text.splitlines() if line.startswith("model name")), "")
    return line.partition(":")[2].strip()


def _options(project: Project, graph: Graph) -> dict[str, Any]:
    """Return the seeds that steps are given, by ``step.parameter``, and which environments of their own they have."""
    seeds: dict[str, Any] = {}
    environments: dict[str, str] = {}
    for node in graph.nodes:
        if node.step.options.env:
            environments[node.step.options.env] = ""
        for name in _SEEDS & node.arguments.keys():
            if isinstance(node.arguments[name], int | None):
                seeds[f"{node.name}.{name}"] = node.arguments[name]
    environments = {file: project.environments.digest_of(file) for file in environments}
    return {"seeds": seeds, "environments": environments}
