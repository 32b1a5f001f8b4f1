from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import polars as pl
import pytest

from tests.cli.command import done, filiera, make_project, read_until, started
from tests.cli.conftest import Ask

CODE = '''\
"""Steps that log."""

import math
import os

from filiera import Metric, Metrics, checkpoint, log_metric, pipeline, step


@step(stage="train")
def fit(rate: float, epochs: int) -> float:
    loss = 1.0
    for epoch in range(epochs):
        loss *= 1 - rate
        log_metric("loss", loss, epoch)
        log_metric("val/loss", 2 * loss if epoch != 1 else math.nan, epoch)
    return loss


@step(stage="evaluate")
def evaluate(loss: float) -> Metrics:
    accuracy = Metric(name="accuracy", value=1 - loss, low=0, high=1, n=10, method="wilson")
    return Metrics((accuracy,), task="classification")


@pipeline(kind="model")
def train(rate: float = 0.5, epochs: int = 4):
    """Train."""
    return evaluate(fit(rate, epochs))


@step
def slow(gate: str) -> int:
    start = checkpoint.load(0)
    for number in range(start, 6):
        log_metric("loss", number + start, number)
        checkpoint.save(number)
        if number == 3 and not start:
            print("pid", os.getpid(), flush=True)
            with open(gate) as pipe:
                pipe.read()
    return start


@pipeline(kind="data")
def slowly(gate: str = "gate"):
    """Wait in the middle."""
    return slow(gate)
'''


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with train-1, the same from the cache as train-2, and train-3 with another rate."""
    folder = make_project(tmp_path_factory.mktemp("trained") / "small", code=CODE)
    done("run", "train", cwd=folder)
    done("run", "train", cwd=folder)
    done("run", "train", "--rate", "0.25", cwd=folder)
    return folder


def test_metrics_of_a_run(trained: Path, ask: Ask) -> None:
    """A line per curve: how many points, the last, the least, the greatest; also what an evaluation returned."""
    lines = ask("metrics", "train-1", cwd=trained).out.splitlines()
    assert lines[0].split() == ["STEP", "METRIC", "POINTS", "LAST", "LEAST", "GREATEST", "CURVE"]
    assert [line.split() for line in lines[1:]] == [
        ["fit", "loss", "4", "0.0625", "0.0625", "0.5", "█▄▂▁"],
        ["fit", "val/loss", "4", "0.125", "0.125", "1", "█×▂▁"],
        ["evaluate", "accuracy", "1", "0.9375", "0.9375", "0.9375", "▁"],
    ]


def test_cached_steps_show_the_curves_of_who_computed_them(trained: Path, ask: Ask) -> None:
    """The second run computed nothing, and has the same curves, to the time."""
    first, second = (ask("metrics", run, "--json", cwd=trained).data for run in ("train-1", "train-2"))
    assert [{**one, "run": ""} for one in first] == [{**one, "run": ""} for one in second]
    assert first[0]["steps"] == [0, 1, 2, 3]
    assert first[1]["values"] == [1.0, None, 0.25, 0.125]


def test_one_metric_is_plotted(trained: Path, ask: Ask) -> None:
    """And several runs stand below each other."""
    answer = ask("metrics", "train-1", "train-3/fit", "--name", "loss", cwd=trained)
    assert "train-1/fit  loss\n" in answer.out
    assert "train-3/fit  loss\n" in answer.out
    assert answer.out.count("┤") == 24


def test_curves_are_written_to_files(trained: Path, tmp_path: Path, ask: Ask) -> None:
    """As a page with a chart per metric, and as tables, in which NaN is a value."""
    page = tmp_path / "metrics.html"
    ask("metrics", "train-1", "train-3", "--open", str(page), cwd=trained)
    assert page.read_text().count("<svg") == 3
    ask("metrics", "train-1", "--open", str(tmp_path / "metrics.parquet"), cwd=trained)
    table = pl.read_parquet(tmp_path / "metrics.parquet")
    assert table.columns == ["run", "pipeline_step", "metric", "step", "value", "at"]
    assert (table.height, table["value"].is_nan().sum()) == (9, 1)
    ask("metrics", "train-1", "--open", str(tmp_path / "metrics.doc"), cwd=trained).said(2, ".parquet")
    ask("metrics", "train-1", "--open", "/nowhere/at/all.html", cwd=trained).said(2, "cannot be written")


def test_what_is_not_there(trained: Path, ask: Ask) -> None:
    """Unknown runs, steps and metrics are told, with those there are."""
    ask("metrics", "train-9", cwd=trained).said(2, "no run 'train-9'")
    ask("metrics", "train-1/fot", cwd=trained).said(2, "Did you mean 'fit'?")
    ask("metrics", "train-1", "--name", "lost", cwd=trained).said(2, "Did you mean 'loss'?")
    ask("metrics", "train-1", "train-2", "--follow", cwd=trained).said(2, "one run")


def test_runs_are_compared_by_metrics_and_parameters(trained: Path, ask: Ask) -> None:
    """As columns of the list, sorted by one of them; what a run does not have is empty, and last."""
    found = ask("runs", "train", "--columns", "rate,accuracy", "--sort=-loss", "--json", cwd=trained).data
    assert (found[0]["run"], found[0]["columns"]["rate"]) == ("train-3", 0.25)
    assert [run["columns"]["loss"] for run in found] == [0.31640625, 0.0625, 0.0625]
    assert "0.9375" in ask("runs", "train", "--columns", "all", cwd=trained).out
    ask("runs", "train", "--sort", "lost", cwd=trained).said(2, "Did you mean 'loss'?")


def test_curves_are_seen_live_and_survive_a_kill(tmp_path: Path) -> None:
    """What a step has logged is there while it runs, after kill -9, and, when it goes on, with what comes then."""
    folder = make_project(tmp_path / "small", code=CODE)
    os.mkfifo(folder / "gate")
    with started("run", "slowly", cwd=folder) as run:
        line = read_until(run.stdout, "pid")
        with started("metrics", "slowly-1", "--follow", cwd=folder) as follow:
            read_until(follow.stdout, "slow  loss  3  3.0")
            assert filiera("metrics", "slowly-1", "--json", cwd=folder).data[0]["values"] == [0.0, 1.0, 2.0, 3.0]
            os.kill(int(line.split()[-1]), signal.SIGKILL)
            assert run.wait() == 1
            assert follow.wait() == 0
    assert filiera("metrics", "slowly-1", "--json", cwd=folder).data[0]["values"] == [0.0, 1.0, 2.0, 3.0]
    done("run", "slowly", cwd=folder)
    resumed = filiera("metrics", "slowly-2", "--json", cwd=folder).data[0]
    assert resumed["steps"] == [0, 1, 2, 3, 4, 5]
    assert resumed["values"] == [0.0, 1.0, 2.0, 6.0, 7.0, 8.0]
    assert list((folder / ".filiera" / "metrics").iterdir()) == []


def test_old_files_of_killed_steps_are_cleaned_up(tmp_path: Path) -> None:
    """What a step had logged when it was killed goes with its run."""
    folder = make_project(tmp_path / "small", code=CODE)
    done("run", "train", cwd=folder)
    left = folder / ".filiera" / "metrics" / ("a" * 64)
    left.write_bytes(b"x")
    os.utime(left, (time.time() - 10**7,) * 2)
    assert "metrics" in done("gc", cwd=folder).out
    assert not left.exists()
    assert filiera("metrics", "train-1", "--json", cwd=folder).data[0]["values"] == [0.5, 0.25, 0.125, 0.0625]
