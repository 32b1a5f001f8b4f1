"""A catalog entry with ``type = "sql"``: its options, and its address without and with credentials."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from filiera.adapters.credentials import filled_in
from filiera.adapters.sources.entries import is_text, is_texts
from filiera.core.task import Entry
from filiera.core.value import dataclass
from filiera.errors import ProjectError, did_you_mean

SQLITE, DUCKDB, POSTGRESQL = "sqlite", "duckdb", "postgresql"
_SCHEMES = {"sqlite": SQLITE, "duckdb": DUCKDB, "postgresql": POSTGRESQL, "postgres": POSTGRESQL}
_REFERENCE = re.compile(r"\$\{[^{}]*\}")
_PASSWORD = re.compile(r"[?&](?:ssl)?password=([^&]*)")
_ADVICE = 'Write uri = "sqlite:data/shop.sqlite" or uri = "postgresql://app:${SHOP_PASSWORD}@db.example.org/shop".'


@dataclass(frozen=True, kw_only=True, slots=True)
class SqlEntry:
    """What an entry asks for, checked."""

    uri: str  #: as ``filiera.toml`` has it: credentials are references to environment variables
    database: str  #: "sqlite", "duckdb" or "postgresql"; "" when a reference stands for all of the address
    table: str = ""  #: "invoice" or "sales.invoice"; else ``query``
    query: str = ""  #: one SELECT
    columns: tuple[str, ...] = ()  #: the ones to read, in order; none: all
    filter: str = ""  #: an SQL condition on rows
    order_by: tuple[str, ...] = ()  #: columns
    watermark: str = ""  #: a column that only grows: only rows at or beyond the greatest value so far are read
    late_by: float = 0.0  #: so far before the greatest value rows may still come: seconds of a time, else plain units
    key: tuple[str, ...] = ()  #: columns that name a row: one that is read again replaces the former

    @property
    def asks(self) -> str:
        """Return what is read, for people."""
        return f"table {self.table}" if self.table else "the query"

    @property
    def place(self) -> str:
        """Return where it is read from, for people and records: no password is in it."""
        return f"{without_credentials(self.uri)}, {self.asks}"


def read_entry(entry: Entry) -> SqlEntry:
    """Return what an entry asks for.

    Raises:
        ProjectError: An option is missing, unknown or of the wrong kind. The message repeats no value of an option,
            because it may be a password in the wrong place.
    """
    for name, value in entry.items():
        if name != "type":
            _check_option(name, value)
    uri = entry.get("uri")
    if uri is None:
        raise ProjectError("An sql source needs the option 'uri'.", why="It says which database.", do=_ADVICE)
    if ("table" in entry) == ("query" in entry):
        raise ProjectError(
            "An sql source needs either 'table' or 'query'.", do='Write, for example, table = "invoice".'
        )
    if "watermark" not in entry and ("late_by" in entry or "key" in entry):
        raise ProjectError(
            "An sql source has 'late_by' or 'key' without 'watermark'.",
            why="They say what happens to rows when only new ones are read.",
            do='Add watermark = "COLUMN", or remove them.',
        )
    known = {name: value for name, value in entry.items() if name not in ("type", "uri")}
    chosen: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    return SqlEntry(uri=uri, database="" if _REFERENCE.fullmatch(uri) else _database(uri), **chosen)


def _is_names(value: Any) -> str:
    problem = is_texts(value)
    if problem or not value or len(set(value)) < len(value) or "" in value:
        return "needs a list of different names of columns"
    return ""


def _is_lateness(value: Any) -> str:
    is_good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    return "" if is_good else "needs a number that is not negative"


def _is_uri(value: Any) -> str:
    if is_text(value):
        return "needs a text"
    if _has_password(value):
        return "has a password in it, which belongs into the environment: write ${NAME} in its place"
    return ""


_OPTIONS: Mapping[str, Callable[[Any], str]] = {
    "uri": _is_uri, "table": is_text, "query": is_text, "columns": _is_names, "filter": is_text, "order_by": _is_names,
    "watermark": is_text, "late_by": _is_lateness, "key": _is_names,
}  # fmt: skip


def _check_option(name: str, value: Any) -> None:
    advice = f"An sql source has the options: {', '.join(_OPTIONS)}."
    if name not in _OPTIONS:
        raise ProjectError(f"An sql source has no option {name!r}.{did_you_mean(name, _OPTIONS)}", do=advice)
    problem = _OPTIONS[name](value)
    if problem:
        raise ProjectError(f"Option {name!r} of an sql source {problem}.", do=advice)


def _database(uri: str) -> str:
    scheme = uri.partition(":")[0]
    if scheme not in _SCHEMES or uri.startswith(("sqlite://", "duckdb://")):
        raise ProjectError(
            "Option 'uri' of an sql source names no database.",
            why="It begins with sqlite: or duckdb: and a path, relative to filiera.toml or absolute, or with postgresql://.",
            do=_ADVICE,
        )
    return _SCHEMES[scheme]


def _has_password(uri: str) -> bool:
    """Tell whether a password stands in an address, other than as a reference."""
    return any(secret and not _REFERENCE.fullmatch(secret) for secret in _passwords(uri))


def _passwords(uri: str) -> Iterator[str]:
    """Yield what is, or by mistake could be, a password: with an unquoted "/" in it, the driver sees a path."""
    _, _, rest = uri.partition("://")
    user, at, _ = rest.rpartition("@")
    if at and ":" in user:
        yield user.partition(":")[2]
    for found in _PASSWORD.finditer(uri):
        yield found[1]


def without_credentials(uri: str) -> str:
    """Return an address without its password and without options, for people.

    >>> without_credentials("postgresql://app:${SHOP_PASSWORD}@db.example.org:5433/shop?sslmode=require")
    'postgresql://app@db.example.org:5433/shop'
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    user, at, place = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{re.split('[?#]', place)[0]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """An address as the driver needs it. Not to be shown, logged or stored."""

    uri: str
    database: str  #: "sqlite", "duckdb" or "postgresql"
    secrets: tuple[str, ...]  #: what must not appear in any message

    def __repr__(self) -> str:
        return "Address(…)"

    def hidden(self, text: str) -> str:
        """Return a text in which no secret is left."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def address(entry: SqlEntry) -> Address:
    """Return the address of an entry with the environment variables filled in.

    What stands for a part of the address is quoted, so that a password may have any characters; a reference that is all
    of it is taken as it is.

    Raises:
        ProjectError: There is no such variable, or it names no database.
    """
    if entry.database == POSTGRESQL:
        uri = _REFERENCE.sub(lambda found: quote(filled_in(found[0]), safe=""), entry.uri)
    else:
        uri = filled_in(entry.uri)
    secrets = {text for password in _passwords(uri) for text in (password, unquote(password)) if text}
    return Address(uri=uri, database=_database(uri), secrets=tuple(sorted(secrets, key=len, reverse=True)))
