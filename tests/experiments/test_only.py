"""Experiments that get a part of a large repository's files: ``start --only``."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.cli.main import main as filiera
from filiera.errors import SourceError, UsageError
from filiera.experiments.accepting import Acceptance, accept
from filiera.experiments.dropping import drop, restore
from filiera.experiments.starting import Beginning, start
from filiera.experiments.syncing import sync
from tests.experiments.lab import Lab, LightLab, state_of


@pytest.fixture
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LightLab:
    """Return a light lab with folders that it does not need, whose worktrees lie beside it."""
    monkeypatch.setenv("FILIERA_WORKTREES", str(tmp_path / "worktrees"))
    lab = LightLab(tmp_path)
    for name in ("large/one.txt", "large/below/two.txt", "docs/more/page.md", "README"):
        (lab.root / name).parent.mkdir(parents=True, exist_ok=True)
        (lab.root / name).write_text(f"{name}\n")
    lab.commit("large")
    return lab


def files_of(folder: Path) -> set[str]:
    """Return the files of a worktree, but for records."""
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    return {name for name in found if not name.startswith((".git", ".filiera", "experiments/"))}


def only(lab: LightLab, *folders: str) -> Beginning:
    return Beginning(only=[lab.root / folder for folder in folders])


def test_its_folder_has_a_part_and_its_branch_all(light: LightLab) -> None:
    """Files at the top, the named folders and the flows; nothing counts as deleted, the user's folder is as before."""
    before = state_of(light)
    started = start(light.place(), "part", only(light, "docs"))
    assert state_of(light) == before
    flows = {"flows/__init__.py", "flows/data.py"}
    assert files_of(started.worktree) == {"filiera.toml", "README", "docs/page.md", "docs/more/page.md", *flows}
    assert light.git("status", "--porcelain", cwd=started.worktree) == ""
    assert "large/below/two.txt" in light.git("ls-tree", "-r", "--name-only", "exp/part").splitlines()
    assert started.record.only == ("docs", "experiments/part", "flows")
    assert files_of(light.root) > files_of(started.worktree)


def test_its_life(light: LightLab) -> None:
    """It runs, is synced over files that it does without, dropped, restored as it was, and accepted."""
    folder = start(light.place(), "part", only(light, "flows")).worktree
    (folder / "idea.md").write_text("an idea\n")
    (folder / "large").mkdir()
    (folder / "large/mine.txt").write_text("mine\n")
    assert light.try_out("part", "count").record is not None
    (light.root / "large/one.txt").write_text("changed on main\n")
    light.commit("go on")
    assert sync(light.place(), "part").is_changed
    assert light.git("show", "exp/part:large/one.txt") == "changed on main"
    assert light.try_out("part", "count", width="2").record is not None
    wanted = {"filiera.toml", "README", "flows/__init__.py", "flows/data.py", "idea.md"}
    assert files_of(folder) == wanted, "git leaves out again what is committed and in no folder of its"
    drop(light.place(), "part")
    assert files_of(restore(light.place(), "part")) == wanted
    assert light.git("show", "exp/part:large/mine.txt") == "mine"
    (light.root / "docs/page.md").write_text("changed on main\n")
    light.commit("go on")
    with light.opened():
        assert accept(light.place(), "part", Acceptance()).is_evaluated_again
    assert (light.root / "large/mine.txt").exists() and (light.root / "docs/page.md").read_text() == "changed on main\n"
    assert light.git("status", "--porcelain") == ""


def test_changes_come_along(light: LightLab) -> None:
    """What is not committed is in the branch, also where its folder does without it."""
    (light.root / "large/one.txt").write_text("changed\n")
    (light.root / "docs/new.md").write_text("new\n")
    folder = start(light.place(), "part", only(light, "flows")).worktree
    assert light.git("show", "exp/part:large/one.txt") == "changed"
    assert light.git("show", "exp/part:docs/new.md") == "new"
    assert "docs/new.md" not in files_of(folder)


def test_folders_that_are_none(light: LightLab, tmp_path: Path) -> None:
    """A file, an unknown folder, one that git does not keep or that is elsewhere: nothing is left."""
    (light.root / "empty").mkdir()
    for folder in ("README", "nowhere", "empty"):
        with pytest.raises(UsageError, match=f"{folder} is no folder with files that git knows"):
            start(light.place(), "part", only(light, folder))
    with pytest.raises(UsageError, match="is not in the repository"):
        start(light.place(), "part", Beginning(only=[tmp_path]))
    assert not light.place().branches() and len(light.place().repository.worktrees()) == 1


def test_the_whole_repository(light: LightLab) -> None:
    """Its top as the folder is all of it."""
    started = start(light.place(), "whole", only(light, "."))
    assert started.record.only == () and files_of(started.worktree) == files_of(light.root)


def test_from_an_experiment_that_has_a_part(light: LightLab) -> None:
    """It gets the same part."""
    folder = start(light.place(), "part", only(light, "docs")).worktree
    second = start(light.place(folder), "second")
    assert files_of(second.worktree) == files_of(folder)
    assert "experiments/second" in second.record.only


def test_a_project_in_a_folder(light: LightLab) -> None:
    """Folders are meant from where one is; what lies beside the project is left out."""
    (light.root / "ml").mkdir()
    light.git("mv", "flows", "filiera.toml", "ml")
    light.commit("a folder of its own")
    light.root = light.root / "ml"
    started = start(light.place(), "part", only(light, "."))
    assert files_of(started.worktree / "ml") == {"filiera.toml", "flows/__init__.py", "flows/data.py"}
    assert (started.worktree / "README").exists() and not (started.worktree / "large").exists()
    assert light.try_out("part", "count").record is not None


def test_data_that_were_left_out_are_not_taken_from_elsewhere(lab: Lab) -> None:
    """Files of main may be others than those of the commit: it is said how to get them."""
    (lab.root / "data").mkdir()
    lab.git("mv", "raw.csv", "data/raw.csv")
    lab.replace("filiera.toml", 'path = "raw.csv"', 'path = "data/raw.csv"')
    lab.commit("data")
    folder = start(lab.place(), "part", Beginning(only=[lab.root / "flows"])).worktree
    with pytest.raises(SourceError, match=r"does without files of data/raw\.csv") as caught:
        lab.try_out("part", "points")
    assert caught.value.do == f"git -C {folder} sparse-checkout add data"
    lab.git("sparse-checkout", "add", "data", cwd=folder)
    assert lab.try_out("part", "points").record is not None


def test_what_is_printed(light: LightLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders are given from where one is; of a large repository that gets all it is said what would be sooner."""
    monkeypatch.chdir(light.root / "docs")
    assert filiera(["experiment", "start", "part", "--only", "more"]) == 0
    assert "has only docs/more, flows, and the files above" in capsys.readouterr().out
    monkeypatch.setattr("filiera.cli.experiment_start._MANY", 5)
    assert filiera(["experiment", "start", "whole"]) == 0
    assert "files were written; those that it needs are written sooner: --only FOLDER" in capsys.readouterr().out
