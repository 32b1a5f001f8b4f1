"""What a worker process is: the project's codecs and blobs, around the loop that executes tasks.

Started as ``python -m filiera.project.worker ROOT STORE`` with the driver's import path in ``FILIERA_PATH``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from filiera.engine.artifacts import Artifacts
from filiera.engine.worker import work
from filiera.project import plugins
from filiera.project.surroundings import set_project_root

PATH_VARIABLE = "FILIERA_PATH"


def run_worker(root: Path, store: Path) -> None:
    """Execute tasks for the project in *root* until the driver is gone."""
    os.environ.pop(PATH_VARIABLE, None)
    set_project_root(root)
    os.chdir(root)
    work(Artifacts(plugins.blob_store(store), plugins.find_codec, plugins.codec_named))


def main() -> None:
    """Take the places from the command line and work."""
    for place in reversed(os.environ.get(PATH_VARIABLE, "").split(os.pathsep)):
        if place and place not in sys.path:
            sys.path.insert(0, place)
    run_worker(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
