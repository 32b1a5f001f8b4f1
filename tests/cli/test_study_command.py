from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.command import done, filiera, make_project, read_until, started
from tests.cli.conftest import Ask

CODE = '''\
"""A study."""

from dataclasses import dataclass
from typing import Annotated

from filiera import pipeline, step
from filiera.model.tune import Choice, Int, Search, tune


@dataclass(frozen=True)
class Forest:
    depth: Annotated[int, Int(1, 30)]
    kind: Annotated[str, Choice("<gini>", "entropy")]


@step(stage="evaluate")
def score(forest: Forest, gate: str) -> float:
    if forest.depth > 28:
        raise ValueError("too deep")
    if gate and forest.depth < 15:
        print("waiting", flush=True)
        with open(gate) as pipe:
            pipe.read()
    return -abs(forest.depth - 9.0)


@pipeline(kind="model")
def tuned(trials: int = 20, gate: str = ""):
    """Tune."""
    search = Search(trials=trials, sampler="random", parallel=1)
    best, study = tune(score, Forest, search, gate=gate)
    return study


@step
def alone() -> int:
    return 1


@pipeline(kind="data")
def plain():
    """No study."""
    return alone()
'''


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with the study tuned-1 and the run plain-1."""
    folder = make_project(tmp_path_factory.mktemp("tuned") / "small", code=CODE)
    done("run", "tuned", cwd=folder)
    done("run", "plain", cwd=folder)
    return folder


def test_trials_the_best_first(tuned: Path, ask: Ask) -> None:
    """With what the best is, how many failed, and what each parameter matters."""
    out = ask("study", "tuned", "--limit", "5", cwd=tuned).out
    lines = out.splitlines()
    assert lines[0].split() == ["study", "tuned-1/tune"]
    assert "importance" in out
    table = [line.split() for line in lines if line.split()[:2] and line.split()[0].isdigit()]
    assert len(table) == 5
    values = [float(row[2]) for row in table]
    assert values == sorted(values, reverse=True)
    assert lines[-1].startswith("… 15 more")


def test_data_and_page(tuned: Path, tmp_path: Path, ask: Ask) -> None:
    """All trials as JSON, and a page in which nothing of the parameters is taken for HTML."""
    data = ask("study", "tuned-1/tune", "--json", "--open", str(tmp_path / "study.html"), cwd=tuned).data
    assert [trial["number"] for trial in data["trials"]] == list(range(20))
    best = max((t for t in data["trials"] if t["value"] is not None), key=lambda t: t["value"])
    assert data["best"] == best["number"]
    assert data["importance"]["depth"] > 0.5
    page = (tmp_path / "study.html").read_text()
    assert page.count("<svg") == 2
    assert "<gini>" not in page
    assert "&lt;gini&gt;" in page


def test_show_tells_where_the_trials_are(tuned: Path, ask: Ask) -> None:
    """Of a study, the step's output says in a line what it is; the best parameters are as they are."""
    out = ask("show", "tuned/tune", cwd=tuned).out
    assert "maximize what score returns: " in out
    assert "Forest(depth=" in out


def test_what_is_no_study(tuned: Path, ask: Ask) -> None:
    """Runs and steps without one are told, and files that are no page."""
    ask("study", "plain", cwd=tuned).said(2, "Run plain-1 has no study")
    ask("study", "tuned/tune[0].score", cwd=tuned).said(2, "is no study")
    ask("study", "tuned", "--open", "study.csv", cwd=tuned).said(2, "written as a page")
    ask("study", "nope", cwd=tuned).said(2, "no run 'nope'")


def test_a_study_is_seen_while_it_goes_on(tmp_path: Path) -> None:
    """The trials there are by then, one of which runs."""
    folder = make_project(tmp_path / "small", code=CODE)
    os.mkfifo(folder / "gate")
    with started("run", "tuned", "--gate", "gate", cwd=folder) as run:
        read_until(run.stdout, "waiting")
        data = filiera("study", "tuned", "--json", cwd=folder).data
        assert data["trials"][-1]["state"] == "running"
        assert all(trial["state"] in ("done", "failed") for trial in data["trials"][:-1])
