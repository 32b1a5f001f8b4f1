"""Records in one SQLite file: a write-ahead log, one writer at a time, whom readers need not wait for."""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from filiera.adapters.local_disk import disk_error, full_disk, make_folder, read_only
from filiera.errors import SchemaTooNew, StoreBusy, StoreError
from filiera.ports import Row, Statement
from filiera.sql.loader import SCHEMA_VERSION, load_migrations, load_queries

T = TypeVar("T")

_WAIT_S = 0.2
"""SQLite waits so long at a stretch for another process, deaf to Ctrl-C; we go on asking until the time-out."""
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CLOSED_TO_US = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_NO_LOG = {*_CLOSED_TO_US, sqlite3.SQLITE_IOERR}
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_FAILURES = (sqlite3.Error, OverflowError, UnicodeEncodeError)
"""What sqlite3 raises, for the database or for a value that it cannot take."""


class SqliteRecords:
    """A MetadataStore in one file, opened at first use; for any number of threads, processes and forks.

    Threads that share one store take turns; a store of another thread or process reads while this one writes.

    Measured and left at SQLite's own setting, because no change paid: mmap_size, temp_store, cache_size, page_size.
    """

    def __init__(self, file: Path, *, busy_timeout_s: float = 30.0) -> None:
        self._file = Path(file).absolute()
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._is_frozen = False  # no log can be made: what is read now may be another thing next time
        _stores.add(self)

    def write(self, statements: Sequence[Statement], *, durable: bool = False) -> list[list[Row]]:
        """Run *statements* in one transaction, all or nothing; return each one's rows (RETURNING), else empty lists.

        With *durable*, come back only when these records and all before them survive a power cut. Raises StoreBusy,
        StoreFull, StoreError.
        """
        calls: list[tuple[str, str, list[Mapping[str, Any]]]] = []
        for name, parameters in statements:
            if calls and calls[-1][1] == name:
                calls[-1][2].append(parameters)
            else:
                calls.append((_sql(name), name, [parameters]))
        with self._open() as connection:
            if durable:
                connection.execute("PRAGMA synchronous=FULL")
            try:
                with self._transaction(connection):
                    return self._execute(connection, calls)
            finally:
                if durable:
                    connection.execute("PRAGMA synchronous=NORMAL")

    def read(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Return the rows of a named query, as of the last finished write. Raises StoreBusy, StoreError."""
        sql = _sql(query)
        with self._lock:  # this way first, because a run asks once per step: what follows costs three times as much
            if self._connection is not None and not self._is_frozen:
                try:
                    return _rows(self._connection.execute(sql, parameters or {}))
                except _FAILURES:
                    pass  # asked again below, where it is explained
        with self._open() as connection, self._explained(query):
            return self._patiently(lambda: _rows(connection.execute(sql, parameters or {})))

    def close(self) -> None:
        """Close the file. Other processes may go on."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            with self._explained("open"):
                if self._connection is None:
                    self._connection = self._connect()
            try:
                yield self._connection
            finally:
                if self._is_frozen:
                    self.close()

    def _connect(self) -> sqlite3.Connection:
        if not self._file.exists():
            try:
                make_folder(self._file.parent, os.fsync)
            except OSError as error:
                raise disk_error(error, self._file) from error
        try:
            self._is_frozen = False
            return self._prepared(str(self._file))
        except sqlite3.OperationalError as error:
            if _code(error) not in _NO_LOG or not self._file.exists() or _log_bytes(self._file) > 0:
                raise
            # A closed database in a read-only folder or on a full disk: SQLite can make no log, and needs none to read.
            self._is_frozen = True
            return self._prepared(f"{self._file.as_uri()}?immutable=1")

    def _prepared(self, database: str) -> sqlite3.Connection:
        """Return a connection to a database with our tables, made or migrated where needed."""
        connection = sqlite3.connect(
            database,
            timeout=min(_WAIT_S, self._busy_timeout_s),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            uri=database.startswith("file:"),
        )
        add_functions(connection)
        try:
            connection.execute("PRAGMA synchronous=NORMAL")
            version = self._patiently(lambda: self._version(connection))
            if version < SCHEMA_VERSION:
                self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return the version of the tables, 0 in an empty database. Raises SchemaTooNew, StoreError."""
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return 0
        if "schema_version" not in tables:
            raise StoreError(
                f"{self._file} is a database of another program.",
                why=f"It has tables that are not ours: {', '.join(sorted(tables)[:5])}.",
                do="Name another file for the records in filiera.toml.",
            )
        version: int = connection.execute("SELECT MAX(version) FROM schema_version").fetchone()[0] or 0
        if version > SCHEMA_VERSION:
            raise SchemaTooNew(
                f"{self._file} was written by a newer Filiera.",
                why=f"Its tables have version {version}; this program knows versions up to {SCHEMA_VERSION}.",
                do="pip install --upgrade filiera, or use another store in filiera.toml. Nothing was changed.",
            )
        return version

    def _migrate(self, connection: sqlite3.Connection) -> None:
        # Before any table is made: a database with our tables always has its log.
        self._patiently(lambda: connection.execute("PRAGMA journal_mode=WAL").fetchone())
        with self._transaction(connection):
            # Asked again under the lock: another process may have been faster.
            for number, statements in load_migrations(self._version(connection)):
                for sql in statements:
                    connection.execute(sql)
                connection.execute("INSERT INTO schema_version VALUES (?, ?)", (number, time.time()))

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        try:
            with self._explained("begin"):
                self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
            yield
            with self._explained("commit"):
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _execute(
        self, connection: sqlite3.Connection, calls: list[tuple[str, str, list[Mapping[str, Any]]]]
    ) -> list[list[Row]]:
        """Return the rows of each call: SQL, name and all parameters of a statement, in order."""
        found: list[list[Row]] = []
        name = ""
        try:
            for sql, name, parameters in calls:  # noqa: B007  told when it fails
                first = connection.execute(sql, parameters[0])
                if first.description is not None:
                    found.append(_rows(first))
                    found += [_rows(connection.execute(sql, further)) for further in parameters[1:]]
                    continue
                if len(parameters) > 1:
                    connection.executemany(sql, parameters[1:])
                found += [[]] * len(parameters)
        except _FAILURES as error:
            raise self._error(error, name) from error
        return found

    def _patiently(self, action: Callable[[], T]) -> T:
        """Return what *action* returns, tried again while another process holds the database."""
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if _code(error) not in _BUSY or time.monotonic() >= deadline:
                    raise
            time.sleep(0.001)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            raise self._error(error, doing) from error

    def _error(self, error: Exception, doing: str) -> StoreError:
        code = _code(error)
        if code in _BUSY:
            return StoreBusy(
                f"{self._file} is held by another process.",
                why=f"It was being written to all the {self._busy_timeout_s:g} s that we waited.",
                do=f"Wait for that process, or end it: lsof {self._file} names it. Then run again.",
            )
        if code == sqlite3.SQLITE_FULL:
            return full_disk(self._file, str(error))
        if code in _NO_LOG and (fault := _disk_fault(self._file)) is not None:
            return disk_error(fault, self._file)
        if code in _CLOSED_TO_US:
            return read_only(self._file, str(error))
        if code in _DAMAGED:
            return StoreError(
                f"{self._file} is damaged or is no database.",
                why=f"SQLite says: {error}.",
                do="Put back a copy, or move the file away to start empty; 'sqlite3 FILE .recover' may save rows.",
            )
        return StoreError(
            f"The records in {self._file} refused {doing!r}.",
            why=f"{type(error).__name__}: {error}. Nothing of the transaction was kept.",
            do="filiera doctor checks the records; report this if they are sound.",
        )


_stores: weakref.WeakSet[SqliteRecords] = weakref.WeakSet()
_held: list[SqliteRecords] = []
_MOST_SHARED = 4
_shared: dict[Path, tuple[tuple[int, int], SqliteRecords]] = {}
"""By file: which file that was, device and number, and who has it open."""
_sharing = threading.Lock()


def shared_records(file: Path) -> SqliteRecords:
    """Return the records in *file*, the same ones as before as long as it is the same file.

    Opening it, reading its schema, and writing the log into it when the last one closes it, take longer than a run of
    three steps.
    """
    try:
        found = file.stat()
        identity = found.st_dev, found.st_ino
    except OSError:
        return SqliteRecords(file)  # not there yet
    with _sharing:
        former, records = _shared.pop(file, (None, None))
        if records is None or former != identity:
            records = SqliteRecords(file)
        _shared[file] = identity, records
        while len(_shared) > _MOST_SHARED:
            del _shared[next(iter(_shared))]
    return records


def _close_all() -> None:
    # The last process to close a database writes its log into it and removes that: the file alone is then whole.
    for store in list(_stores):
        store.close()


atexit.register(_close_all)


def _before_fork() -> None:
    # A transaction shared by two processes would damage the file, so none is open while the process is copied.
    _held[:] = list(_stores)
    for store in _held:
        store._lock.acquire()


def _after_fork_in_parent() -> None:
    for store in _held:
        store._lock.release()
    _held.clear()


def _after_fork_in_child() -> None:
    # The copied connection believes that it holds locks, which are the parent's. Closing it gives the parent's up in no
    # way, and makes the next use open the file anew, with locks of its own.
    for store in _held:
        store.close()
    _after_fork_in_parent()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions of PostgreSQL that our queries use and SQLite lacks.

    >>> connection = sqlite3.connect(":memory:")
    >>> add_functions(connection)
    >>> connection.execute("SELECT SUBSTR(encode(sha256(convert_to('abc', 'UTF8')), 'hex'), 1, 8)").fetchone()
    ('ba7816bf',)
    >>> connection.close()
    """
    connection.create_function("convert_to", 2, lambda text, encoding: text.encode(encoding), deterministic=True)
    connection.create_function("sha256", 1, _sha256, deterministic=True)
    connection.create_function("encode", 2, lambda content, form: content.hex(), deterministic=True)


def _sha256(content: bytes) -> bytes:
    found: bytes = _builtin_sha256()(content).digest()
    return found


@functools.cache
def _builtin_sha256() -> Callable[[bytes], Any]:
    """Return SHA-256 as Python itself has it: ``hashlib`` loads OpenSSL first, which takes 4 ms."""
    for module in ("_sha2", "_sha256"):  # since Python 3.12, before
        with suppress(ImportError):
            found: Callable[[bytes], Any] = importlib.import_module(module).sha256
            return found
    from hashlib import sha256

    return sha256


def _sql(name: str) -> str:
    found = load_queries().get(name)
    if found is None:
        raise StoreError(
            f"The records know no query {name!r}.",
            why=f"There are: {', '.join(sorted(load_queries()))}.",
            do="Use one of these; a plug-in may have been made for another version.",
        )
    return found


def _rows(cursor: sqlite3.Cursor) -> list[Row]:
    found = cursor.fetchall()
    if not found:
        return []
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, values, strict=True)) for values in found]


def _code(error: Exception) -> int:
    """Return SQLite's primary error code, 0 when sqlite3 itself found the fault."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _log_bytes(file: Path) -> int:
    log = file.with_name(file.name + "-wal")
    return log.stat().st_size if log.exists() else 0


def _disk_fault(file: Path) -> OSError | None:
    """Return why nothing can be written beside *file*, which SQLite does not tell; None when it can."""
    probe = file.with_name(f"{file.name}-probe-{os.getpid()}")
    try:
        probe.write_bytes(bytes(65_536))
    except OSError as error:
        return error
    finally:
        probe.unlink(missing_ok=True)
    return None
