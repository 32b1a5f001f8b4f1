"""A worker process for tests: inputs and outputs are plain values that travel inline."""

from filiera.engine.worker import work
from tests.engine.plain_artifacts import PlainArtifacts


def main() -> None:
    work(PlainArtifacts())


if __name__ == "__main__":
    main()
