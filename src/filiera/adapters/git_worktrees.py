"""Worktrees of a repository, by the ``git`` program: written, moved and removed so that nothing is ever half there."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from filiera.adapters.git_repository import SCRATCH, Repository

_PARALLEL = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "checkout.workers", "GIT_CONFIG_VALUE_0": "0"}


def add(repository: Repository, path: Path, commit: str, *, only: Sequence[str] = (), lock: str = "") -> None:
    """Write the files of a commit, or of a branch that is checked out then, into a new folder.

    Args:
        repository: Of which it becomes a worktree.
        path: The folder.
        commit: The commit or branch.
        only: Folders, from the top of the repository: these are written with all that is in them, and the files that
            lie in folders above them; the worktree knows of the others and does without. By default all files are.
        lock: Why git must not forget the worktree when its folder is gone; "": it may.
    """
    locked = ("--lock", "--reason", lock) if lock else ()
    words = ("worktree", "add", "--quiet", *locked)
    if not only:
        repository.git(*words, str(path), commit, variables=_PARALLEL)
        return
    repository.git(*words, "--no-checkout", str(path), commit)
    repository.git("sparse-checkout", "set", "--cone", "--sparse-index", *only, cwd=path)
    repository.git("reset", "--hard", "--quiet", cwd=path, variables=_PARALLEL)


def left_out(worktree: Repository) -> set[str]:
    """Return the files that the commit has and that a worktree does without."""
    if not (worktree.git_dir / "info/sparse-checkout").exists():
        return set()
    listed = worktree.git("ls-files", "-t", "-z", cwd=worktree.top).split("\0")
    return {line[2:] for line in listed if line.startswith("S ")}


def count_files(worktree: Repository) -> int:
    """Return how many files a worktree has that does without none."""
    try:
        with (worktree.git_dir / "index").open("rb") as file:
            return int.from_bytes(file.read(12)[8:], "big")
    except OSError:
        return 0


def move(repository: Repository, path: Path, to: Path) -> None:
    """Move a worktree, also one that is locked."""
    repository.git("worktree", "move", "--force", "--force", str(path), str(to))


def remove(repository: Repository, path: Path, aside: Path) -> None:
    """Remove a worktree, its folder and all that is in it; a folder that is gone already is only forgotten.

    It is renamed to *aside* first, beside it: whoever is killed does not leave half of the files, which would look
    as if somebody had deleted the others.
    """
    shutil.rmtree(aside, ignore_errors=True)
    if path.exists():
        path.rename(aside)
    discard(repository, path)
    shutil.rmtree(aside, ignore_errors=True)


def discard(repository: Repository, path: Path) -> None:
    """Remove a folder that was to become a worktree, and what git knows of it, however far that had come."""
    shutil.rmtree(path, ignore_errors=True)
    for known in _known(repository, path):
        aside = repository.common / f"{SCRATCH}{known.name}"
        shutil.rmtree(aside, ignore_errors=True)
        known.rename(aside)
        shutil.rmtree(aside)


def is_known(repository: Repository, path: Path) -> bool:
    """Tell whether git keeps something for a worktree at *path*, even if too little to list it."""
    return bool(_known(repository, path))


def _known(repository: Repository, path: Path) -> list[Path]:
    found = []
    for known in (repository.common / "worktrees").glob("*"):
        try:
            is_of_path = Path((known / "gitdir").read_text().strip()).parent == path
        except OSError:  # git had not come so far; it names the folder after the worktree's
            is_of_path = known.name.rstrip("0123456789") == path.name.replace(".", "-", 1)
        found += [known] if is_of_path else []
    return found
