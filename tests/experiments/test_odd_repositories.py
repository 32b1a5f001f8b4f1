"""Repositories that are not plain: each works, or says why not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from filiera.errors import ProjectError
from filiera.experiments.starting import start
from tests.experiments.keeping import check_works
from tests.experiments.lab import LightLab


def test_a_sparse_checkout(light: LightLab) -> None:
    """Files that are not checked out stay in the branch; records lie outside of what is."""
    (light.root / "large").mkdir()
    (light.root / "large/file.txt").write_text("not wanted here\n")
    light.commit("large")
    light.git("sparse-checkout", "set", "flows")
    assert not (light.root / "large").exists()
    check_works(light)
    assert light.git("show", "exp/odd:large/file.txt") == "not wanted here"


def test_a_shallow_clone(light: LightLab, tmp_path: Path) -> None:
    """History ends, experiments do not need it."""
    light.commit("second")
    light.git("clone", "--quiet", "--depth", "1", f"file://{light.root}", str(tmp_path / "clone"))
    check_works(LightLab.at(tmp_path / "clone"))


def test_a_bare_repository(light: LightLab, tmp_path: Path) -> None:
    """It has no files, and hence no project."""
    light.git("clone", "--quiet", "--bare", str(light.root), str(tmp_path / "bare"))
    (tmp_path / "bare/filiera.toml").write_text('[project]\nname = "bare"\n')
    with pytest.raises(ProjectError, match="is a bare repository"):
        LightLab.at(tmp_path / "bare").place()


def test_names_that_are_no_text(light: LightLab) -> None:
    """Files may be called anything: bytes that are no UTF-8, blanks, the end of a line."""
    for name in (b"\xff.txt", b" a b ", b"two\nlines", "größe".encode()):
        Path(os.fsdecode(os.fsencode(light.root) + b"/" + name)).write_text("here\n")
    check_works(light)
    assert light.git("ls-tree", "exp/odd", "--name-only").count("\n") > 5


def test_links(light: LightLab, tmp_path: Path) -> None:
    """A project that is reached by a link, with a link in it that leads nowhere."""
    (light.root / "nowhere").symlink_to("/nothing/here")
    (tmp_path / "link").symlink_to(light.root)
    check_works(LightLab.at(tmp_path / "link"))
    assert light.git("cat-file", "-p", "exp/odd:nowhere") == "/nothing/here"


def test_a_branch_in_the_way(light: LightLab) -> None:
    """A branch ``exp`` leaves no room for ``exp/odd``: it is said, and nothing is left."""
    light.git("branch", "exp")
    with pytest.raises(ProjectError, match="git update-ref"):
        start(light.place(), "odd")
    assert not light.place().branches() and len(light.place().repository.worktrees()) == 1


@pytest.mark.parametrize("refused", ["cat-file", "rev-parse"])
def test_an_old_git(refused: str, light: LightLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not know is told by its version; nothing is left."""
    real = shutil.which("git")
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin/git"
    fake.write_text(f"""#!/bin/sh
case "$*" in
  version) echo git version 2.30.2 ;;
  *{refused}*) echo usage >&2; exit 129 ;;
  *) exec {real} "$@" ;;
esac
""")
    fake.chmod(0o755)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{path}")
    with pytest.raises(ProjectError, match=r"git 2\.30\.2 is too old"):
        start(light.place(), "odd")
    monkeypatch.setenv("PATH", path)
    assert not light.place().branches()


def test_variables_of_a_hook(light: LightLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git tells its hooks which repository and index they are of; ours are others."""
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    monkeypatch.setenv("GIT_PREFIX", "sub/")
    folder = start(light.place(), "odd").worktree
    assert (folder / "flows/data.py").exists()
