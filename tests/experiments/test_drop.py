"""Dropped experiments: gone from sight, and all of them can come back."""

from __future__ import annotations

import shutil

import pytest

from filiera.errors import ProjectError, StoreBusy, UsageError
from filiera.experiments.dropping import drop, merged, restore
from filiera.experiments.starting import start
from tests.experiments.lab import Lab


def test_dropped_and_restored(lab: Lab) -> None:
    """Branch and folder go and come back, with runs and versions."""
    folder = start(lab.place(), "deeper").worktree
    lab.try_out("deeper")
    tip = lab.place().tip("deeper")
    drop(lab.place(), "deeper")
    assert not folder.exists() and "deeper" not in lab.place().branches()
    with pytest.raises(UsageError, match="was dropped: filiera experiment restore deeper"):
        lab.place().tip("deeper")
    with pytest.raises(UsageError, match="There was an experiment 'deeper'"):
        start(lab.place(), "deeper")
    assert restore(lab.place(), "deeper") == folder
    assert lab.place().tip("deeper") == tip and not lab.place().archived()
    assert lab.try_out("deeper").run.version.ref == "judge~deeper@1"  # type: ignore[union-attr]


def test_what_is_not_committed_is_never_lost(lab: Lab) -> None:
    """It is refused, or kept in the archive."""
    folder = start(lab.place(), "deeper").worktree
    (folder / "idea.md").write_text("an idea\n")
    with pytest.raises(UsageError, match=r"not committed: idea\.md"):
        drop(lab.place(), "deeper")
    assert (folder / "idea.md").exists()
    assert drop(lab.place(), "deeper", force=True).is_kept_dirty
    assert (restore(lab.place(), "deeper") / "idea.md").read_text() == "an idea\n"


def test_what_is_staged_is_never_lost(lab: Lab) -> None:
    """It may differ from the file, or the file may be as before."""
    folder = start(lab.place(), "deeper").worktree
    before = (folder / "flows/model.py").read_text()
    (folder / "flows/model.py").write_text("STAGED = 1\n")
    lab.git("add", "flows/model.py", cwd=folder)
    (folder / "flows/model.py").write_text(before)
    with pytest.raises(UsageError, match=r"not committed: flows/model\.py"):
        drop(lab.place(), "deeper")
    assert lab.git("show", ":flows/model.py", cwd=folder) == "STAGED = 1"
    dropped = drop(lab.place(), "deeper", force=True)
    assert lab.git("show", f"{dropped.commit}^:flows/model.py") == "STAGED = 1"
    assert (restore(lab.place(), "deeper") / "flows/model.py").read_text() == before


def test_a_folder_on_another_branch_is_left_there(lab: Lab) -> None:
    """The user works on something else there."""
    folder = start(lab.place(), "deeper").worktree
    lab.git("switch", "--quiet", "-c", "aside", cwd=folder)
    with pytest.raises(ProjectError, match="is not on branch exp/deeper"):
        drop(lab.place(), "deeper")
    assert folder.exists() and "deeper" in lab.place().branches()


def test_a_branch_that_is_checked_out_elsewhere_is_not_dropped(lab: Lab) -> None:
    """The user's own folder is never removed."""
    folder = start(lab.place(), "deeper").worktree
    shutil.rmtree(folder)
    lab.git("worktree", "remove", "--force", "--force", str(folder))
    lab.git("checkout", "--quiet", "exp/deeper")
    with pytest.raises(ProjectError, match=r"checked out in .*repository"):
        drop(lab.place(), "deeper", force=True)
    assert not lab.place().archived()


def test_a_folder_that_is_gone_is_forgotten(lab: Lab) -> None:
    """The branch is dropped and comes back with a folder; one whose folder alone is gone gets it back."""
    folder = start(lab.place(), "deeper").worktree
    shutil.rmtree(folder)
    assert restore(lab.place(), "deeper") == folder and folder.exists()
    shutil.rmtree(folder)
    drop(lab.place(), "deeper")
    assert str(folder) not in lab.git("worktree", "list", "--porcelain")
    assert restore(lab.place(), "deeper") == folder


def test_a_drop_that_was_killed_is_ended_by_restoring(lab: Lab) -> None:
    """The archive has it, the folder is still there, and somebody has written into it."""
    folder = start(lab.place(), "deeper").worktree
    tip = lab.place().tip("deeper")
    lab.git("update-ref", "refs/archive/exp/deeper/0", tip)
    lab.git("update-ref", "-d", "refs/heads/exp/deeper")
    (folder / "late.md").write_text("late\n")
    assert restore(lab.place(), "deeper") == folder
    assert (folder / "late.md").read_text() == "late\n"
    assert lab.git("status", "--porcelain", cwd=folder) == ""


def test_one_in_use_is_not_dropped(lab: Lab) -> None:
    """A run holds it."""
    start(lab.place(), "deeper")
    with lab.place().lease("deeper"), pytest.raises(StoreBusy, match="in use"):
        drop(lab.place(), "deeper")


def test_restoring_what_is_not_there(lab: Lab) -> None:
    """An unknown name, and one that is in use again."""
    with pytest.raises(UsageError, match="no experiment 'never'"):
        restore(lab.place(), "never")
    start(lab.place(), "deeper")
    drop(lab.place(), "deeper")
    lab.git("branch", "exp/deeper")
    with pytest.raises(UsageError, match="There is an experiment 'deeper'"):
        restore(lab.place(), "deeper")


def test_merged_ones_are_found(lab: Lab) -> None:
    """Those whose target has their commits, whoever merged them."""
    start(lab.place(), "one")
    start(lab.place(), "two")
    assert merged(lab.place()) == []
    lab.git("branch", "exp/by-hand")
    lab.git("merge", "--quiet", "--no-ff", "--no-edit", "exp/one")
    assert merged(lab.place()) == ["one"]
