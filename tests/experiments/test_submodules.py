"""Repositories with submodules: which commit of each is used is kept, and nothing of what is in them is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.errors import ProjectError
from filiera.experiments.accepting import Acceptance, accept
from filiera.experiments.dropping import drop
from filiera.experiments.starting import start
from tests.experiments.keeping import check_works
from tests.experiments.lab import LightLab

CODE = "from library.number import NUMBER\n"


@pytest.fixture
def whole(light: LightLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LightLab:
    """Return a lab whose code uses a submodule."""
    for number, (name, value) in enumerate({"protocol.file.allow": "always", "user.name": "Ada"}.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    library = tmp_path / "library"
    library.mkdir()
    (library / "number.py").write_text("NUMBER = 4\n")
    light.git("init", "--quiet", "--initial-branch", "main", cwd=library)
    light.commit("a library", cwd=library)
    light.git("submodule", "add", "--quiet", str(library), "library")
    light.commit("use it")
    return light


def filled(lab: LightLab, name: str) -> Path:
    """Start an experiment that uses the submodule; return the submodule's folder in it."""
    folder = start(lab.place(), name).worktree
    lab.git("submodule", "--quiet", "update", "--init", cwd=folder)
    lab.edit(name, "flows/data.py", "WIDTH = 3\n", f"{CODE}WIDTH = NUMBER\n")
    return folder / "library"


def test_submodules_that_are_as_they_were(whole: LightLab) -> None:
    """The branch keeps which commit is used; start says how the folder is filled."""
    check_works(whole)
    assert whole.git("rev-parse", "exp/odd:library") == whole.git("rev-parse", "main:library")
    assert "git submodule update --init" in whole.command("experiment", "start", "other").stdout


@pytest.mark.parametrize("file", ["number.py", "new.py"])
def test_changed_submodules_are_refused_at_the_start(file: str, whole: LightLab) -> None:
    """What is not committed in them cannot come along."""
    (whole.root / "library" / file).write_text("NUMBER = 5\n")
    with pytest.raises(ProjectError, match="Submodules have changes that are not committed: library"):
        start(whole.place(), "odd")
    assert not whole.place().branches()


def test_what_is_in_a_submodule_of_an_experiment_is_never_lost(whole: LightLab, tmp_path: Path) -> None:
    """Neither what is not committed there nor what was not pushed: the folder would be removed with both."""
    library = filled(whole, "odd")
    assert whole.try_out("odd", "count").record is not None
    (library / "number.py").write_text("NUMBER = 5\n")
    with pytest.raises(ProjectError, match="Submodules have changes"):
        whole.try_out("odd", "count")
    with pytest.raises(ProjectError, match="Submodules have changes"):
        drop(whole.place(), "odd", force=True)
    whole.commit("five", cwd=library)
    assert whole.try_out("odd", "count").record is not None
    for end in (lambda: drop(whole.place(), "odd", force=True), lambda: accept(whole.place(), "odd", Acceptance())):
        with pytest.raises(ProjectError, match=r"commits that were not pushed, such as [0-9a-f]+ five"):
            end()
    whole.git("push", "--quiet", "origin", "HEAD:refs/heads/five", cwd=library)
    with whole.opened():
        done = accept(whole.place(), "odd", Acceptance())
    assert whole.git("rev-parse", f"{done.commit}:library") == whole.git("rev-parse", "five", cwd=tmp_path / "library")
