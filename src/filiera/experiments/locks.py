"""Locks that killed git processes left: each would stop git for good, until somebody removes it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from filiera.experiments.place import Place

_OF_FOLDER = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock")
_OF_ALL = ("packed-refs.lock", "config.lock")
_OLD_S = 3600.0
"""Where the system does not tell which processes there are, a lock of this age is dead."""


def dead_locks(place: Place) -> list[Path]:
    """Return the locks in a repository that no living git process can have, those of the user's own commands too."""
    repository = place.repository
    seen = {lock: status for lock in _locks(repository.common) if (status := _status(lock))}
    if not seen:
        return []
    folders = [repository.common, *(each.path for each in repository.worktrees())]
    if Path("/proc/self/cwd").exists():
        dead = {} if _is_git_in(folders) else seen
    else:
        dead = {lock: status for lock, status in seen.items() if time.time() - status[1] / 1e9 > _OLD_S}
    return [lock for lock, status in dead.items() if _status(lock) == status]


def _locks(common: Path) -> Iterator[Path]:
    for folder in (common, *(common / "worktrees").glob("*")):
        yield from (folder / name for name in _OF_FOLDER)
    yield from (common / name for name in _OF_ALL)
    yield from (common / "refs").rglob("*.lock")


def _status(lock: Path) -> tuple[int, int] | None:
    try:
        found = lock.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _is_git_in(folders: Sequence[Path]) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().startswith("git"):
                working = (process / "cwd").readlink()
                if any(working.is_relative_to(folder) for folder in folders):
                    return True
        except OSError:  # it has ended, or is another user's
            continue
    return False


def remove_locks(locks: Sequence[Path]) -> None:
    """Remove locks; one that is gone meanwhile is none any more."""
    for lock in locks:
        lock.unlink(missing_ok=True)
