"""Runs ``filiera`` in this process and the workers that it forks, where one kind of system call fails at some point.

python -m tests.faults.failing write|sync NUMBER STORE WORD…

Of all processes together, the call with that number fails: ``write`` and all later ones for lack of space, ``sync`` and
no other with an input/output error; 0: none does. Only what happens to files in the store counts. How many calls there
were is the last line of standard error.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import sqlite3
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_KEPT = struct.Struct("<Q")
_FSYNC_FAILED = sqlite3.SQLITE_IOERR | 4 << 8


class Fate:
    """Counts calls, in all processes together, and decides which fail."""

    def __init__(self, kind: str, number: int, store: str) -> None:
        self.kind, self.number, self.store = kind, number, store
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def count(self) -> int:
        return int(_KEPT.unpack_from(self._shared)[0])

    def is_next(self) -> bool:
        """Count a call and tell whether it fails."""
        count = self.count + 1
        _KEPT.pack_into(self._shared, 0, count)
        return count == self.number or (self.kind == "write" and 0 < self.number < count)

    def meets(self, place: Any) -> None:
        """Count a call on a file, if that is in the store. Raises OSError."""
        if self._is_ours(place) and self.is_next():
            number = errno.ENOSPC if self.kind == "write" else errno.EIO
            raise OSError(number, os.strerror(number))

    def _is_ours(self, place: Any) -> bool:
        if isinstance(place, int):
            if not stat.S_ISREG(os.fstat(place).st_mode) and not stat.S_ISDIR(os.fstat(place).st_mode):
                return False
            place = Path(f"/proc/self/fd/{place}").readlink()
        return str(Path(os.fsdecode(place)).absolute()).startswith(self.store)

    def wrap(self, name: str, position: int = 0) -> None:
        """Let a function of ``os`` be counted, by the file that its argument at *position* names."""
        former: Callable[..., Any] = getattr(os, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.meets(arguments[position])
            return former(*arguments, **options)

        setattr(os, name, counted)


def fail_writes(fate: Fate) -> None:
    """Have all that takes space on a disk counted: Python's files, names, and what SQLite is told to change."""

    class File(io.FileIO):
        def write(self, content: Any, /) -> int:
            fate.meets(self.fileno())
            return super().write(content)

    former = io.open

    def opened(file: Any, mode: str = "r", buffering: int = -1, *text: Any, **options: Any) -> Any:
        if not set(mode) & set("wxa+"):
            return former(file, mode, buffering, *text, **options)
        fate.meets(file)
        kept = {name: options.pop(name) for name in ("closefd", "opener") if name in options}
        raw = File(file, mode.replace("b", "").replace("t", ""), **kept)
        if buffering == 0:
            return raw
        buffer = io.BufferedRandom if "+" in mode else io.BufferedWriter
        buffered = buffer(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *text, **options)

    io.open = opened  # type: ignore[assignment]
    for name in ("write", "pwrite", "ftruncate", "mkdir"):
        fate.wrap(name)
    for name in ("link", "rename", "replace"):
        fate.wrap(name, 1)
    fail_statements(fate, ("INSERT", "UPDATE", "DELETE", "CREATE", "COMMIT"), sqlite3.SQLITE_FULL)


def fail_syncs(fate: Fate) -> None:
    """Have all that waits for the disk counted."""
    for name in ("fsync", "fdatasync"):
        fate.wrap(name)
    fail_statements(fate, ("COMMIT",), _FSYNC_FAILED)


def fail_statements(fate: Fate, verbs: tuple[str, ...], code: int) -> None:
    """Have statements of SQLite counted that begin with one of *verbs*; those that fail do so with SQLite's *code*."""

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            self._meet(sql)
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            self._meet(sql)
            return super().executemany(sql, *parameters)

        def _meet(self, sql: str) -> None:
            if sql.lstrip().startswith(verbs) and fate.is_next():
                error = sqlite3.OperationalError("made to fail")
                error.sqlite_errorcode = code
                raise error

    former = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return former(*arguments, **options, factory=Connection)

    sqlite3.connect = connect  # type: ignore[assignment]


def main() -> int:
    kind, number, store, *words = sys.argv[1:]
    fate = Fate(kind, int(number), store)
    (fail_writes if kind == "write" else fail_syncs)(fate)
    from filiera.cli.main import main as filiera  # after what it imports was changed

    code = filiera(words)
    print(fate.count, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
