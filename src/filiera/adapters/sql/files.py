"""Databases that are files: found when they are read, made when they are written to."""

from __future__ import annotations

import os
from pathlib import Path

from filiera.adapters.sources.entries import file_digest, find_file
from filiera.adapters.sql.entry import Address
from filiera.core.digest import digest
from filiera.errors import SourceError


def database_file(address: Address, root: Path) -> Path:
    """Return the file of a database that is there. Raises SourceError."""
    return find_file({"type": "sql", "path": address.uri.partition(":")[2]}, root).absolute()


def writable_file(address: Address, place: str, root: Path) -> Path:
    """Return the file of a database, which may be new. Raises SourceError when there is no folder for it."""
    path = (root / address.uri.partition(":")[2]).absolute()
    if not path.parent.is_dir():
        raise SourceError(f"Cannot write {place}.", why=f"There is no folder {path.parent}.", do="Make it first.")
    return path


def state_of_files(path: Path, waiting: str) -> str:
    """Return the digest of a database's file, and of the changes that wait beside it to be in it.

    Args:
        path: The file.
        waiting: How the names of files with changes go on behind the file's: "-wal".

    Raises:
        SourceError: One cannot be read.
    """
    beside = sorted(each for each in path.parent.iterdir() if each.name.startswith(f"{path.name}{waiting}"))
    logs = [file_digest(each) for each in beside if each.is_file() and each.stat().st_size]
    return digest("database/1", *(part.encode() for part in (file_digest(path), *logs)))


def is_open_here(path: Path, *, to_write: bool) -> bool:
    """Tell whether this process has a file open; *to_write*: in order to write, too.

    Locks of a process do not keep the process itself away, and they are gone when it closes the file in any place.
    """
    try:
        import fcntl

        wanted, numbers = path.stat(), os.listdir("/dev/fd")  # noqa: PTH208  names are all we want
    except (ImportError, OSError):  # Windows, where the system refuses; or the file is new
        return False
    return any(_leads_to(int(number), wanted, fcntl.F_GETFL if to_write else None) for number in numbers)


def _leads_to(number: int, wanted: os.stat_result, flags: int | None) -> bool:
    import fcntl

    try:
        if not os.path.samestat(os.fstat(number), wanted):
            return False
        return flags is None or fcntl.fcntl(number, flags) & os.O_ACCMODE != os.O_RDONLY
    except OSError:  # the one that listed the folder
        return False
