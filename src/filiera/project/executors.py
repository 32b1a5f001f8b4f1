"""The executors a profile may name, put together with what their steps need."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from filiera.engine.artifacts import Artifacts
from filiera.ports import Executor
from filiera.project.worker import PATH_VARIABLE, checkpoints, run_worker


def inline_executor(artifacts: Artifacts, log_dir: Path, *, store: Path | None = None) -> Executor:
    """Return the executor that runs steps in this process; their checkpoints are in *store*, nowhere without it."""
    from filiera.adapters.inline import InlineExecutor
    from filiera.engine.execute import execute_here

    kept = None if store is None else checkpoints(store, artifacts)
    return InlineExecutor(functools.partial(execute_here, artifacts=artifacts, checkpoints=kept), log_dir=log_dir)


def process_executor(
    root: Path, store: Path, workers: int, log_dir: Path, *, holder: int = 0, command_for: CommandFor | None = None
) -> Executor:
    """Return the executor that runs steps in warm worker processes.

    Args:
        root: The project's folder.
        store: The folder of its store.
        workers: How many processes at most.
        log_dir: Where steps' output is kept.
        holder: In whose name workers take the keys of steps that they go on with by themselves: ``holder`` of the
            driver's FlightLocks of ``store / "flights"``. 0: they go on with none.
        command_for: Returns the command that starts a worker process in the environment with a digest. Without it,
            there are no environments but this one.
    """
    from filiera.adapters.processes import ProcessExecutor

    own = [sys.executable, "-m", "filiera.project.worker"]
    places = [str(root), str(store), str(holder)]

    def command(env: str) -> Sequence[str]:
        if not env:
            return [*own, *places]
        assert command_for is not None
        return [*command_for(env), str(holder)]

    return ProcessExecutor(
        command_for=command,
        workers=workers,
        log_dir=log_dir,
        environment={**os.environ, PATH_VARIABLE: os.pathsep.join(sys.path)},
        fork_main=functools.partial(run_worker, root, store, holder),
        follows=bool(holder),
    )


CommandFor = Callable[[str], Sequence[str]]
