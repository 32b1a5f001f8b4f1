"""What a worker process is: the project's codecs and blobs, around the loop that executes tasks.

Started as ``python -m filiera.project.worker ROOT STORE [HOLDER]`` with the driver's import path in ``FILIERA_PATH``.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.engine.artifacts import Artifacts
from filiera.engine.checkpoints import Checkpoints
from filiera.engine.worker import work
from filiera.errors import StoreError
from filiera.project import plugins
from filiera.project.surroundings import set_project_root

if TYPE_CHECKING:
    from filiera.adapters.flight_locks import FlightLocks
    from filiera.ports import MetadataStore

PATH_VARIABLE = "FILIERA_PATH"


def run_worker(root: Path, store: Path, holder: int = 0) -> None:
    """Execute tasks for the project in *root* until the driver is gone; *holder*: see ``process_executor``."""
    os.environ.pop(PATH_VARIABLE, None)
    set_project_root(root)
    os.chdir(root)
    artifacts = Artifacts(plugins.blob_store(store), plugins.find_codec, plugins.codec_named)
    is_free = Keys(store, holder).is_free if holder else None
    work(artifacts, is_free=is_free, checkpoints=checkpoints(store, artifacts))


def checkpoints(store: Path, artifacts: Artifacts) -> Checkpoints:
    """Return the checkpoints of a store."""
    return Checkpoints(store / "checkpoints", artifacts)


class Keys:
    """The cache keys of a store, as a worker asks for them."""

    def __init__(self, store: Path, holder: int) -> None:
        self._store, self._holder = store, holder

    @functools.cached_property
    def _flights(self) -> FlightLocks:
        from filiera.adapters.flight_locks import FlightLocks

        return FlightLocks(self._store / "flights", holder=self._holder)

    @functools.cached_property
    def _records(self) -> MetadataStore:
        return plugins.metadata_store(self._store)

    def is_free(self, key: str) -> bool:
        """Take *key* for the driver and return True, unless its result is known or somebody computes it."""
        try:
            if not self._flights.try_take(key):
                return False
            # Looked up while it is taken: who had it until now has recorded the result before letting go.
            if not self._records.read("try_cache_entry", {"key": key}):
                return True
            self._flights.release(key)
        except (StoreError, OSError) as error:
            print(f"The driver decides on the next step: {error}", file=sys.stderr)
        return False


def main() -> None:
    """Take the places from the command line and work."""
    for place in reversed(os.environ.get(PATH_VARIABLE, "").split(os.pathsep)):
        if place and place not in sys.path:
            sys.path.insert(0, place)
    root, store, *rest = sys.argv[1:]
    run_worker(Path(root), Path(store), int(rest[0]) if rest else 0)


if __name__ == "__main__":
    main()
