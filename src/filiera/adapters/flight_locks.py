"""Who computes what at the moment, told among all processes of this machine that use one store.

``FlightLocks`` keeps a table in a file: which key is taken by which holder. A holder is a driver; its worker processes
take keys in its name. It holds a byte of the file locked for as long as its process lives, so that what a killed driver
took is free again without anybody cleaning up. A lock of the kernel per key would say the same, but it keeps the locks
of a file in a list: with 10,000 of them one more takes 100 µs, here it takes a few at any number.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Mapping
from pathlib import Path

from filiera.adapters.local_disk import disk_error
from filiera.core.digest import digest
from filiera.errors import StoreError, UsageError

_ENTRY = struct.Struct("<QQ")  # key and holder, the first 62 bits of each; zeros when free
_FREE = bytes(_ENTRY.size)
_BUCKETS, _BUCKET_ENTRIES = (
    2048,
    16,
)  # enough for ten thousand keys; touching a page of it for the first time takes 5 to 30 µs
_BUCKET_BYTES = _BUCKET_ENTRIES * _ENTRY.size
_HOLDERS_AT = 1 << 62  # bytes to lock lie beyond the end of the file: bucket number, or this and the holder


class FlightLocks:
    """Keys taken by this process, or in the name of another one.

    Threads may share it. Objects of one process with the same *path* are one holder: what one has taken, the other does
    not get.
    """

    def __init__(self, path: Path, *, holder: int | None = None) -> None:
        """Open the table in the file *path*, which is made when it is not there.

        Args:
            path: The same file for all who must not compute the same; in a folder that exists.
            holder: In whose name keys are taken: ``holder`` of the driver's object, in its workers. None: in this
                process's own name, for as long as it lives.

        Raises:
            StoreError: The file cannot be made, opened or locked.
        """
        with _opening:
            place = os.getpid(), os.path.abspath(path)  # noqa: PTH100  resolving links would read each folder
            table = _tables.get(place)
            if table is None:
                table = _tables[place] = _Table(path)
            if holder is None and not table.holder:
                table.become_holder()
            table.users += 1
        self._table, self._place, self._is_closed = table, place, False
        self.holder = table.holder if holder is None else holder  #: to pass to workers

    def try_take(self, key: str) -> bool:
        """Take *key*, at least 16 hex digits; return False when it is taken, by whomever, or no place is left.

        Raises:
            StoreError: The file cannot be written; StoreFull when no space is left.
        """
        return self._table.try_take(int(key[:16], 16) >> 2 or 1, self.holder)

    def release(self, key: str) -> None:
        """Let others take *key*, whether this object took it or a worker in this holder's name; not taken is fine."""
        self._table.release(int(key[:16], 16) >> 2 or 1, self.holder)

    def close(self) -> None:
        """Release what this process has taken in its own name, when its last object with this path is closed."""
        with _opening:
            if self._is_closed:
                return
            self._is_closed = True
            self._table.users -= 1
            if self._table.users == 0:
                del _tables[self._place]
                self._table.close()


class Limits:
    """Named limits of how many may do something at once, in all processes of this machine together.

    >>> import tempfile
    >>> limits = Limits(Path(tempfile.mkdtemp(), "limits"), {"gpu": 1})
    >>> token = limits.try_take("gpu")
    >>> limits.try_take("gpu") is None, limits.release(token), limits.try_take("gpu") is None
    (True, None, False)
    """

    def __init__(self, path: Path, sizes: Mapping[str, int]) -> None:
        """Open the table of taken places in the file *path*; *sizes*: how many places each name has, at least 1.

        Raises:
            StoreError: The file cannot be made, opened or locked.
        """
        self._places = {
            name: [digest("limit/1", name.encode(), b"%d" % place) for place in range(size)]
            for name, size in sizes.items()
        }
        self._locks = FlightLocks(path)

    def try_take(self, name: str) -> str | None:
        """Return a token for ``release``, or None when all places of *name* are taken.

        Raises:
            UsageError: No limit has that name.
        """
        if name not in self._places:
            raise UsageError(
                f"No limit {name!r}.",
                why=f"There is: {', '.join(self._places) or 'none'}.",
                do=f"Write {name} = 1 (or how many may run at once) under [limits] in filiera.toml.",
            )
        return next((place for place in self._places[name] if self._locks.try_take(place)), None)

    def release(self, token: str) -> None:
        """Give a place back."""
        self._locks.release(token)

    def close(self) -> None:
        """Give all places back that this process has taken, when its last object with this path is closed."""
        self._locks.close()


