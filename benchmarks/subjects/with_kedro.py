"""Kedro: ``with_kedro.py SCENARIO SIZE START``; prints seconds inside building and running.

``memory`` keeps values in memory, which is Kedro's default and keeps nothing for later. ``files`` writes each value as
JSON, so that a further run can be asked to do only what is missing. Both call Kedro's runner, silently. ``session``
runs the same in memory as a project does: by a session, with the log that Kedro writes where nobody changes it.
"""

import logging
import sys
import textwrap
import time
from pathlib import Path

import work
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

_PROJECT = {
    "pyproject.toml": """
        [tool.kedro]
        package_name = "benchmark"
        project_name = "benchmark"
        kedro_init_version = "{version}"
        source_dir = "."
    """,
    "benchmark/__init__.py": "",
    "benchmark/settings.py": "",
    "benchmark/pipeline_registry.py": """
        from kedro.pipeline import Pipeline, node
        import work

        def register_pipelines():
            return {{
                str(steps): Pipeline([
                    node(work.add_one, f"n{{i}}" if i else "params:start", f"n{{i + 1}}", name=f"step{{i}}")
                    for i in range(steps)
                ])
                for steps in (1, {steps})
            }}
    """,
    "conf/base/parameters.yml": "start: 0\n",
    "conf/base/catalog.yml": "{{}}\n",
    "conf/local/credentials.yml": "{{}}\n",
}


def session(steps: int, start: int) -> list[float]:
    """Run a project's pipeline of one node to warm the process, then one of so many nodes."""
    import kedro
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    for name, text in _PROJECT.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(textwrap.dedent(text).format(version=kedro.__version__, steps=steps), encoding="utf-8")
    bootstrap_project(Path.cwd())
    took = 0.0
    for name, first in (("1", -1), (str(steps), start)):
        with KedroSession.create(runtime_params={"start": first}) as opened:
            before = time.perf_counter()
            results = opened.run(pipeline_names=[name])
            took = time.perf_counter() - before
    (result,) = results.values()
    assert result.load() == start + steps
    return [took]


def _chain(store: str, steps: int, start: int) -> int:
    catalog = DataCatalog({"n0": MemoryDataset(start)})
    for number in range(1, steps + 1):
        if store == "files":
            catalog[f"n{number}"] = JSONDataset(filepath=str(Path("data", str(start), f"n{number}.json")))
        elif number == steps:
            catalog[f"n{number}"] = MemoryDataset()
    nodes = [node(work.add_one, f"n{i}", f"n{i + 1}", name=f"step{i}") for i in range(steps)]
    SequentialRunner().run(Pipeline(nodes), catalog, only_missing_outputs=store == "files")
    result: int = catalog[f"n{steps}"].load()
    return result


def chain(store: str, steps: int, start: int) -> list[float]:
    """Run a pipeline of one node to warm the process, then one of so many, each with what the one before returned."""
    _chain("memory", 1, -1)
    before = time.perf_counter()
    result = _chain(store, steps, start)
    took = time.perf_counter() - before
    assert result == start + steps
    return [took]


def fan_out(width: int, start: int) -> list[float]:
    """Run a pipeline of so many nodes that do not depend on each other, in memory, in this process."""
    before = time.perf_counter()
    catalog = DataCatalog({f"n{i}": MemoryDataset(start + i) for i in range(width)})
    nodes = [node(work.add_one, f"n{i}", f"m{i}", name=f"step{i}") for i in range(width)]
    SequentialRunner().run(Pipeline(nodes), catalog)
    return [time.perf_counter() - before]


def one() -> list[float]:
    """Run a pipeline of one node."""
    SequentialRunner().run(Pipeline([node(work.note_start, "n0", "n1")]), DataCatalog({"n0": MemoryDataset(0)}))
    return []


def main() -> None:
    """Run what is asked for."""
    scenario, size, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if scenario == "session":
        print(*session(size, start))
        return
    logging.disable(logging.INFO)
    if scenario == "one":
        print(*one())
    elif scenario == "fan-out":
        print(*fan_out(size, start))
    else:
        print(*chain(scenario, size, start))


if __name__ == "__main__":
    main()
