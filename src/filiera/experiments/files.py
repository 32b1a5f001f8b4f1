"""Which files can be kept in a branch: not data that nobody meant to commit, nor repositories of their own."""

from __future__ import annotations

from pathlib import Path

from filiera.adapters.git_repository import Repository
from filiera.errors import UsageError

LARGEST_NEW_BYTES = 64 * 1024 * 1024
"""Of new files that are neither ignored nor committed, together."""


def require_keepable(repository: Repository, worktree: Path, *, most_bytes: int | None = LARGEST_NEW_BYTES) -> None:
    """Refuse new files in *worktree* that a commit cannot keep, or should not.

    Raises:
        UsageError: There is a repository in it, or, unless *most_bytes* is None, new files are larger together.
    """
    names = repository.new_files(worktree)
    inner = [name for name in names if name.endswith("/")]
    if inner:
        raise UsageError(
            f"{worktree / inner[0]} is a repository of its own.",
            why="A commit would keep its name and none of its files.",
            do=f"Move it elsewhere, or ignore it: echo {inner[0]} >> .gitignore",
        )
    if most_bytes is None:
        return
    sizes = {name: _size(worktree / name) for name in names}
    if sum(sizes.values()) > most_bytes:
        largest = max(sizes, key=sizes.__getitem__)
        raise UsageError(
            f"New files of {sum(sizes.values()) / 1e6:,.0f} MB would be committed, such as {largest}.",
            why="They are not ignored, and an experiment keeps all other files in its branch.",
            do=f"Ignore data: echo {largest} >> .gitignore; or commit them yourself.",
        )


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:
        return 0
