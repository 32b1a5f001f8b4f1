from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from filiera.errors import StoreError, UsageError
from filiera.project.config import load
from filiera.project.index import pipelines
from filiera.project.templates import make_project, templates

NAMES = [
    "empty",
    "images",
    "music-shop",
    "resource-clustering",
    "service-banners",
    "traffic-classification",
    "traffic-forecasting",
]


def test_each_template_says_what_it_is() -> None:
    """One line each."""
    found = templates()
    assert list(found) == NAMES
    assert all(found.values())


@pytest.mark.parametrize(
    "template",
    NAMES,
)
def test_a_project_is_made_whole(template: str, tmp_path: Path) -> None:
    """It can be read at once, is called like its folder, and has nothing that belongs to the template alone."""
    made = make_project(str(tmp_path / "mine"), template)
    assert made.folder == tmp_path / "mine"
    config = load(made.folder)
    assert config.name == "mine"
    assert pipelines(config)
    names = {path.name for path in made.folder.rglob("*")}
    assert not names & {"SUMMARY.txt", "__pycache__"}
    assert ".gitignore" in names
    assert "NAME-OF-THE-PROJECT" not in (made.folder / "filiera.toml").read_text()
    tomllib.loads((made.folder / "filiera.toml").read_text())
    assert all(command.startswith("filiera ") for command in made.next_commands)


def test_folders_above_are_made(tmp_path: Path) -> None:
    """A path is taken as it is, without its detours."""
    made = make_project(str(tmp_path / "a" / ".." / "b" / "mine"), "empty")
    assert made.folder == tmp_path / "b" / "mine"
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["", ".", "taken", "a b", "-x", "9lives", "x" * 101, ".hidden", "é"])
def test_a_name_that_cannot_be_taken(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there already, or could not be a folder, an address and an option."""
    (tmp_path / "taken").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        make_project(name, "empty")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_an_unknown_template(tmp_path: Path) -> None:
    """With those there are, and the closest."""
    with pytest.raises(UsageError, match="no template 'emtpy'") as error:
        make_project(str(tmp_path / "x"), "emtpy")
    assert "Did you mean 'empty'?" in error.value.why
    with pytest.raises(UsageError):
        make_project(str(tmp_path / "x"), "../templates/empty")


def test_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last step fails, nothing is left behind."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(StoreError, match="cannot be made: No space left on device"):
        make_project(str(tmp_path / "mine"), "empty")
    assert list(tmp_path.iterdir()) == []
