"""Measure studies beside Optuna's storages, and logged metrics beside bare SQLite: ``python benchmarks/tuning.py``.

Everything in turns, one process after another; figures are medians over the rounds. The trials do nothing: measured is
what a study costs by itself. MLflow is measured where its environment is there (``--mlflow PYTHON``).
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = '[project]\nname = "b"\nflows = ["flows"]\n[profile.local]\nworkers = 2\n'
FLOWS = """
from dataclasses import dataclass
from typing import Annotated
from filiera import log_metric, pipeline, step
from filiera.model.tune import Float, Search, tune

@dataclass(frozen=True)
class Point:
    x: Annotated[float, Float(-10, 10)]
    y: Annotated[float, Float(-10, 10)]

@step
def bowl(point: Point) -> float:
    return (point.x - 2) ** 2 + point.y ** 2

@pipeline(kind="model")
def study(trials: int, seed: int):
    best, found = tune(bowl, Point, Search(trials=trials, sampler="random", seed=seed, goal="minimize"))
    return found

@step
def five(a: int, b: int, c: float, d: str, e: bool) -> int:
    for name in ("m0", "m1", "m2", "m3", "m4"):
        log_metric(name, a * 0.5)
    return a

@pipeline(kind="model")
def recorded(a: int, b: int = 1, c: float = 0.5, d: str = "x", e: bool = True):
    return five(a, b, c, d, e)

@step(cache=False)
def points(count: int) -> float:
    import time
    start = time.perf_counter()
    for number in range(count):
        log_metric("loss", number * 0.001, number)
    return time.perf_counter() - start

@pipeline(kind="model")
def curve(count: int):
    return points(count)
"""
MLFLOW = """
import sys, time, mlflow
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1]); mlflow.set_experiment("b")
with mlflow.start_run(): mlflow.log_metric("warm", 1.0)
count = int(sys.argv[2]); start = time.perf_counter()
for n in range(count):
    with mlflow.start_run():
        mlflow.log_params({"a": n, "b": 1, "c": 0.5, "d": "x", "e": True})
        mlflow.log_metrics({f"m{k}": n * 0.5 for k in range(5)})
print(time.perf_counter() - start)
"""


def ours(folder: Path, verb: str, size: int, seed: int) -> float:
    """Return the seconds of a run call in a process of its own, after one that warms the workers."""
    (folder / "filiera.toml").write_text(PROJECT)
    (folder / "flows.py").write_text(FLOWS)
    done = subprocess.run(
        [sys.executable, __file__, "--inside", verb, str(size), str(seed)], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout.split()[-1])


def inside(verb: str, size: int, seed: int) -> None:
    """Do one measurement in the project of the current folder, and print it."""
    sys.path.insert(0, ".")
    import flows

    flows.study.run(trials=2, seed=seed + 1_000_000)
    start = time.perf_counter()
    if verb == "study":
        run = flows.study.run(trials=size, seed=seed)
        assert len(run.value("tune", 1).trials) == size
    elif verb == "runs":
        runs = flows.recorded.run_many([{"a": seed * size + n} for n in range(size)])
        assert {run.status for run in runs} == {"succeeded"}
    elif verb == "compare":
        compare(size)
        return
    else:
        run = flows.curve.run(count=size)
        took = time.perf_counter() - start
        print(f"in the step alone {size / run.value('points'):,.0f}/s", file=sys.stderr)
        print(took)
        return
    print(time.perf_counter() - start)


def compare(size: int) -> None:
    """Print the seconds that the last values of five metrics of so many recorded runs take to be read."""
    from filiera.project.listing import Wanted, find_runs
    from filiera.project.metrics import summaries_of_run
    from filiera.project.project import Project

    project = Project.open()
    found = find_runs(project, Wanted(pipeline="recorded"), limit=size).rows
    start = time.perf_counter()
    rows = find_runs(project, Wanted(pipeline="recorded"), limit=size).rows
    values = [summaries_of_run(project, row["run_id"])["m3"].last for row in rows]
    took = time.perf_counter() - start
    assert len(values) == len(found) == size
    print(took)


def optuna_study(kind: str, folder: Path, trials: int, seed: int) -> float:
    """Return the seconds of a study of as many trivial trials with one of Optuna's storages."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = None
    if kind == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(folder / f"journal-{seed}"))
        storage = optuna.storages.JournalStorage(backend)
    elif kind == "SQLite":
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder / f'{seed}.db'}")
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=seed))
    start = time.perf_counter()
    study.optimize(
        lambda t: (t.suggest_float("x", -10, 10) - 2) ** 2 + t.suggest_float("y", -10, 10) ** 2, n_trials=trials
    )
    return time.perf_counter() - start


def bare_sqlite(folder: Path, points: int) -> float:
    """Return the seconds of as many inserts, each a transaction, in the fastest setting that survives a kill."""
    base = sqlite3.connect(folder / "bare.db", isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=OFF")
    base.execute("CREATE TABLE IF NOT EXISTS metric (name TEXT, step INTEGER, value REAL, at REAL)")
    start = time.perf_counter()
    for number in range(points):
        base.execute("INSERT INTO metric VALUES (?, ?, ?, ?)", ("loss", number, number * 0.001, time.time()))
    took = time.perf_counter() - start
    base.close()
    return took


def mlflow_runs(python: str, folder: Path, runs: int) -> float:
    """Return the seconds of as many runs with five parameters and five metrics in MLflow on SQLite."""
    done = subprocess.run(
        [python, "-c", MLFLOW, str(folder / "mlflow.db"), str(runs)], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])
    return float(done.stdout.split()[-1])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--mlflow", default="", metavar="PYTHON", help="an interpreter that has MLflow")
    parser.add_argument("--only", default="", metavar="WORD", help="only what has this word in its title")
    parser.add_argument("--slow", action="store_true", help="Optuna on SQLite too")
    parser.add_argument("--inside", nargs=3, metavar=("WHAT", "SIZE", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options.inside[0], int(options.inside[1]), int(options.inside[2]))
        return 0
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="filiera-tuning-") as name:
        folder = Path(name)
        work = folder / "ours"
        work.mkdir()
        trials, runs, points = options.trials, options.runs, options.points
        acts: dict[str, Callable[[int], float]] = {
            f"study of {trials} trials: Filiera": lambda n: ours(work, "study", trials, n),
            f"study of {trials} trials: Optuna, journal": lambda n: optuna_study("journal", folder, trials, n),
            f"study of {trials} trials: Optuna, memory": lambda n: optuna_study("memory", folder, trials, n),
            f"{runs} recorded runs: Filiera": lambda n: ours(work, "runs", runs, n),
            f"{runs} runs compared: Filiera": lambda n: ours(work, "compare", runs, n),
            f"{points} points: Filiera": lambda n: ours(work, "points", points, n),
            f"{points} points: bare sqlite3": lambda n: bare_sqlite(folder, points),
        }
        if options.slow:
            acts[f"study of {trials} trials: Optuna, SQLite"] = lambda n: optuna_study("SQLite", folder, trials, n)
        if options.mlflow:
            few = max(runs // 10, 1)
            acts[f"{few} recorded runs: MLflow, SQLite"] = lambda n: mlflow_runs(options.mlflow, folder, few)
        for number in range(options.rounds):
            for title, act in acts.items():
                if options.only not in title:
                    continue
                found.setdefault(title, []).append(act(number))
                print(f"round {number + 1}: {title}: {found[title][-1]:.3f} s", flush=True)
    print(json.dumps({title: round(statistics.median(values), 4) for title, values in found.items()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
