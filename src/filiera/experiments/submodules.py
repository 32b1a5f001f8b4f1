"""Submodules: a branch keeps which commit of each it uses, and nothing of what is in them."""

from __future__ import annotations

from pathlib import Path

from filiera.adapters.git_repository import Repository
from filiera.adapters.git_status import Status
from filiera.errors import ProjectError

_FILE = ".gitmodules"


def has_submodules(folder: Path) -> bool:
    """Tell whether the repository whose files are in *folder* has submodules."""
    return (folder / _FILE).exists()


def require_committed_submodules(status: Status, worktree: Path) -> None:
    """Refuse submodules in *worktree* with changes of their own: a branch could not keep them. Raises ProjectError."""
    if status.submodules:
        raise ProjectError(
            f"Submodules have changes that are not committed: {', '.join(status.submodules)}.",
            why="A branch keeps which commit of a submodule it uses, and nothing else of it.",
            do=f"Commit them in the submodules first: cd {worktree / status.submodules[0]}",
        )


def require_pushed_submodules(repository: Repository, worktree: Path) -> None:
    """Refuse to remove *worktree* while submodules in it have what is nowhere else. Raises ProjectError."""
    if has_submodules(worktree):
        require_committed_submodules(repository.status(), worktree)
    for name in _names(repository, worktree):
        folder = worktree / name
        if (folder / ".git").exists():
            words = ("log", "--format=%h %s", "HEAD", "--branches", "--not", "--remotes", "--max-count=1")
            if commit := repository.git(*words, cwd=folder):
                raise ProjectError(
                    f"Submodule {name} in {worktree} has commits that were not pushed, such as {commit}.",
                    why="They would be removed with the folder.",
                    do=f"git -C {folder} push; or give them up: git -C {worktree} submodule deinit --force {name}",
                )


def _names(repository: Repository, worktree: Path) -> list[str]:
    if not has_submodules(worktree):
        return []
    words = ("config", "--file", _FILE, "--null", "--get-regexp", r"^submodule\..*\.path$")
    return [each.partition("\n")[2] for each in repository.git(*words, cwd=worktree, check=False).split("\0") if each]
