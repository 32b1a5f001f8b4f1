"""Reads the packaged SQL files: named queries, migrations, the schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

SCHEMA_VERSION = 1
"""The number of the last migration: the version of the tables that this program reads and writes."""

_FOLDER = Path(__file__).parent
_NAME_LINE = re.compile(r"-- ([a-z][a-z0-9_]*) --")


@cache
def load_queries() -> Mapping[str, str]:
    """Return the SQL of every query in ``queries/`` by name, without comments and semicolon.

    Raises:
        ValueError: Two queries have one name.
    """
    files = sorted((_FOLDER / "queries").glob("*.sql"))
    return MappingProxyType(parse_queries("\n".join(file.read_text(encoding="utf-8") for file in files)))


def parse_queries(text: str) -> dict[str, str]:
    """Return name and SQL of each query of a file: a line ``-- name --``, comment lines, one SQL statement.

    Raises:
        ValueError: A name comes twice, has no statement or more than one, or SQL stands before the first name.

    >>> parse_queries("-- one --\\n-- The number one.\\nSELECT 1;")
    {'one': 'SELECT 1'}
    """
    sections: dict[str, list[str]] = {"": []}
    lines = sections[""]
    for line in text.splitlines():
        if found := _NAME_LINE.fullmatch(line.strip()):
            if found[1] in sections:
                raise ValueError(f"query {found[1]!r} is there twice")
            lines = sections[found[1]] = []
        else:
            lines.append(line)
    if split_statements("\n".join(sections.pop(""))):
        raise ValueError("there is SQL before the first query's name")
    return {name: _only_statement(name, "\n".join(lines)) for name, lines in sections.items()}


def load_migrations(after: int) -> list[tuple[int, list[str]]]:
    """Return number and statements of each migration with a number above *after*, in order."""
    files = sorted((_FOLDER / "migrations").glob("[0-9][0-9][0-9][0-9]_*.sql"))
    numbered = [(int(file.name[:4]), file) for file in files]
    return [(number, split_statements(file.read_text(encoding="utf-8"))) for number, file in numbered if number > after]


def load_schema() -> list[str]:
    """Return the statements of ``schema.sql``, which make the tables as they are now."""
    return split_statements((_FOLDER / "schema.sql").read_text(encoding="utf-8"))


def split_statements(text: str) -> list[str]:
    """Return the statements of *text*, each ended by a semicolon at the end of a line; comments are left out.

    A simple rule for files of our own: two dashes are a comment wherever they stand after a space, in quotes too.

    >>> split_statements("-- two\\nSELECT 1; -- first\\nSELECT\\n  2;")
    ['SELECT 1', 'SELECT\\n  2']
    """
    lines = [re.sub(r"\s*(^|\s)--.*$", "", line).rstrip() for line in text.splitlines()]
    pieces = "\n".join(line for line in lines if line).split(";\n")
    return [piece.strip().removesuffix(";") for piece in pieces if piece.strip()]


def _only_statement(name: str, text: str) -> str:
    statements = split_statements(text)
    if len(statements) != 1:
        raise ValueError(f"query {name!r} has {len(statements)} statements, not one")
    return statements[0]
