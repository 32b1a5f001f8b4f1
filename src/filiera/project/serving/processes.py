"""Processes that work for services: how they are started, and what they do first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filiera.errors import FilieraError
from filiera.project.worker import PATH_VARIABLE, take_import_path


def start_process(
    module: str, words: Mapping[str, Any], *, inherits: Sequence[int], folder: Path | None, stdout: int | None = None
) -> subprocess.Popen[bytes]:
    """Return a process in which a module beside this one does, by ``work_as_told``, what it is there for.

    Args:
        module: Its name.
        words: What it is told; small, for JSON.
        inherits: Open files that it has as well, under the same numbers.
        folder: Its current one; None: that of this process.
        stdout: An open file for what it prints, if not where this process prints.

    Raises:
        OSError: It cannot be started.
    """
    return subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.{module}", json.dumps(words)],
        cwd=folder,
        env={**os.environ, PATH_VARIABLE: os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        pass_fds=inherits,
        start_new_session=True,  # Ctrl-C is for who started it, which ends it in its own time
    )


def work_as_told(run: Callable[[dict[str, Any]], None]) -> int:
    """Run what this process was started for, with what it is told.

    Returns:
        The exit code; an error made for people is printed.
    """
    take_import_path()
    try:
        run(json.loads(sys.argv[1]))
    except FilieraError as error:
        print(f"filiera: {error}", file=sys.stderr)
        return error.exit_code
    return 0
