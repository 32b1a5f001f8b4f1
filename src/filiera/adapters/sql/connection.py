"""One connection to a database through ADBC: results as Polars tables, batch by batch; errors in our words."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filiera.adapters.sql.entry import Address
from filiera.core.value import dataclass
from filiera.errors import ProjectError, SourceError

if TYPE_CHECKING:
    import adbc_driver_manager
    import polars as pl
    import pyarrow

_PREFIX = re.compile(
    r"^([A-Z_]+: )?(\[\w+\] )?(Failed to [a-z ]+: |failed to execute: |Execution error \[\w+\]: )*"
    r"((ERROR|FATAL): +|[A-Z]\w*( [A-Z]\w*)? Error: )?"
)
_SUFFIX = re.compile(
    r"(\n\s*[Qq]uery was:.*|\nquery: .*|\. SQLSTATE: \w+\s*"
    r"|\n\s*LINE \d+: .*|\. (However, you would be|See also https:).*)$",
    re.DOTALL,
)
_SEVERAL_DIMENSIONS = 'malformed array literal: "[['  # provoked by the expression that reads arrays
_CONVERSION_WORDS = ("could not cast", "could not convert", "within the acceptable range")
_DAMAGE_WORDS = ("corrupt database", "enough bytes", "not a valid duckdb", "is malformed", "not a database")
_PASSWORD_WORDS = ("password", "authentication", "no pg_hba.conf entry")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """How a driver reaches a database."""

    driver: str  #: module with the driver: "adbc_driver_sqlite"
    options: Mapping[str, str]  #: for the driver; may hold credentials
    address: Address
    place: str  #: where it is and what is asked of it, for people
    statements: Sequence[str] = ()  #: done first, in every connection
    is_written: bool = False  #: else read
    extra: str = "sql"  #: what installs the driver

    def __repr__(self) -> str:
        return f"Target({self.place})"

    def error(self, error: BaseException | str, *, rows: int = 0) -> SourceError:
        """Return what the database, or the way to it, says."""
        text = self.address.hidden(said(error))
        if text.startswith(_SEVERAL_DIMENSIONS):
            return SourceError(
                f"{self.place} holds an array of several dimensions.",
                why=f"A column of a table holds lists, not lists of lists of any depth. The server says: {text}",
                do='Read it as text: query = "SELECT …, to_json(COLUMN)::text …".',
            )
        if rows and not _is_conversion(text):
            what = f"{self.place}: reading broke off after {rows:,} rows."
            return SourceError(what, why=text, do="Run again; nothing of it was kept.")
        return SourceError(f"Cannot {'write' if self.is_written else 'read'} {self.place}.", why=text, do=_advice(text))


def said(error: BaseException | str) -> str:
    """Return what a driver says, without the query and the layers the message came through.

    >>> said('NOT_FOUND: Failed to prepare query: ERROR:  no such table "x"\\n\\nQuery was: select 1. SQLSTATE: 42P01')
    'no such table "x"'
    """
    return _SUFFIX.sub("", _PREFIX.sub("", str(error).strip())).strip()


def _advice(text: str) -> str:
    lowered = text.lower()
    if "failed to connect" in lowered or "connection to server" in lowered:
        if any(word in lowered for word in _PASSWORD_WORDS):
            return "Check user and password: the uri in the catalog, and the environment variable it refers to."
        return "Check that the server runs, and uri in the catalog of filiera.toml."
    if "already exists" in lowered:
        return "Name another table, or replace this one: filiera data export … --replace."
    if "could not set lock" in lowered:
        return "Wait until that program has closed it, and run again: one process may write to it, or several read it."
    if any(words in lowered for words in _DAMAGE_WORDS):
        return "Put a whole copy of the file in its place, or correct uri in the catalog of filiera.toml."
    if _is_conversion(text):
        return 'Say in a query what that value shall be: query = "SELECT …, CAST(COLUMN AS text) …".'
    if "unsupported type" in lowered or "unsupported format" in lowered or "out of range" in lowered:
        return "Convert that column in a step (they are counted from 0), or write a file of Parquet."
    return "Correct the entry in the catalog of filiera.toml."


def _is_conversion(text: str) -> bool:
    return any(words in text.lower() for words in _CONVERSION_WORDS)


class Connection:
    """One connection in one transaction. Not for several threads at once."""

    def __init__(self, target: Target) -> None:
        """Connect. Raises SourceError; ProjectError when the driver is not installed."""
        self._target = target
        manager, driver = _driver(target)
        self._manager: Any = manager
        self._database: Any = None
        self._connection: Any = None
        with self.errors():
            self._database = manager.AdbcDatabase(driver=driver, **target.options)
            try:
                self._connection = manager.AdbcConnection(self._database)
                self._connection.set_autocommit(False)
                for statement in target.statements:
                    self.run(statement)
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the driver raises into SourceError."""
        try:
            yield
        except self._manager.Error as error:
            raise self._target.error(error) from error

    def run(self, statement: str) -> None:
        """Do what returns nothing."""
        with self.errors(), self._statement(statement) as prepared:
            prepared.execute_update()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return a small result."""
        return [row for batch in self.batches(query) for row in batch.rows()]

    def schema(self, query: str) -> pyarrow.Schema:
        """Return the columns that a query would give, with what the database calls their types."""
        import pyarrow

        with self.errors(), self._statement(query) as prepared:
            try:
                return pyarrow.schema(prepared.execute_schema())
            except self._manager.NotSupportedError:
                return pyarrow.RecordBatchReader.from_stream(prepared.execute_query()[0]).schema

    def batches(self, query: str) -> Iterator[pl.DataFrame]:
        """Yield a result in batches, as they come; an empty one is one batch without rows.

        Raises:
            SourceError: It says how many rows had come.
        """
        import polars as pl
        import pyarrow

        rows = 0
        with self._statement(query) as prepared:
            try:
                handle, _ = prepared.execute_query()
                stream = pyarrow.RecordBatchReader.from_stream(handle)
                for batch in stream:
                    batch.validate(full=True)  # text that is not UTF-8 would be undefined behaviour in Polars
                    rows += batch.num_rows
                    yield pl.DataFrame(batch)
                if not rows:
                    yield pl.DataFrame(stream.schema.empty_table())
            except (self._manager.Error, pyarrow.ArrowException, OSError) as error:
                raise self._target.error(error, rows=rows) from error

    def ingest(self, table: str, rows: pl.LazyFrame, *, mode: str, is_temporary: bool = False) -> int:
        """Write *rows* into a table, batch by batch, and return how many.

        *mode* is "create", "append" or "replace"; a temporary table is gone when the connection is.
        """
        import pyarrow

        schema, _, name = table.rpartition(".")
        where = {"adbc.ingest.target_db_schema": schema} if schema else {}
        where |= {"adbc.ingest.temporary": "true"} if is_temporary else {}
        with self.errors(), self._statement("") as prepared:
            prepared.set_options(
                **{"adbc.ingest.target_table": name, "adbc.ingest.mode": f"adbc.ingest.mode.{mode}", **where}
            )
            counted = _Counted(rows)
            try:
                prepared.bind_stream(counted.reader())
            except pyarrow.ArrowException as error:
                raise self._target.error(error) from error
            prepared.execute_update()
            counted.require_whole(self._target)
            return counted.rows

    def commit(self) -> None:
        """Make what was written last. Raises SourceError."""
        with self.errors():
            self._connection.commit()

    def close(self) -> None:
        """Give the connection back; what was not committed is undone."""
        for handle in (self._connection, self._database):
            if handle is not None:
                handle.close()
        self._connection = self._database = None

    @contextmanager
    def _statement(self, query: str) -> Iterator[adbc_driver_manager.AdbcStatement]:
        statement = self._manager.AdbcStatement(self._connection)
        try:
            if query:
                statement.set_sql_query(query)
            yield statement
        finally:
            statement.close()


class _Counted:
    """A query as an Arrow stream that counts its rows: drivers do not always say how many they wrote, or that it broke.

    DuckDB's takes a stream that breaks for one that has ended.
    """

    def __init__(self, query: pl.LazyFrame) -> None:
        self._query = query
        self._failure: BaseException | None = None
        self.rows = 0

    def require_whole(self, target: Target) -> None:
        """Raise what broke the query, if anything did: in our words, unless it is Ctrl-C or the like."""
        if isinstance(self._failure, Exception):
            raise target.error(self._failure) from self._failure
        if self._failure is not None:
            raise self._failure

    def reader(self) -> pyarrow.RecordBatchReader:
        """Return the stream, which runs the query."""
        import polars as pl
        import pyarrow

        schema = pl.DataFrame(schema=self._query.collect_schema()).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        return pyarrow.RecordBatchReader.from_batches(schema, self._batches())

    def _batches(self) -> Iterator[pyarrow.RecordBatch]:
        import polars as pl

        try:
            for frame in self._query.collect_batches(maintain_order=True, engine="streaming"):
                self.rows += frame.height
                yield from frame.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()
        except BaseException as error:
            self._failure = error
            raise


def _driver(target: Target) -> tuple[Any, str]:
    try:
        manager = importlib.import_module("adbc_driver_manager")
        driver = importlib.import_module(target.driver)
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise ProjectError(
            f"Such a database needs {error.name}, which is not installed.", do=f"pip install 'filiera[{target.extra}]'"
        ) from error
    return manager, driver.driver_path() if hasattr(driver, "driver_path") else driver._driver_path()