class _Table:
    """The file, once per process: a process that closes one of two descriptors of it loses its locks.

    It is not mapped: it has holes, and touching one of a full disk through a map ends the process with SIGBUS.
    """

    def __init__(self, path: Path) -> None:
        self.users = 0
        self.holder = 0
        self._mutex = threading.Lock()  # the kernel's locks tell processes apart, not threads
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                size = _BUCKETS * _BUCKET_BYTES
                if os.fstat(self._fd).st_size < size:
                    os.ftruncate(self._fd, size)
            except OSError:
                os.close(self._fd)
                raise
        except OSError as error:
            raise _unusable(path, error) from error
        self._path = path

    def become_holder(self) -> None:
        """Choose a name, and hold it until the process ends."""
        self.holder = int.from_bytes(os.urandom(8), "big") >> 2 or 1
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _HOLDERS_AT + self.holder)
        except OSError as error:
            raise _unusable(self._path, error) from error

    def try_take(self, key: int, holder: int) -> bool:
        bucket = key % _BUCKETS
        start = bucket * _BUCKET_BYTES
        with self._mutex:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, bucket)
            try:
                place = self._place_for(key, os.pread(self._fd, _BUCKET_BYTES, start), holder)
                if place is None:
                    return False
                os.pwrite(self._fd, _ENTRY.pack(key, holder), start + place)
                return True
            except OSError as error:
                raise disk_error(error, self._path) from error
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, bucket)

    def release(self, key: int, holder: int) -> None:
        # Without the bucket's lock: nobody moves an entry, and nobody but its holder changes it.
        start = key % _BUCKETS * _BUCKET_BYTES
        at = _find(_ENTRY.pack(key, holder), os.pread(self._fd, _BUCKET_BYTES, start))
        if at >= 0:
            os.pwrite(self._fd, _FREE, start + at)

    def close(self) -> None:
        os.close(self._fd)

    def _place_for(self, key: int, bucket: bytes, holder: int) -> int | None:
        """Return where in *bucket* the key can be entered, or None when it is taken or no place is free."""
        if bucket != _EMPTY_BUCKET:
            free = -1
            for at, (taken, by) in zip(_PLACES, _ENTRY.iter_unpack(bucket), strict=True):
                if taken == key:
                    return None if by == holder or self._lives(by) else at
                if free < 0 and not taken:
                    free = at
            if free < 0:  # rare enough to ask for each
                owners = zip(_PLACES, _ENTRY.iter_unpack(bucket), strict=True)
                return next((at for at, (_, by) in owners if by != holder and not self._lives(by)), None)
            return free
        return 0

    def _lives(self, holder: int) -> bool:
        if holder == self.holder:
            return True
        byte = _HOLDERS_AT + holder
        # Two who ask at the same moment about one that is dead: one may be told that it lives, and asks again later.
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return True
            raise
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)
        return False


_EMPTY_BUCKET = bytes(_BUCKET_BYTES)
_PLACES = range(0, _BUCKET_BYTES, _ENTRY.size)
_opening = threading.Lock()
_tables: dict[tuple[int, str], _Table] = {}
"""The tables that are open, by process (a fork inherits the others' but none of their locks) and file."""


def _find(entry: bytes, bucket: bytes) -> int:
    at = bucket.find(entry)
    while at > 0 and at % _ENTRY.size:
        at = bucket.find(entry, at + 1)
    return at


def _unusable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be used to tell who computes what.",
        why=str(error),
        do="Check that the store is on a local disk, and that its folder can be written to.",
    )
