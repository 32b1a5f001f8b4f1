"""What goes for good: what was dropped long ago and nothing that stays needs; nothing that an experiment needs."""

from __future__ import annotations

import json

import pytest

from filiera.errors import UsageError
from filiera.experiments.clearing import Cleared, clear
from filiera.experiments.dropping import drop, restore
from filiera.experiments.needs import needs_of
from filiera.experiments.starting import Beginning, start
from filiera.project.proving.prove import prove
from filiera.project.runs import get_run
from filiera.project.upkeep.garbage import collect
from filiera.project.upkeep.retention import Retention
from tests.experiments.keeping import check_records
from tests.experiments.lab import Lab
from tests.experiments.test_accept import a_better_one, accepted

MONTH_S = 30 * 86_400.0


def cleared(lab: Lab, **options: float) -> Cleared:
    """Let go of what can be: by default without any grace."""
    return clear(lab.place(), **{"grace_s": -1.0, **options})  # type: ignore[arg-type]


def refs(lab: Lab) -> set[str]:
    """Return all published versions."""
    with lab.opened() as project:
        return {version.ref for version in project.versions.find()}


def test_what_was_dropped_long_ago_goes(lab: Lab) -> None:
    """With all that it has published; its name is free, and its numbers begin anew."""
    a_better_one(lab)
    start(lab.place(), "other")
    drop(lab.place(), "deeper")
    assert not cleared(lab, grace_s=MONTH_S).refs
    would = cleared(lab, dry_run=True)
    assert lab.place().archived() and "judge~deeper@1" in refs(lab)
    done = cleared(lab)
    assert done == would and [version.ref for version in done.versions] == ["judge~deeper@1"]
    assert done.size_bytes > 0
    assert not lab.place().archived() and refs(lab) == {"points@1", "judge@1"}
    assert list(lab.place().branches()) == ["other"]
    start(lab.place(), "deeper")
    assert lab.try_out("deeper").run.version.ref == "judge~deeper@1"  # type: ignore[union-attr]


def test_what_came_back_stays(lab: Lab) -> None:
    """An older state of a live experiment goes; what it has published does not."""
    a_better_one(lab)
    drop(lab.place(), "deeper")
    old = lab.place().archived()["deeper"]
    restore(lab.place(), "deeper")
    lab.git("update-ref", *next(iter(old.items())))
    assert list(cleared(lab).refs) == list(old)
    assert "judge~deeper@1" in refs(lab) and "deeper" in lab.place().branches()


def proven(lab: Lab) -> bool:
    """Tell whether the newest model can be proven, after git has forgotten what nothing reaches."""
    lab.git("reflog", "expire", "--expire=now", "--all")
    lab.git("gc", "--quiet", "--prune=now")
    with lab.opened() as project:
        run_id = project.versions.newest("model", "judge").run_id  # type: ignore[union-attr]
        return prove(project, get_run(project, run_id), this_environment=True).is_proven


@pytest.mark.parametrize("squash", [False, True])
def test_a_model_from_a_dataset_of_its_own_can_be_proven(lab: Lab, squash: bool) -> None:
    """The dataset that its run consumed, and the commit that it had, stay for as long as its version does."""
    start(lab.place(), "features")
    lab.edit("features", "flows/data.py", 'pl.col("a") * 2', 'pl.col("a") ** 2 + pl.col("b")')
    lab.edit("features", "flows/model.py", 'INPUTS = ["a", "b"]', 'INPUTS = ["a", "b", "double"]')
    lab.edit("features", "flows/model.py", "depth: int = 1", "depth: int = 6")
    lab.try_out("features", "points")
    lab.try_out("features")
    accepted(lab, "features", squash=squash)
    done = cleared(lab)
    assert not done.refs and set(done.kept.values()) <= {"judge@2", "points@2"}
    assert {"judge~features@1", "points~features@1", "judge@2"} <= refs(lab)
    assert proven(lab)


@pytest.mark.parametrize("squash", [False, True])
def test_an_accepted_model_can_be_proven(lab: Lab, squash: bool) -> None:
    """Its commit is merged, and the archive need not keep it; or it was squashed, and only the archive has it."""
    a_better_one(lab)
    accepted(lab, "deeper", squash=squash)
    done = cleared(lab)
    assert list(done.kept.values()) == (["judge@2"] if squash else [])
    assert proven(lab)


