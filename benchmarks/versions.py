"""Measure 1,000 versions of one model side by side: ``python benchmarks/versions.py``.

A pipeline trains a small tree with 1,000 seeds (``--versions`` for another number) and publishes each with its
evaluation, gates and signature, by ordinary runs. Then they are read; read and compared in a table in memory, with all
metrics, intervals, parameters, dataset version, aliases and gates, sorted by one metric; and all that is printed, as
``filiera versions MODEL --columns all --sort METRIC`` does. Figures are medians of processor time, which is all that it
takes when the machine has nothing else to do, in a process that has done it once.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from guessing import write_project

ROUNDS = 15
LIMIT_MS = 100.0
TRAINING = """
@step(stage="train")
def fit(rows: pl.DataFrame, depth: int, seed: int, splitter: str, leaf: float) -> DecisionTreeClassifier:
    tree = DecisionTreeClassifier(max_depth=depth, random_state=seed, splitter=splitter, min_samples_leaf=leaf)
    return tree.fit(rows.select("a", "b"), rows["big"].to_numpy())

GATES = [Gate("accuracy", at_least=0.3), Gate("f1_macro", not_worse_than="champion", margin=0.9)]

@pipeline(kind="model", publishes=Model("guess", task="classification", gates=GATES, may_share_rows=True))
def train(rows: pl.DataFrame = Dataset("pairs@latest"), seed: int = 0, depth: int = 5):
    model = fit(rows, depth, seed, "random", 0.001)
    return model, assess(model, rows)
"""


def fill(folder: Path, versions: int) -> None:
    """Make the project, and publish so many versions of its model."""
    write_project(folder, "workers = 2", TRAINING)
    sys.path.insert(0, str(folder))
    import flows

    flows.pairs.run()
    runs = flows.train.run_many([{"seed": seed, "depth": 1 + seed % 8} for seed in range(versions)])
    assert {run.status for run in runs} == {"succeeded"}


def measure(versions: int) -> dict[str, float]:
    """Return the milliseconds that so many versions take to be read, to be compared, and to be printed."""
    from filiera.cli.main import main as filiera
    from filiera.cli.versions_command import compared_versions
    from filiera.project.project import Project

    verb = ["versions", "guess", "--columns", "all", "--sort", "f1_macro", "--limit", "10000"]
    with tempfile.TemporaryDirectory(prefix="filiera-versions-") as name, contextlib.chdir(name):
        fill(Path(name), versions)
        project = Project.open()
        times: dict[str, list[float]] = {"read": [], "compared": [], "printed": []}
        for _ in range(ROUNDS):
            marks = [time.process_time()]
            found = project.versions.find(kind="model", name="guess", limit=10_000)
            marks.append(time.process_time())
            compared = compared_versions(project, found, columns="all", sort="f1_macro")
            table = [compared.values(version) for version in compared.found]
            marks.append(time.process_time())
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                assert filiera(verb) == 0
            times["printed"].append(time.process_time() - marks[2])
            times["read"].append(marks[1] - marks[0])
            times["compared"].append(marks[2] - marks[0])
        project.close()
    assert len(printed.getvalue().splitlines()) == len(table) + 1 == versions + 1
    medians = {f"{kind}_ms": 1e3 * statistics.median(each[1:]) for kind, each in times.items()}
    return {"versions": len(table), "columns": len(table[0]), **medians}


def main() -> int:
    """Measure and print; return 1 when it takes too long."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--versions", type=int, default=1000, help="how many the model has (default: 1000)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = measure(options.versions)
    if options.json:
        print(json.dumps(found))
    else:
        print(f"{found['versions']:,} versions with {found['columns']} metrics and parameters")
        print(", ".join(f"{kind} in {found[f'{kind}_ms']:.1f} ms" for kind in ("read", "compared", "printed")))
    return 0 if found["compared_ms"] <= LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
