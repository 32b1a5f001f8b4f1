"""Dropped experiments: gone from sight, and all of them can come back."""

from __future__ import annotations

import pytest

from filiera.errors import StoreBusy, UsageError
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
    lab.git("merge", "--quiet", "--no-ff", "--no-edit", "exp/one")
    assert merged(lab.place()) == ["one"]
