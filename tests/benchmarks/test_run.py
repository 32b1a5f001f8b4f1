"""The benchmark runs: what it measures must go on working between releases, when nobody looks at the figures."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.architecture.tree import ROOT


def test_the_benchmark_measures_us() -> None:
    """With tiny sizes and without peers, everything of ours has a figure, and nothing is written."""
    results = {file: file.read_bytes() for file in (ROOT / "benchmarks" / "results").iterdir()}
    command = [sys.executable, "benchmarks/run.py", "--quick", "--only", "filiera"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for work in (
        "--help",
        "one step",
        "chain of 3 steps",
        "fan-out to 5",
        "table of 0 MB",
        "2 runs",
        "8 fits",
        "3 versions",
    ):
        assert f"\n| {work}" in done.stdout
    assert {file: file.read_bytes() for file in (ROOT / "benchmarks" / "results").iterdir()} == results


def test_the_benchmark_of_models_measures_us() -> None:
    """The same of studies, recorded runs, metric points, gates and fits."""
    command = [sys.executable, "benchmarks/models.py", "--quick", "--only", "filiera"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for work in ("study of 3 trials", "a recorded run, of 3 one by one", "a metric point, alone", "four gates", "LGBM"):
        assert f"\n| {work}" in done.stdout


def test_the_queries_of_a_store_are_measured() -> None:
    """Its rows are written past our own code, so that a column that is new must be told to it."""
    command = [sys.executable, "benchmarks/store_scale.py", "--runs", "100", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout or "{}")
    assert {"reads", "writes"} <= found.keys(), done.stderr
    assert min(figure["median_ms"] for figure in found["reads"]) >= 0
