"""A project that is a folder of its repository."""

from __future__ import annotations

import shutil
from pathlib import Path

from filiera.experiments.accepting import Acceptance, accept
from filiera.experiments.comparing import compare
from filiera.experiments.listing import list_experiments
from filiera.experiments.starting import start
from tests.experiments.lab import Lab


def test_a_project_below_the_top_of_its_repository(lab: Lab, tmp_path: Path) -> None:
    """All files of the repository come along; the records lie with the project; it is listed, compared and accepted."""
    shutil.rmtree(lab.repository / ".git")
    whole = tmp_path / "whole"
    whole.mkdir()
    lab.repository.rename(whole / "ml")
    lab.repository, lab.root = whole, whole / "ml"
    (whole / "README").write_text("Several projects.\n")
    lab.git("init", "--quiet", "--initial-branch", "main")
    lab.commit("first state")
    files = lab.git("ls-files").splitlines()
    for name in ("one", "two"):
        worktree = start(lab.place(), name).worktree
        assert (worktree / "README").exists() and (worktree / "ml/flows/model.py").exists()
        lab.edit(name, "ml/flows/model.py", "depth: int = 1", f"depth: int = {len(name) + (name == 'two')}")
        lab.try_out(name)
        listed = lab.git("ls-tree", "-r", "--name-only", f"exp/{name}").splitlines()
        assert [file for file in listed if not file.startswith(f"ml/experiments/{name}/")] == files
    assert [each.state for each in list_experiments(lab.place())] == ["succeeded", "succeeded"]
    change = compare(lab.place(), ["main", "two"]).code["two"]
    assert [each.name for each in change.files] == ["ml/flows/model.py"]
    with lab.opened():
        accept(lab.place(), "two", Acceptance())
    assert "depth: int = 4" in (lab.root / "flows/model.py").read_text()
    assert (whole / "README").exists() and lab.git("status", "--porcelain") == ""
    (one,) = list_experiments(lab.place())
    assert one.standing is not None and one.standing.behind > 0 and one.state == "succeeded"
