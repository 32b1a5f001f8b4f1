"""What a worker process is: the project's codecs and blobs, around the loop that executes tasks.

Started as ``python -m filiera.project.worker ROOT STORE [HOLDER]`` with the driver's import path in ``FILIERA_PATH``.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.core.value import dataclass
from filiera.engine.artifacts import Artifacts
from filiera.engine.checkpoints import Checkpoints
from filiera.engine.curves import CurveFiles
from filiera.engine.worker import work
from filiera.errors import StoreError
from filiera.project import plugins
from filiera.project.surroundings import set_project_root

if TYPE_CHECKING:
    from filiera.adapters.flight_locks import FlightLocks
    from filiera.ports import MetadataStore

PATH_VARIABLE = "FILIERA_PATH"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerPlace:
    """What a worker process has to know."""

    root: Path  #: the project's folder
    store: Path  #: the folder of its store
    holder: int = 0
    """In whose name it takes the keys of steps that it goes on with by itself, and 0 when it goes on with none: the
    ``holder`` of the driver's FlightLocks of ``store / "flights"``."""

    @property
    def words(self) -> list[str]:
        """Return it as the last words of a command."""
        return [str(self.root), str(self.store), str(self.holder)]


def run_worker(place: WorkerPlace) -> None:
    """Execute tasks for a project until the driver is gone."""
    os.environ.pop(PATH_VARIABLE, None)
    set_project_root(place.root)
    os.chdir(place.root)
    artifacts = Artifacts(plugins.blob_store(place.store), plugins.find_codec, plugins.codec_named)
    keys = Keys(place.store, place.holder) if place.holder else None
    work(artifacts, keys=keys, checkpoints=checkpoints(place.store, artifacts), curves=curve_files(place.store))


def checkpoints(store: Path, artifacts: Artifacts) -> Checkpoints:
    """Return the checkpoints of a store."""
    return Checkpoints(store / "checkpoints", artifacts)


def curve_files(store: Path) -> CurveFiles:
    """Return the metrics that steps of a store log."""
    return CurveFiles(store / "metrics")


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

    def serve(self, told: str) -> None:
        """Take keys from now on for the holder of this number."""
        self._holder = int(told)
        self._flights.holder = self._holder

    def is_free(self, key: str) -> bool:
        """Take *key* for the driver and return True, unless its result is known or somebody computes it."""
        is_taken = False
        try:
            is_taken = self._flights.try_take(key)
            # Looked up while it is taken: who had it until now has recorded the result before letting go.
            if is_taken and not self._records.read("try_cache_entry", {"key": key}):
                return True
        except (StoreError, OSError) as error:
            print(f"The driver decides on the next step: {error}", file=sys.stderr)
        if is_taken:
            self._flights.release(key)
        return False


def take_import_path() -> None:
    """Find modules where the process that started this one does."""
    for place in reversed(os.environ.pop(PATH_VARIABLE, "").split(os.pathsep)):
        if place and place not in sys.path:
            sys.path.insert(0, place)


def main() -> None:
    """Take the places from the command line and work."""
    take_import_path()
    root, store, *rest = sys.argv[1:]
    run_worker(WorkerPlace(root=Path(root), store=Path(store), holder=int(rest[0]) if rest else 0))


if __name__ == "__main__":
    main()
