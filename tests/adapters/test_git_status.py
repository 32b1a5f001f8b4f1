"""What one call of ``git status`` tells."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from filiera.adapters.git_repository import Repository


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a repository with files of all kinds of names, committed."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    for name in ("a.txt", "with blank", "two\nlines", "gone"):
        (tmp_path / name).write_text(name)
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *words: str, check: bool = True) -> str:
    named = ["-c", "user.name=Ada", "-c", "user.email=ada@lab", "-c", "protocol.file.allow=always"]
    return subprocess.run(["git", *named, *words], cwd=folder, capture_output=True, check=check, text=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "state")


def test_nothing_has_changed(folder: Path) -> None:
    """It is clean; a branch is named as a reference, a commit by its whole name."""
    found = Repository(folder).status()
    assert found.is_clean
    assert (found.commit, found.branch) == (git(folder, "rev-parse", "HEAD").strip(), "refs/heads/main")
    git(folder, "checkout", "--quiet", "--detach")
    assert Repository(folder).status().branch == ""


def test_there_is_no_commit_yet(tmp_path: Path) -> None:
    """That is not clean, even without files."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    found = Repository(tmp_path).status()
    assert (found.commit, found.branch, found.is_clean) == ("", "refs/heads/main", False)


def test_what_has_changed(folder: Path) -> None:
    """Files that are staged, changed, removed, moved, new, or a repository of their own."""
    (folder / "two\nlines").write_text("changed")
    (folder / "with blank").write_text("staged")
    git(folder, "add", "with blank")
    git(folder, "mv", "a.txt", "b.txt")
    (folder / "gone").unlink()
    (folder / "new file").write_text("new")
    git(folder, "init", "--quiet", "inner")
    (folder / "inner/file").write_text("x")
    found = Repository(folder).status()
    assert set(found.changed) == {"two\nlines", "with blank", "a.txt", "b.txt", "gone"}
    assert set(found.new) == {"new file", "inner/"}


def test_files_in_conflict(folder: Path) -> None:
    """They count as changed."""
    git(folder, "switch", "--quiet", "-c", "other")
    (folder / "a.txt").write_text("theirs")
    commit(folder)
    git(folder, "switch", "--quiet", "main")
    (folder / "a.txt").write_text("ours")
    commit(folder)
    git(folder, "merge", "other", check=False)
    assert Repository(folder).status().changed == ("a.txt",)


def test_submodules(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another commit of one can be committed; what is not committed in it cannot."""
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "--quiet", "--initial-branch", "main")
    (other / "file").write_text("x")
    commit(other)
    git(folder, "submodule", "--quiet", "add", str(other), "inner")
    commit(folder)
    assert Repository(folder).status().is_clean
    (folder / "inner/file").write_text("y")
    found = Repository(folder).status()
    assert (found.changed, found.submodules) == (("inner",), ("inner",))
    commit(folder / "inner")
    found = Repository(folder).status()
    assert (found.changed, found.submodules) == (("inner",), ())
