"""Worktrees of a repository, by the ``git`` program: written, moved and removed so that nothing is ever half there."""

from __future__ import annotations

import shutil
from pathlib import Path

from filiera.adapters.git_repository import SCRATCH, Repository


def add(repository: Repository, path: Path, commit: str, *, lock: str = "") -> None:
    """Write the files of a commit, or of a branch that is checked out then, into a new folder.

    Where *lock* says why, git does not forget the worktree when its folder is gone.
    """
    parallel = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "checkout.workers", "GIT_CONFIG_VALUE_0": "0"}
    locked = ("--lock", "--reason", lock) if lock else ()
    repository.git("worktree", "add", "--quiet", *locked, str(path), commit, variables=parallel)


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
