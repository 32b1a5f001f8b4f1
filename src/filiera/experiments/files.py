"""Which files can be kept in a branch: not data that nobody meant to commit, nor repositories of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from filiera.adapters.git_repository import Repository
from filiera.adapters.git_status import Status
from filiera.errors import UsageError
from filiera.experiments.submodules import require_committed_submodules

LARGEST_NEW_BYTES = 64 * 1024 * 1024
"""Of new files that are neither ignored nor committed, together, of which git would keep all bytes."""


def require_keepable(repository: Repository, status: Status, *, may_be_large: bool = False) -> None:
    """Refuse new files in *worktree* that a commit cannot keep, or should not.

    Raises:
        ProjectError: A submodule has changes of its own.
        UsageError: There is a repository in it, or, unless they *may_be_large*, new files are larger than the limit.
    """
    worktree, names = repository.top, status.new
    require_committed_submodules(status, worktree)
    inner = [name for name in names if name.endswith("/")]
    if inner:
        raise UsageError(
            f"{worktree / inner[0]} is a repository of its own.",
            why="A commit would keep its name and none of its files.",
            do=f"Move it elsewhere, or ignore it: echo {inner[0]} >> .gitignore",
        )
    if may_be_large:
        return
    sizes = {name: _size(worktree / name) for name in names}
    if sum(sizes.values()) > LARGEST_NEW_BYTES:
        filtered = _filtered(repository, worktree, names)
        sizes = {name: size for name, size in sizes.items() if name not in filtered}
    if sum(sizes.values()) > LARGEST_NEW_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise UsageError(
            f"New files of {sum(sizes.values()) / 1e6:,.0f} MB would be committed, such as {largest}.",
            why="They are not ignored, and an experiment keeps all other files in its branch.",
            do=f"Ignore data: echo {largest} >> .gitignore; or commit them yourself.",
        )


def _filtered(repository: Repository, worktree: Path, names: Sequence[str]) -> set[str]:
    """Return those files of which git keeps what a filter makes of them, such as the pointers of LFS."""
    given = os.fsencode("\0".join(names))
    told = repository.git("check-attr", "--stdin", "-z", "filter", cwd=worktree, given=given).split("\0")
    return {name for name, value in zip(told[::3], told[2::3], strict=False) if value not in ("unspecified", "unset")}


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:
        return 0
