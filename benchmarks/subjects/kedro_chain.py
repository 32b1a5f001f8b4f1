"""Kedro: ``kedro_chain.py memory|files STEPS START``, or ``one``; prints seconds inside building and running.

``memory`` keeps values in memory, which is Kedro's default and keeps nothing for later. ``files`` writes each value as
JSON, so that a further run can be asked to do only what is missing.
"""

import logging
import sys
import time
from pathlib import Path

import trivial
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

logging.disable(logging.INFO)


def chain(store: str, steps: int, start: int) -> int:
    """Run a pipeline of so many nodes, one after the other, and return the last value."""
    catalog = DataCatalog({"n0": MemoryDataset(start)})
    for number in range(1, steps + 1):
        if store == "files":
            catalog[f"n{number}"] = JSONDataset(filepath=str(Path("data", str(start), f"n{number}.json")))
        elif number == steps:
            catalog[f"n{number}"] = MemoryDataset()
    nodes = [node(trivial.add_one, f"n{i}", f"n{i + 1}", name=f"step{i}") for i in range(steps)]
    SequentialRunner().run(Pipeline(nodes), catalog, only_missing_outputs=store == "files")
    result: int = catalog[f"n{steps}"].load()
    return result


def main() -> None:
    """Run the chain once to warm the process, then for the measurement."""
    if sys.argv[1] == "one":
        nodes = [node(trivial.note_start, "n0", "n1")]
        SequentialRunner().run(Pipeline(nodes), DataCatalog({"n0": MemoryDataset(0)}))
        return
    store, steps, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    chain("memory", 1, -1)
    before = time.perf_counter()
    result = chain(store, steps, start)
    took = time.perf_counter() - before
    assert result == start + steps
    print(took)


if __name__ == "__main__":
    main()
