"""Measure the model pipeline beside Optuna, MLflow and bare SQLite, in one run: ``make bench-models``.

Recorded fits, studies, recorded runs, metric points and gates; everything in turns, as ``run.py`` does it. Results go
to ``benchmarks/results/models.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from measurements import goals_table, write_results
from peers import Subject
from reach import Goal
from run import HERE, Benchmark
from scenarios import Scenario, sized

_OURS = ("python", "models_with_filiera.py")
_MLFLOW = ("python", "models_with_mlflow.py")
_OPTUNA = ("python", "models_with_optuna.py")
_SIZES = ("{size}", "{start}")
_OPTUNA_PACKAGES = ("optuna", "sqlalchemy")
FITS = ("LogisticRegression", "RandomForestClassifier", "XGBClassifier", "LGBMClassifier")

SCENARIOS = (
    Scenario(name="study", size=500, small=3, titles=("study of {size} trials",)),
    Scenario(
        name="recorded",
        size=1000,
        small=3,
        titles=("a recorded run, of {size}", "a recorded run, of {size} one by one"),
        rounds=5,
    ),
    Scenario(name="points", size=200_000, small=20, titles=("a metric point", "a metric point, alone"), rounds=5),
    Scenario(name="gates", size=10_000, small=300, titles=("evaluation of {size} rows", "four gates on {size} rows")),
    Scenario(
        name="autolog",
        size=50_000,
        small=300,
        titles=tuple(f"{name}, recorded, over the bare fit" for name in FITS),
        rounds=3,
        unit="×",
    ),
)
SUBJECTS = (
    Subject(name="Filiera", commands={s.name: (*_OURS, s.name, *_SIZES) for s in SCENARIOS}),
    *(
        Subject(
            name=f"Optuna, {shown}",
            environment="optuna",
            packages=_OPTUNA_PACKAGES,
            commands={"study": (*_OPTUNA, kind, *_SIZES)},
            rounds=rounds,
        )
        for kind, shown, rounds in (("memory", "in memory", 99), ("journal", "journal", 99), ("sqlite", "SQLite", 1))
    ),
    Subject(
        name="MLflow, SQLite",
        environment="mlflow",
        packages=("mlflow",),
        commands={name: (*_MLFLOW, name, *_SIZES) for name in ("recorded", "points")},
        rounds=2,
    ),
    Subject(name="sqlite3", commands={"points": ("python", "models_with_sqlite.py", *_SIZES)}),
)


def goals(titles: dict[str, tuple[str, ...]]) -> list[Goal]:
    """Return what we want to reach; *titles* by scenario."""
    together, one_by_one = titles["recorded"]
    point, alone = titles["points"]
    return [
        Goal(title=titles["study"][0], at_most=1.0, peer="Optuna, journal"),
        Goal(title=together, at_most=1 / 20, peer="MLflow, SQLite", as_times_faster=True),
        Goal(title=one_by_one, at_most=1.0, peer="MLflow, SQLite", peer_title=together),
        Goal(title=point, at_most=1e-5),
        Goal(title=point, at_most=1.0, peer="sqlite3"),
        Goal(title=point, at_most=1.0, peer="MLflow, SQLite"),
        Goal(title=alone, at_most=1 / 100, peer="MLflow, SQLite", as_times_faster=True),
        *(Goal(title=title, at_most=1.02, unit="×") for title in titles["autolog"]),
    ]


def main() -> int:
    """Install, measure, print; 1 when one of ours could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often each thing is measured (default: 7)")
    parser.add_argument("--only", default="", help="subjects whose name contains this")
    parser.add_argument("--work", default="", help="scenarios whose name contains this")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: does everything work?")
    parser.add_argument("--dry", action="store_true", help="print the tables and write no results")
    options = parser.parse_args()
    all_scenarios = sized(SCENARIOS, is_quick=options.quick)
    scenarios = tuple(scenario for scenario in all_scenarios if options.work in scenario.name)
    subjects = [subject for subject in SUBJECTS if options.only.lower() in subject.name.lower()]
    with tempfile.TemporaryDirectory(prefix="filiera-benchmark-") as folder:
        benchmark = Benchmark(subjects, scenarios, Path(folder))
        for number in range(0 if options.quick else -1, 1 if options.quick else options.rounds):
            benchmark.round(number)
    titles = {s.name: tuple(title.format(size=f"{s.size:,}") for title in s.titles) for s in all_scenarios}
    reached = [goal.outcome(benchmark.found) for goal in goals(titles)]
    print(f"\n{goals_table(reached)}\n\n{benchmark.found.table()}")
    if not (options.dry or options.quick):
        write_results(benchmark.found, reached, HERE / "results", name="models")
    return int("Filiera" in " ".join(benchmark.found.failures))


if __name__ == "__main__":
    sys.exit(main())
