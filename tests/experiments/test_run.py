"""Runs of experiments: what they see, what they publish, what is committed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from filiera.adapters.git_repository import Repository
from filiera.errors import Rejected, UsageError
from filiera.experiments.records import runs_in
from filiera.experiments.starting import start
from filiera.project.launch import start as run_pipeline
from filiera.project.runs import get_run
from tests.experiments.lab import Lab, state_of


def names(lab: Lab) -> set[str]:
    """Return what has been published."""
    with lab.opened() as project:
        return {version.ref for version in project.versions.find()}


def test_unchanged_code_computes_nothing(lab: Lab) -> None:
    """The store is shared: all steps are hits, and what is published is the experiment's own."""
    start(lab.place(), "deeper")
    before = state_of(lab)
    done = lab.try_out("deeper")
    assert state_of(lab) == before
    assert done.run.status == "succeeded" and done.run.state.count("hit") == len(done.run.state.steps)
    assert names(lab) == {"points@1", "judge@1", "judge~deeper@1"}


def test_what_ran_is_committed_with_its_record(lab: Lab) -> None:
    """Edits of the worktree, new files too, and a record with metrics, parameters and what was evaluated."""
    folder = start(lab.place(), "deeper").worktree
    lab.edit("deeper", "flows/model.py", "depth: int = 1", "depth: int = 4")
    (folder / "flows/notes.md").write_text("Try it deeper.\n")
    done = lab.try_out("deeper", depth="5")
    assert lab.git("status", "--porcelain", cwd=folder) == ""
    assert "Try it deeper." in lab.git("show", "exp/deeper:flows/notes.md")
    (record,) = runs_in(lab.place().records("deeper")["deeper"])
    assert record == done.record
    assert (record.status, record.pipeline, record.parameters) == ("succeeded", "train", {"depth": 5})
    assert record.inputs == {"points": "points@1"} and record.published == "judge~deeper@1"
    metric = record.metric("accuracy")
    assert metric is not None and metric.value == done.run.value("judge").metrics["accuracy"].value
    assert record.split and record.rows == 200
    assert (record.product, record.gates) == ("judge", {"accuracy at least 0.6": "accuracy"})
    assert record.step_parameters == {"fit.depth": 5} and next(iter(record.metrics)) == "accuracy"
    assert lab.git("log", "--format=%s", "main..exp/deeper").splitlines() == ["Run train", "Start experiment deeper"]


def test_a_change_within_the_second_is_seen(lab: Lab) -> None:
    """Git compares seconds: a file of the same length and age is told apart by reading it."""
    folder = start(lab.place(), "deeper").worktree
    lab.git("config", "core.trustctime", "false")
    file, index = folder / "flows/model.py", Path(lab.git("rev-parse", "--absolute-git-dir", cwd=folder)) / "index"
    os.utime(file, (1e9, 1e9))
    lab.git("update-index", "--refresh", cwd=folder)
    os.utime(index, (1e9, 1e9))
    lab.edit("deeper", "flows/model.py", "depth: int = 1", "depth: int = 4")
    os.utime(file, (1e9, 1e9))
    repository = Repository(folder)
    assert not repository.status().is_clean
    assert repository.changed("HEAD", repository.snapshot()) == ["flows/model.py"]


def test_a_rejected_run_is_recorded_and_a_failed_one_is_not(lab: Lab) -> None:
    """Both leave the files as they are."""
    folder = start(lab.place(), "worse").worktree
    lab.edit("worse", "flows/model.py", "at_least=0.6", "at_least=1.1")
    done = lab.try_out("worse")
    assert done.run.status == "rejected" and done.record is not None and "accuracy" in done.record.message
    assert done.record.published == "" and done.record.evaluation.split()[1] == "evaluation/1"
    lab.edit("worse", "flows/model.py", "return DecisionTree", "raise RuntimeError('no') or DecisionTree")
    failed = lab.try_out("worse")
    assert failed.run.status == "failed" and failed.record is None
    assert [record.run_id for record in runs_in(lab.place().records("worse")["worse"])] == [done.run.run_id]
    assert "flows/model.py" in lab.git("status", "--porcelain", cwd=folder)


