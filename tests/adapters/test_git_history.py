from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from filiera.adapters.git_history import GitHistory


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a new repository without commits, out of reach of this machine's git settings."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    return folder


def git(folder: Path, *words: str) -> str:
    """Return what git prints."""
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> str:
    """Commit all there is and return the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "Change something")
    return git(folder, "rev-parse", "HEAD")


def test_a_clean_commit(repository: Path) -> None:
    """The commit is named in full, and nothing differs from it."""
    (repository / "a.py").write_text("a")
    expected = commit(repository)
    state = GitHistory(repository).state()
    assert state is not None
    assert (state.commit, state.is_dirty) == (expected, False)


@pytest.mark.parametrize("change", ["edit", "new", "staged", "removed", "renamed"])
def test_any_change_is_seen(change: str, repository: Path) -> None:
    """Edited, new, staged, removed and renamed files all make the folder differ from its commit."""
    (repository / "a.py").write_text("a")
    expected = commit(repository)
    match change:
        case "edit" | "staged":
            (repository / "a.py").write_text("b")
        case "new":
            (repository / "b.py").write_text("b")
        case "removed":
            (repository / "a.py").unlink()
        case "renamed":
            git(repository, "mv", "a.py", "c.py")
    if change == "staged":
        git(repository, "add", "a.py")
    state = GitHistory(repository).state()
    assert state is not None
    assert (state.commit, state.is_dirty) == (expected, True)


def test_ignored_files_are_no_change(repository: Path) -> None:
    """The store lies in an ignored folder."""
    (repository / ".gitignore").write_text(".filiera/\n")
    commit(repository)
    (repository / ".filiera").mkdir()
    (repository / ".filiera" / "records.sqlite").write_text("x")
    state = GitHistory(repository).state()
    assert state is not None and not state.is_dirty


def test_before_the_first_commit_there_is_none(repository: Path) -> None:
    """An empty repository has no commit to name."""
    state = GitHistory(repository).state()
    assert state is not None
    assert (state.commit, state.is_dirty) == ("", False)


def test_a_folder_inside_the_repository(repository: Path) -> None:
    """A project may be a part of a larger repository."""
    (repository / "part").mkdir()
    (repository / "part" / "a.py").write_text("a")
    expected = commit(repository)
    state = GitHistory(repository / "part").state()
    assert state is not None and state.commit == expected


def test_outside_a_repository_it_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No repository is no error."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert GitHistory(tmp_path).state() is None
    assert GitHistory(tmp_path / "nowhere").state() is None


def test_without_git_it_says_nothing(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the program is no error, nor one on which it may not be started."""
    empty = repository.parent / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    assert GitHistory(repository).state() is None
    (empty / "git").write_text("no program")
    assert GitHistory(repository).state() is None


def test_names_in_any_encoding(repository: Path) -> None:
    """A file name that is no UTF-8 is a change like any other."""
    git(repository, "config", "core.quotePath", "false")
    commit(repository)
    (repository / os.fsdecode(b"caf\xe9.py")).write_text("a")
    state = GitHistory(repository).state()
    assert state is not None and state.is_dirty


def test_looking_changes_nothing(repository: Path) -> None:
    """The index is left as it is, so that a commit going on elsewhere is not disturbed."""
    (repository / "a.py").write_text("a")
    commit(repository)
    index = repository / ".git" / "index"
    os.utime(repository / "a.py", (1, 1))  # git would refresh what it remembers of the file
    before = (index.read_bytes(), index.stat().st_mtime_ns)
    assert GitHistory(repository).state() is not None
    assert (index.read_bytes(), index.stat().st_mtime_ns) == before
