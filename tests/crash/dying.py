"""Runs a pipeline of a project in this process, which kills itself right before or after a write to the store.

python -m tests.crash.dying ROOT before|after NUMBER run|resume PIPELINE|RUN
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from filiera.adapters.folder_blobs import FolderBlobs
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.project import launch
from filiera.project.project import Project


class Fate:
    """Counts writes, and ends the process at one of them."""

    def __init__(self, moment: str, number: int) -> None:
        self.moment, self.number = moment, number
        self.seen = 0

    def wrap(self, owner: type, name: str) -> None:
        """Let a method of a store be counted."""
        former = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            self.seen += 1
            self.meets("before")
            result = former(*args, **options)
            self.meets("after")
            return result

        setattr(owner, name, counted)

    def meets(self, moment: str) -> None:
        if (self.moment, self.number) == (moment, self.seen):
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    root, moment, number, verb, what = sys.argv[1:]
    fate = Fate(moment, int(number))
    fate.wrap(SqliteRecords, "write")
    for name in ("put", "adopt"):
        fate.wrap(FolderBlobs, name)
    project = Project.open(Path(root))
    run = launch.resume(project, what) if verb == "resume" else launch.start(project, what, {})
    print(f"{run.status} after {fate.seen} writes")


if __name__ == "__main__":
    main()