def test_another_experiment_uses_it(lab: Lab) -> None:
    """A dataset that a version was made from stays with its experiment."""
    start(lab.place(), "features")
    lab.edit("features", "flows/data.py", 'pl.col("a") * 2', 'pl.col("a") * 3')
    lab.try_out("features", "points")
    lab.git("branch", "mine", "exp/features")
    start(lab.place(), "user", Beginning(base="exp/features"))
    lab.edit("user", "flows/model.py", '"points@latest"', '"points~features@1"')
    assert lab.try_out("user").record.inputs == {"points": "points~features@1"}  # type: ignore[union-attr]
    drop(lab.place(), "features")
    assert set(cleared(lab).kept.values()) == {"judge~user@1"}
    drop(lab.place(), "user")
    assert len(cleared(lab).versions) == 2 and refs(lab) == {"points@1", "judge@1"}


def test_a_branch_that_the_user_deleted(lab: Lab) -> None:
    """What it has published goes after the grace, as nothing names it any more."""
    a_better_one(lab)
    drop(lab.place(), "deeper")
    lab.git("update-ref", "-d", next(iter(lab.place().archived()["deeper"])))
    assert not cleared(lab, grace_s=MONTH_S).versions
    assert [version.ref for version in cleared(lab).versions] == ["judge~deeper@1"]


def test_one_that_is_in_use_stays(lab: Lab) -> None:
    """Somebody restores it right now."""
    a_better_one(lab)
    drop(lab.place(), "deeper")
    with lab.place().lease("deeper"):
        done = cleared(lab)
    assert not done.refs and not done.versions


def test_cleanup_leaves_what_experiments_need(lab: Lab) -> None:
    """Runs that were rejected, versions that were consumed or pinned: for live ones and dropped ones."""
    start(lab.place(), "worse")
    lab.edit("worse", "flows/model.py", "at_least=0.6", "at_least=1.1")
    rejected = lab.try_out("worse").record
    assert rejected is not None and rejected.status == "rejected"
    start(lab.place(), "pinned")
    drop(lab.place(), "worse")
    for factor in (3, 4):
        lab.replace("flows/data.py", f'pl.col("a") * {factor - 1}', f'pl.col("a") * {factor}')
        lab.run("points")
        lab.run("train")
    done = lab.command("gc", "--keep-days", "0", "--keep-runs", "0", "--keep-versions", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert "points@2" in json.loads(done.stdout)["versions"] or "points@2" in refs(lab)
    assert "points@1" in refs(lab)
    with lab.opened() as project:
        assert get_run(project, rejected.run_id)["state"] == "rejected"
        assert needs_of(project).versions["points@1"] in ("exp/worse", "exp/pinned")
    check_records(lab)
    refused = lab.command("gc", "--drop", "points@1")
    assert refused.returncode == 2 and "points@1 cannot be dropped: experiment" in refused.stderr
    drop(lab.place(), "pinned")
    cleared(lab)
    with lab.opened() as project:
        needs_of(project).require_unneeded("points@1")
        collect(
            project,
            Retention(keep_days=0, keep_runs=0, runs=frozenset(needs_of(project).runs)),
            dry_run=False,
            tell=lambda _: None,
        )
        with pytest.raises(UsageError):
            get_run(project, rejected.run_id)


def test_the_command(lab: Lab) -> None:
    """What goes is listed with its bytes, for people and scripts; a grace below zero is refused."""
    a_better_one(lab)
    drop(lab.place(), "deeper")
    young = lab.command("experiment", "gc")
    assert young.stdout == "Nothing has been in the archive for 30 days that could go.\n"
    told = lab.json("experiment", "gc", "--grace-days", "0", "--dry-run")
    assert told["dry_run"] and told["versions"] == ["judge~deeper@1"] and told["size_bytes"] > 0
    done = lab.command("experiment", "gc", "--grace-days", "0")
    assert "deeper" in done.stdout and "forgot judge~deeper@1" in done.stdout
    assert lab.command("experiment", "gc", "--grace-days", "-1").returncode == 2
