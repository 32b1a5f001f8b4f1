"""What stores on a local disk share: folders that survive a power cut, and the disk's errors in our words."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filiera.errors import StoreError, StoreFull

Sync = Callable[[int], None]
"""Comes back when what was written to a file descriptor is on the disk, as ``os.fsync`` does."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def make_folder(folder: Path, sync: Sync) -> None:
    """Make *folder* and the folders above it where missing; its name survives a power cut. Raises OSError."""
    try:
        folder.mkdir()
    except FileNotFoundError:
        make_folder(folder.parent, sync)
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        if not folder.is_dir():
            raise
    sync_folder(folder.parent, sync)


def sync_folder(folder: Path, sync: Sync) -> None:
    """Come back when the names in *folder* are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(file: Path) -> Iterator[None]:
    """Say in our words what the disk says in the block, which uses *file*. Raises StoreError."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, Path(os.fsdecode(error.filename or file))) from error


def disk_error(error: OSError, file: Path) -> StoreError:
    """Return what *error*, met at *file*, means to the user: StoreFull when there is no space, else StoreError."""
    if error.errno in _FULL:
        return full_disk(file, str(error.strerror))
    if error.errno in _FORBIDDEN:
        return read_only(file, str(error.strerror))
    return StoreError(
        f"The store cannot use {file}.",
        why=f"The system says: {error.strerror or error}.",
        do="Check that the store's folder is a folder, and the disk's health (dmesg, smartctl), then run again.",
    )


def full_disk(file: Path, reason: str) -> StoreFull:
    """Return the error for a disk without space for *file*."""
    return StoreFull(
        f"No space is left to write {file}.",
        why=f"The system says: {reason}. Nothing was half-written.",
        do="Free space on that disk (filiera gc --dry-run says how much it would), or raise the quota, then run again: "
        "finished steps are not repeated.",
    )


def read_only(file: Path, reason: str) -> StoreError:
    """Return the error for a *file* that this user may not write or read."""
    return StoreError(
        f"The store may not use {file}.",
        why=f"The system says: {reason}. The folder is read-only, or belongs to another user.",
        do=f"Give this user the right to write in {file.parent}, or name another folder in filiera.toml.",
    )
