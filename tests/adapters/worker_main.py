"""A worker process for tests: inputs and outputs are plain values that travel inline; every key is free."""

import os
from pathlib import Path

from filiera.engine.checkpoints import Checkpoints
from filiera.engine.worker import work
from tests.engine.plain_artifacts import PlainArtifacts

CHECKPOINTS = "FILIERA_TEST_CHECKPOINTS"
TOLD = "FILIERA_TEST_TOLD"


class FreeKeys:
    """Every key is free, and was said to be so by the executor that took the worker over last."""

    def is_free(self, key: str) -> bool:
        return True

    def serve(self, told: str) -> None:
        os.environ[TOLD] = told


def main() -> None:
    artifacts = PlainArtifacts()
    folder = os.environ.get(CHECKPOINTS)
    checkpoints = Checkpoints(Path(folder), artifacts) if folder else None
    work(artifacts, keys=FreeKeys(), checkpoints=checkpoints)


if __name__ == "__main__":
    main()
