"""Experiments that are started from a worktree of the user's own: they share the store of the main one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from filiera.errors import ProjectError
from filiera.experiments.accepting import Acceptance, accept
from filiera.experiments.starting import start
from tests.experiments.keeping import check_records
from tests.experiments.lab import LightLab, state_of


@pytest.fixture
def linked(light: LightLab, tmp_path: Path) -> LightLab:
    """Return a worktree of the user's own, on a branch of its own, where something is not committed yet."""
    assert light.run("count").status == "succeeded"
    light.git("worktree", "add", "--quiet", "-b", "feature", str(tmp_path / "linked"))
    found = LightLab.at(tmp_path / "linked")
    found.replace("flows/data.py", "WIDTH = 3", "WIDTH = 4")
    return found


def test_from_start_to_end(linked: LightLab, light: LightLab) -> None:
    """It begins with what is there, and is merged into the branch there; main can run it, too, and stays as it is."""
    before = state_of(light)
    folder = start(linked.place(), "odd").worktree
    assert "WIDTH = 4" in (folder / "flows/data.py").read_text()
    assert linked.place().start_of("odd").target == "refs/heads/feature"
    assert light.try_out("odd", "count").record is not None
    assert linked.try_out("odd", "count").record is not None
    assert linked.place().project.store == light.place().project.store == LightLab.at(folder).place().project.store
    assert not (linked.root / ".filiera").exists()
    with linked.opened():
        done = accept(linked.place(), "odd", Acceptance())
    assert state_of(linked) == (done.commit, "", "") and state_of(light) == before
    assert done.finished is not None and [each.ref for each in done.finished.published] == ["counts@2"]
    check_records(light)


def test_it_outlives_the_worktree(linked: LightLab, light: LightLab) -> None:
    """Its branch, folder and store are elsewhere."""
    start(linked.place(), "odd")
    light.commit("four", cwd=linked.root)
    shutil.rmtree(linked.root)
    light.git("worktree", "prune")
    assert light.try_out("odd", "count").record is not None
    with light.opened():
        accept(light.place(), "odd", Acceptance(into="main"))
    assert "WIDTH = 4" in (light.root / "flows/data.py").read_text()


def test_worktrees_of_a_bare_repository(light: LightLab, tmp_path: Path) -> None:
    """They have no folder in common where a store could be."""
    light.git("clone", "--quiet", "--bare", str(light.root), str(tmp_path / "bare"))
    light.git("worktree", "add", "--quiet", str(tmp_path / "only"), "main", cwd=tmp_path / "bare")
    with pytest.raises(ProjectError, match="has no project in it"):
        LightLab.at(tmp_path / "only").place()
