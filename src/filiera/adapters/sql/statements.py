"""The SQL that reads an entry: pure text, names and values quoted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from filiera.adapters.sql.entry import SqlEntry
from filiera.core.value import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column as it is read: *expression* gives values of a type that Polars has."""

    name: str
    expression: str
    dtype: Any = None  #: of Polars, when what comes is converted once more


def name(identifier: str) -> str:
    """Return a name in quotes.

    >>> name('odd "one"')
    '"odd ""one\"""'
    """
    return '"' + identifier.replace('"', '""') + '"'


def column_name(column: str) -> str:
    """Return the name of a column of the rows wanted.

    Never without the table before it: SQLite takes a name in quotes that it does not know for a text.
    """
    return f"wanted.{name(column)}"


def table_name(table: str) -> str:
    """Return the name of a table, with that of its schema before it when there is one.

    >>> table_name("sales.invoice")
    '"sales"."invoice"'
    """
    return ".".join(name(part) for part in table.split(".", 1))


def literal(value: Any) -> str:
    """Return a value as SQL writes it.

    >>> literal(datetime(2026, 1, 2, 3, 4)), literal("it's")
    ("'2026-01-02 03:04:00'", "'it''s'")
    """
    if isinstance(value, bool) or value is None:
        return str(value).upper() if value is not None else "NULL"
    if isinstance(value, int | float | Decimal):
        return repr(value) if not isinstance(value, Decimal) else str(value)
    text = value.isoformat(" ") if isinstance(value, datetime) else str(value)
    return "'" + text.replace("'", "''") + "'"


def relation(entry: SqlEntry) -> str:
    """Return the rows that an entry asks for, all columns: a SELECT to be put into parentheses."""
    # The line break ends a comment, which would swallow what stands behind it.
    source = table_name(entry.table) if entry.table else f"({entry.query.rstrip().rstrip(';')}\n) AS asked"
    return f"SELECT * FROM {source}" + (f" WHERE ({entry.filter}\n)" if entry.filter else "")


def beyond(watermark: str, least: Any) -> str:
    """Return the condition on rows that may be new: at or beyond *least*, or without a value."""
    return f"{column_name(watermark)} >= {literal(least)} OR {column_name(watermark)} IS NULL"


def select(columns: Sequence[Column], rows: str, order_by: Sequence[str] = ()) -> str:
    """Return the SELECT of *columns* from *rows*, which is one itself."""
    listed = ", ".join(f"{column.expression} AS {name(column.name)}" for column in columns)
    order = f" ORDER BY {', '.join(map(column_name, order_by))}" if order_by else ""
    return f"SELECT {listed} FROM ({rows}) AS wanted{order}"


def earlier(value: Any, late_by: float) -> Any:
    """Return what lies *late_by* before a watermark: seconds before a time, units before a number.

    >>> earlier(datetime(2026, 1, 2), 3600), earlier(10, 3), earlier(date(2026, 1, 2), 3600)
    (datetime.datetime(2026, 1, 1, 23, 0), 7, datetime.date(2026, 1, 1))
    """
    if not late_by or value is None:
        return value
    if isinstance(value, datetime):
        return value - timedelta(seconds=late_by)
    if isinstance(value, date):
        return (datetime(value.year, value.month, value.day) - timedelta(seconds=late_by)).date()
    if isinstance(value, Decimal):
        return value - Decimal(str(late_by))
    return value - (int(late_by) if isinstance(value, int) and late_by == int(late_by) else late_by)
