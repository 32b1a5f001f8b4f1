"""What an experiment is called, and where its parts are."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from filiera.core.digest import digest
from filiera.errors import UsageError

BRANCHES = "refs/heads/exp/"
ARCHIVE = "refs/archive/exp/"
RECORDS = "experiments"
"""The folder of the project in which records are committed, a folder for each experiment."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_BITS, _CHANCE_BITS, _BITS = 48, 80, 5
_last_number = 0


def check_experiment_name(name: str) -> str:
    """Return *name* if it can name an experiment: small letters, digits and ``-``, a letter first, at most 48.

    Raises:
        UsageError: It cannot.

    >>> check_experiment_name("deeper-trees")
    'deeper-trees'
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name an experiment.",
            why="The name becomes a branch, a folder, and part of the names of what it publishes.",
            do="Use small letters, digits and '-', a letter first, at most 48.",
        )
    return name


def branch_of(name: str) -> str:
    """Return the reference of an experiment's branch.

    >>> branch_of("deeper")
    'refs/heads/exp/deeper'
    """
    return f"{BRANCHES}{name}"


def new_id() -> str:
    """Return a name for a record: 26 letters and digits, of which later ones sort after earlier ones.

    Source:
        The ULID specification: 48 bits of milliseconds since the epoch, 80 bits of chance, in Crockford's base 32; in a
        process each is greater than the one before, also in the same millisecond.
    """
    global _last_number
    now = (time.time_ns() // 1_000_000) << _CHANCE_BITS | int.from_bytes(os.urandom(_CHANCE_BITS // 8))
    number = _last_number = max(now, _last_number + 1)
    places = range((_TIME_BITS + _CHANCE_BITS) // _BITS, -1, -1)
    return "".join(_LETTERS[number >> (place * _BITS) & (2**_BITS - 1)] for place in places)


def time_of(record_id: str) -> float | None:
    """Return when ``new_id`` made a name, in seconds since the epoch; None for what it has not made.

    >>> time_of("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    1469922850.259
    """
    if len(record_id) != (_TIME_BITS + _CHANCE_BITS) // _BITS + 1 or set(record_id) - set(_LETTERS):
        return None
    number = 0
    for letter in record_id:
        number = number << _BITS | _LETTERS.index(letter)
    return (number >> _CHANCE_BITS) / 1000


def worktrees_folder(common: Path) -> Path:
    """Return the folder for the worktrees of a repository: outside of it, so that no tool walks into them.

    It is below ``$XDG_STATE_HOME``, by default ``~/.local/state``; ``$FILIERA_WORKTREES`` names another one.
    """
    chosen = os.environ.get("FILIERA_WORKTREES")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    base = Path(chosen) if chosen else state / "filiera" / "worktrees"
    return base / f"{common.parent.name}-{digest('repository/1', os.fsencode(common.resolve()))[:8]}"