def test_a_data_pipeline_of_its_own(lab: Lab) -> None:
    """Its dataset is seen by it alone; the rows evaluated are the same, so that both can be compared."""
    start(lab.place(), "features")
    start(lab.place(), "plain")
    lab.edit("features", "flows/data.py", 'pl.col("a") * 2', 'pl.col("a") ** 2 + pl.col("b")')
    lab.edit("features", "flows/model.py", 'INPUTS = ["a", "b"]', 'INPUTS = ["a", "b", "double"]')
    assert lab.try_out("features", "points").run.version.ref == "points~features@1"  # type: ignore[union-attr]
    own, other = lab.try_out("features").record, lab.try_out("plain").record
    assert own is not None and other is not None
    assert own.inputs == {"points": "points~features@1"} and other.inputs == {"points": "points@1"}
    assert own.split == other.split
    assert own.sources == other.sources and len(own.sources) == 1 and own.sources[0].startswith("raw ")


def test_it_keeps_the_dataset_it_began_with(lab: Lab) -> None:
    """A newer version on main does not change what an experiment sees."""
    start(lab.place(), "deeper")
    lab.replace("flows/data.py", 'pl.col("a") * 2', 'pl.col("a") * 3')
    assert lab.run("points").version.ref == "points@2"  # type: ignore[union-attr]
    record = lab.try_out("deeper").record
    assert record is not None and record.inputs == {"points": "points@1"}
    with lab.opened() as project:
        done = run_pipeline(project, "train", {})
        assert json.loads(get_run(project, done.run_id)["record"])["inputs"] == {"points": "points@2"}


def test_a_source_that_git_ignores_is_read_where_it_is(lab: Lab) -> None:
    """The data of the project are its experiments' too."""
    lab.git("rm", "--quiet", "--cached", "raw.csv")
    (lab.root / ".gitignore").write_text(".filiera/\n__pycache__/\nraw.csv\n")
    lab.commit("leave the data out")
    folder = start(lab.place(), "deeper").worktree
    assert not (folder / "raw.csv").exists()
    done = lab.try_out("deeper", "points")
    assert done.run.status == "succeeded" and done.run.state.count("hit") == len(done.run.state.steps)


def test_files_that_change_meanwhile_are_not_recorded(lab: Lab) -> None:
    """What ran cannot be told then."""
    folder = start(lab.place(), "deeper").worktree
    late = "    open(__file__.replace('model', 'late'), 'w').close()\n    return DecisionTree"
    lab.edit("deeper", "flows/model.py", "    return DecisionTree", late)
    tip = lab.place().tip("deeper")
    with pytest.raises(Rejected, match=r"changed while train-\d+ ran: flows/late\.py"):
        lab.try_out("deeper")
    assert lab.place().tip("deeper") == tip and (folder / "flows/late.py").exists()


def test_parameters_are_those_of_the_pipeline(lab: Lab) -> None:
    """An unknown one is told before anything runs."""
    start(lab.place(), "deeper")
    with pytest.raises(UsageError, match="no parameter 'dept'"):
        lab.try_out("deeper", dept="3")
    with pytest.raises(UsageError, match="no experiment 'depper'"):
        lab.try_out("depper")


@pytest.mark.parametrize("deed", ["removed", "edited"])
def test_records_are_not_touched(deed: str, lab: Lab) -> None:
    """Whoever removes or edits one is told how to get it back, and nothing is committed."""
    folder = start(lab.place(), "deeper").worktree
    (record,) = (folder / "experiments/deeper").iterdir()
    record.unlink() if deed == "removed" else record.write_text("{}")
    tip = lab.place().tip("deeper")
    with pytest.raises(UsageError, match="Records of experiment 'deeper' were changed") as told:
        lab.try_out("deeper")
    assert lab.place().tip("deeper") == tip
    lab.git(*told.value.do.split()[3:], cwd=folder)
    assert lab.try_out("deeper").run.status == "succeeded"
