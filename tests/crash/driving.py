"""Drives a run of a project in this process and tells each event when a listener is told, one line each.

python -m tests.crash.driving run|resume ROOT PIPELINE|RUN
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from filiera.core.events import Event
from filiera.core.runstate import RunState
from filiera.project import launch
from filiera.project.project import Project
from tests.crash.soundness import line_of


class Teller:
    """A listener that passes on what it hears."""

    def begins(self, log_dir: Path) -> None: ...

    def waits(self, state: RunState) -> None: ...

    def says(self, line: str) -> None: ...

    def __call__(self, event: Event, state: RunState) -> None:
        os.write(1, line_of(event).encode())


def main() -> int:
    verb, root, what = sys.argv[1:]
    project = Project.open(Path(root))
    if verb == "resume":
        run = launch.resume(project, what, listener=Teller())
    else:
        run = launch.start(project, what, {}, listener=Teller())
    os.write(1, f"ended {run.run_id} as {run.status}\n".encode())
    project.close()
    return 0 if run.status == "succeeded" else 1


if __name__ == "__main__":
    sys.exit(main())
