"""The executors a profile may name, put together with what their steps need."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path

from filiera.engine.artifacts import Artifacts
from filiera.ports import Executor
from filiera.project.worker import PATH_VARIABLE, WorkerPlace, checkpoints, curve_files, run_worker

_ALLOCATOR = {"_RJEM_MALLOC_CONF": "narenas:1,dirty_decay_ms:100"}
"""Has the allocator inside Polars give freed memory back soon: measured on tables of 320 MB, a quarter less is held."""


def inline_executor(artifacts: Artifacts, log_dir: Path, *, store: Path | None = None) -> Executor:
    """Return the executor that runs steps in this process; what they save and log is in *store*, nowhere without it."""
    from filiera.adapters.inline import InlineExecutor
    from filiera.engine.execute import execute_here

    kept = None if store is None else checkpoints(store, artifacts)
    curves = None if store is None else curve_files(store)
    execute = functools.partial(execute_here, artifacts=artifacts, checkpoints=kept, curves=curves)
    return InlineExecutor(execute, log_dir=log_dir)


def process_executor(
    place: WorkerPlace, *, workers: int, log_dir: Path, command_for: CommandFor | None = None
) -> Executor:
    """Return the executor that runs steps in warm worker processes.

    Args:
        place: What they have to know.
        workers: How many processes at most.
        log_dir: Where steps' output is kept.
        command_for: Returns the command that starts a worker process in the environment with a digest. Without it,
            there are no environments but this one.
    """
    from filiera.adapters.processes import Handover, ProcessExecutor

    def command(env: str) -> Sequence[str]:
        if not env:
            return [sys.executable, "-m", "filiera.project.worker", *place.words]
        assert command_for is not None
        return [*command_for(env), str(place.holder)]

    environment = {**_ALLOCATOR, **os.environ, PATH_VARIABLE: os.pathsep.join(sys.path)}
    return ProcessExecutor(
        command_for=command,
        workers=workers,
        log_dir=log_dir,
        environment=environment,
        fork_main=functools.partial(run_worker, place),
        follows=bool(place.holder),
        handover=Handover(_surroundings(place, environment), str(place.holder)),
    )


def _surroundings(place: WorkerPlace, environment: Mapping[str, str]) -> Hashable:
    """Return what workers cannot change once they have begun: project, environment, and the store they have open."""
    files = [place.store, *(place.store / name for name in ("records.sqlite", "flights"))]
    opened = [(stat.st_dev, stat.st_ino) for stat in map(Path.stat, filter(Path.exists, files))]
    return place.root, place.store, *opened, *sorted(environment.items())


CommandFor = Callable[[str], Sequence[str]]
