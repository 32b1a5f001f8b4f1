"""Entries of the catalog as places to write to."""

from __future__ import annotations

from pathlib import Path

from filiera.core.credentials import filled_in
from filiera.errors import UsageError
from filiera.project.builtin import checked_entry
from filiera.project.project import Project

KINDS = ("csv", "jsonl", "parquet", "arrow")
_DEFAULT_OPTIONS = {"type", "path", "columns"}


def sink(project: Project, name: str) -> tuple[Path, str] | None:
    """Return the file and the kind of table that an entry of the catalog means; None when there is no such entry.

    What is written there is what the entry reads: one that reads in a way that we do not write is refused.

    Raises:
        ProjectError: The entry is malformed, or names an environment variable that is not set.
        UsageError: Nothing can be written to it.
    """
    if name not in project.config.catalog:
        return None
    entry = checked_entry(project.config.entry(name))
    kind, path = entry["type"], str(entry.get("path", ""))
    others = sorted(entry.keys() - _DEFAULT_OPTIONS)
    if kind not in KINDS or others or "://" in path or any(letter in path for letter in "*?["):
        raise UsageError(
            f"Nothing can be written to the catalog's {name}.",
            why=f"Only one local file can, of type {', '.join(KINDS)}, that is read without further options.",
            do="Name a file, or write another entry.",
        )
    return project.config.root / filled_in(path), kind
