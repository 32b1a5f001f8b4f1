from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from filiera.adapters.git_history import LARGEST_NEW_FILE_BYTES, GitHistory
from filiera.errors import ProjectError


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


def rebuilt(folder: Path, tmp_path: Path) -> Path:
    """Return the files of a project as they are now, written elsewhere from the commit and the changes."""
    history = GitHistory(folder)
    state = history.state()
    changes = history.changes()
    assert state is not None and changes is not None
    return history.check_out(state.commit, changes.patch, tmp_path / "elsewhere")


def files_in(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Return kind and content of every file of a folder, without the repository."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if ".git" not in path.parts and not (path.is_dir() and not path.is_symlink()):
            kind = "link" if path.is_symlink() else "program" if os.access(path, os.X_OK) else "file"
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            found[os.fsdecode(path.relative_to(folder))] = (kind, content)
    return found


def test_a_dirty_tree_is_rebuilt_to_the_byte(repository: Path, tmp_path: Path) -> None:
    """Edited, removed, renamed, staged, binary and new files of any name and kind come back as they were."""
    for name in ("a.py", "b.py", "c.py", "gone.py"):
        (repository / name).write_text(f"{name} = 1\n" * 3)
    (repository / "image").write_bytes(bytes(range(256)))
    commit(repository)
    (repository / "a.py").write_text("a = 2")
    (repository / "gone.py").unlink()
    git(repository, "mv", "b.py", "moved.py")
    (repository / "c.py").write_text("staged\n")
    git(repository, "add", "c.py")
    (repository / "c.py").write_text("staged, then edited\r\n")
    (repository / "image").write_bytes(bytes(range(255, -1, -1)))
    (repository / "deep" / "er").mkdir(parents=True)
    new = {
        "deep/er/new.py": b"new\n",
        "no end": b"without a line end",
        "empty": b"",
        "one line end": b"\n",
        "binary": bytes(range(256)) * 40,
        "caf\u00e9.py": "é\n".encode(),
        'quo"te\\.py': b"x\n",
        "line\nbreak.py": b"x\n",
        "tab\t.py": b"x\n",
        os.fsdecode(b"latin\xe9"): b"\xff\xfe\n",
    }
    for name, content in new.items():
        (repository / name).write_bytes(content)
    (repository / "run.sh").write_text("#!/bin/sh\n")
    (repository / "run.sh").chmod(0o755)
    (repository / "link").symlink_to("deep/er/new.py")
    assert files_in(rebuilt(repository, tmp_path)) == files_in(repository)


def test_ignored_files_are_never_in_the_changes(repository: Path) -> None:
    """What is ignored may be secret."""
    (repository / ".gitignore").write_text(".env\n")
    commit(repository)
    (repository / ".env").write_text("PASSWORD=x")
    (repository / "new.py").write_text("x")
    history = GitHistory(repository)
    history.state()
    changes = history.changes()
    assert changes is not None
    assert (b"PASSWORD" in changes.patch, b"new.py" in changes.patch) == (False, True)


def test_large_new_files_are_left_out_and_named(repository: Path) -> None:
    """New data does not swell the records, and nobody is left to wonder."""
    commit(repository)
    (repository / "big.bin").write_bytes(b"x" * (LARGEST_NEW_FILE_BYTES + 1))
    for number in range(9):
        (repository / f"{number}.bin").write_bytes(b"x" * LARGEST_NEW_FILE_BYTES)
    history = GitHistory(repository)
    history.state()
    changes = history.changes()
    assert changes is not None
    assert changes.left_out == ("8.bin", "big.bin")


def test_the_store_is_no_part_of_the_code(repository: Path) -> None:
    """A store that nobody has told git to ignore makes nothing dirty, and is not in the changes."""
    commit(repository)
    (repository / ".filiera").mkdir()
    (repository / ".filiera" / "records.sqlite").write_text("x")
    history = GitHistory(repository, leave_out=[repository / ".filiera", repository.parent / "elsewhere"])
    state = history.state()
    assert state is not None and not state.is_dirty
    (repository / "a.py").write_text("a")
    state = history.state()
    changes = history.changes()
    assert state is not None and state.is_dirty
    assert changes is not None and b"records" not in changes.patch


def test_a_part_of_a_repository_is_rebuilt_with_the_rest(repository: Path, tmp_path: Path) -> None:
    """The project may use code beside it; new files count below it only."""
    (repository / "part").mkdir()
    (repository / "part" / "a.py").write_text("a")
    (repository / "beside.py").write_text("b")
    commit(repository)
    (repository / "beside.py").write_text("changed")
    (repository / "part" / "new.py").write_text("new")
    (repository / "stray.py").write_text("stray")
    place = rebuilt(repository / "part", tmp_path)
    assert {name: content for name, (_, content) in files_in(place.parent).items()} == {
        "part/a.py": b"a",
        "part/new.py": b"new",
        "beside.py": b"changed",
    }


def test_rebuilding_writes_nothing_into_the_repository(repository: Path, tmp_path: Path) -> None:
    """Neither objects, nor work trees, nor the index."""
    (repository / "a.py").write_text("a")
    commit(repository)
    (repository / "a.py").write_text("b")
    (repository / "new.py").write_text("new")
    before = {path: path.stat().st_mtime_ns for path in sorted(repository.rglob("*"))}
    rebuilt(repository, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in sorted(repository.rglob("*"))} == before


def test_a_commit_that_is_gone_is_told(repository: Path, tmp_path: Path) -> None:
    """History is rewritten; then it is said what is missing, and nothing is made."""
    commit(repository)
    with pytest.raises(ProjectError, match=r"Commit 012345678901 is not in the repository"):
        GitHistory(repository).check_out("0123456789012345678901234567890123456789", b"", tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(ProjectError, match="is not in the repository"):
        GitHistory(tmp_path).check_out("0" * 40, b"", tmp_path / "elsewhere")


def test_changes_of_another_commit_do_not_fit(repository: Path, tmp_path: Path) -> None:
    """A patch that does not fit is an error, never half applied in silence."""
    (repository / "a.py").write_text("a\n")
    first = commit(repository)
    (repository / "a.py").write_text("b\n")
    commit(repository)
    (repository / "a.py").write_text("c\n")
    history = GitHistory(repository)
    history.state()
    changes = history.changes()
    assert changes is not None
    with pytest.raises(ProjectError, match="do not fit"):
        history.check_out(first, changes.patch, tmp_path / "elsewhere")


def test_changes_outside_a_repository_are_unknown(tmp_path: Path) -> None:
    """Where there is no commit, nothing differs from it."""
    assert GitHistory(tmp_path).changes() is None


def test_what_is_asked_ahead_is_collected_once(repository: Path) -> None:
    """An answer asked for early is the state of then; nobody has to collect it."""
    commit(repository)
    history = GitHistory(repository)
    history.ask()
    state = history.state()
    assert state is not None and not state.is_dirty
    (repository / "a.py").write_text("a")
    state = history.state()
    assert state is not None and state.is_dirty
    history.ask()
    del history


def test_what_a_sparse_checkout_leaves_out(repository: Path) -> None:
    """Files, folders and patterns, from the project's folder; what is here, or is nowhere, is not left out."""
    for name in ("data/a.csv", "data/b.csv", "project/work.py"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(name)
    git(repository, "add", "--all")
    commit(repository)
    assert not GitHistory(repository).leaves_out("data")
    git(repository, "sparse-checkout", "set", "project")
    here, below = GitHistory(repository), GitHistory(repository / "project")
    assert here.leaves_out("data") and here.leaves_out("data/a.csv") and here.leaves_out("./data/*.csv")
    assert below.leaves_out("../data/a.csv") and not below.leaves_out("data/a.csv")
    assert not here.leaves_out("project/work.py") and not here.leaves_out("nothing/*")
    assert not here.leaves_out("../data") and GitHistory(repository.parent).leaves_out("data") is False
