"""One at a time: what keeps house in a store, such as clean-up and import, holds its lock."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filiera.adapters.local_disk import disk_error
from filiera.errors import StoreBusy

_FILE = "housekeeping.lock"


@contextmanager
def alone(store: Path) -> Iterator[None]:
    """Hold the store's housekeeping lock for the block; the kernel gives it back when the process ends, however.

    Runs go on beside it: it is among those who remove records or add those of other stores.

    Raises:
        StoreBusy: Another process holds it.
        StoreError: The store cannot be written.
    """
    file = store / _FILE
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise disk_error(error, file) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreBusy(
                f"Another process keeps house in {store}.",
                why="Clean-up, repair and import change what is recorded, one at a time.",
                do="Wait until filiera gc, filiera doctor --repair or filiera import has ended there, then try again.",
            ) from error
        yield
    finally:
        os.close(descriptor)
