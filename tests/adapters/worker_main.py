"""A worker process for tests: inputs and outputs are plain values that travel inline; every key is free."""

import os
from pathlib import Path

from filiera.engine.checkpoints import Checkpoints
from filiera.engine.worker import work
from tests.engine.plain_artifacts import PlainArtifacts

CHECKPOINTS = "FILIERA_TEST_CHECKPOINTS"


def main() -> None:
    artifacts = PlainArtifacts()
    folder = os.environ.get(CHECKPOINTS)
    checkpoints = Checkpoints(Path(folder), artifacts) if folder else None
    work(artifacts, is_free=lambda key: True, checkpoints=checkpoints)


if __name__ == "__main__":
    main()
