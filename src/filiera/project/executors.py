"""The executors a profile may name, put together with what their steps need."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from filiera.engine.artifacts import Artifacts
from filiera.ports import Executor
from filiera.project.worker import PATH_VARIABLE, run_worker


def inline_executor(artifacts: Artifacts, log_dir: Path) -> Executor:
    """Return the executor that runs steps in this process."""
    from filiera.adapters.inline import InlineExecutor
    from filiera.engine.execute import execute_here

    return InlineExecutor(functools.partial(execute_here, artifacts=artifacts), log_dir=log_dir)


def process_executor(root: Path, store: Path, workers: int, log_dir: Path) -> Executor:
    """Return the executor that runs steps in warm worker processes."""
    from filiera.adapters.processes import ProcessExecutor

    environment = {**os.environ, PATH_VARIABLE: os.pathsep.join(sys.path)}
    return ProcessExecutor(
        command=[sys.executable, "-m", "filiera.project.worker", str(root), str(store)],
        workers=workers,
        log_dir=log_dir,
        environment=environment,
        fork_main=functools.partial(run_worker, root, store),
    )
