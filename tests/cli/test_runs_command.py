from __future__ import annotations

from pathlib import Path

import pytest

from filiera.project.project import Project
from tests.cli.conftest import Ask
from tests.project.recorded import add_run


def test_newest_runs_come_first(history: Path, ask: Ask) -> None:
    """One line per run: state, steps done, hits, and why it failed."""
    answer = ask("runs", "broken", cwd=history)
    header, line = answer.out.splitlines()
    assert header.split() == ["RUN", "STATE", "DONE", "HITS", "STARTED", "TOOK", "MESSAGE"]
    assert line.startswith("broken-1  failed")
    assert line.endswith("step fail failed: ValueError: cannot raise Hello, you!")
    runs = [run["run"] for run in ask("runs", "hello", "--json", cwd=history).data]
    assert runs[-3:] == ["hello-3", "hello-2", "hello-1"]


def test_json_has_the_documented_fields(history: Path, ask: Ask) -> None:
    """Times are seconds since the epoch, parameters those that were given."""
    run = next(run for run in ask("runs", "--json", cwd=history).data if run["run"] == "hello-3")
    assert run["finished_at"] >= run["started_at"] > 0
    assert {k: run[k] for k in ("state", "steps_total", "steps_done", "message")} == {
        "state": "succeeded", "steps_total": 2, "steps_done": 2, "message": ""
    }  # fmt: skip
    assert run["parameters"] == {"name": "Ada"}
    assert set(run) == {
        "run", "pipeline", "kind", "state", "message", "started_at", "finished_at", "steps_total", "steps_done",
        "steps_hit", "parameters", "inputs", "commit", "is_dirty", "published",
    }  # fmt: skip


def test_runs_are_filtered_and_limited(history: Path, ask: Ask) -> None:
    """By pipeline, by state, by number."""
    assert [run["run"] for run in ask("runs", "--state", "failed", "--json", cwd=history).data] == ["broken-1"]
    assert len(ask("runs", "--limit", "2", "--json", cwd=history).data) == 2
    assert ask("runs", "nothing", cwd=history).out.startswith("There are no runs of nothing.")
    assert ask("runs", "--state", "cancelled", "--json", cwd=history).data == []


def test_an_empty_store_is_no_error(project: Path, ask: Ask) -> None:
    """Before the first run there is advice."""
    assert ask("runs", cwd=project).out == "There are no runs.  Do:  filiera pipelines, then filiera run PIPELINE\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--state", "fialed"], "Did you mean 'failed'?"), (["--limit", "0"], "--limit takes 1 to 10000, not 0")],
)
def test_wrong_filters_are_told(words: list[str], said: str, history: Path, ask: Ask) -> None:
    """A state that does not exist finds nothing silently nowhere."""
    ask("runs", *words, cwd=history).said(2, said)


@pytest.fixture
def many(project: Path) -> Path:
    """Return a project whose records hold train-1 to train-4 and retrain-1, which failed, from the oldest on."""
    opened = Project.open(project)
    for at in range(4):
        add_run(opened, "train", at=float(at))
    add_run(opened, "retrain", at=9.0, state="failed")
    opened.close()
    return project


def test_a_full_page_says_how_to_go_on(many: Path, ask: Ask) -> None:
    """With the same filters, before its last run; the last page says nothing."""
    words = ["runs", "train", "--limit", "3"]
    for expected in (["train-4", "train-3", "train-2"], ["train-1"]):
        lines = ask(*words, cwd=many).out.splitlines()
        runs = [line.split()[0] for line in lines[1:]]
        if words[-1] == "train-2":
            assert runs == expected
        else:
            assert runs == [*expected, "older:"]
            assert lines[-1] == "older: filiera runs train --limit 3 --before train-2"
        words = lines[-1].split()[2:]


def test_runs_are_searched(many: Path, ask: Ask) -> None:
    """By a part of the pipeline's name, or by the end of the id; with a state."""
    for words, expected in (
        (["RAIN"], ["retrain-1", "train-4", "train-3", "train-2", "train-1"]),
        (["retr"], ["retrain-1"]),
        (["rain-1"], ["retrain-1", "train-1"]),
        (["rain", "--state", "failed"], ["retrain-1"]),
        (["rain", "--before", "train-3"], ["train-2", "train-1"]),
        (["%"], []),
    ):
        assert [run["run"] for run in ask("runs", "--search", *words, "--json", cwd=many).data] == expected
    assert ask("runs", "--search", "%", cwd=many).out == "There are no such runs.\n"
    ask("runs", "train", "--search", "x", cwd=many).said(2, "listed by its name")
    ask("runs", "--before", "train-9", cwd=many).said(2, "no run 'train-9'")
