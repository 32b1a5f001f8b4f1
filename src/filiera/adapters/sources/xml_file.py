"""Tables in XML files, plain or compressed, read record by record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.adapters.sources.entries import check_options, is_text, is_types
from filiera.adapters.sources.found_files import Workspace, find_files, fingerprint_of_files, held, note_files
from filiera.adapters.sources.unpacking import is_encoding
from filiera.adapters.sources.xml_rules import is_fields, is_namespaces, rules_of
from filiera.core.collected import Collected
from filiera.core.markup import Markup
from filiera.core.task import Entry
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl


class XmlSource:
    """Reads ``type = "xml"``: records at a path, columns by paths; any encoding, plain or compressed."""

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options and paths that cannot be followed. Raises ProjectError."""
        options = {
            "records": is_text,
            "rows": is_text,
            "fields": is_fields,
            "namespaces": is_namespaces,
            "columns": is_types,
            "encoding": is_encoding,
        }
        check_options(entry, options)
        rules_of(entry)

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the files' bytes and how they are read. Raises SourceError."""
        return fingerprint_of_files(entry, root, reader="xml/1")

    def read(self, entry: Entry, root: Path, collected: Collected) -> pl.LazyFrame:
        """Return a query that reads the files when it is run; it raises SourceError saying what is wrong, and where."""
        with _needing_lxml():
            from filiera.adapters.sources.xml_table import query
        files = find_files(entry, root)
        note_files(collected, entry, files, root)
        workspace = Workspace()
        return held(query(rules_of(entry), files, workspace), workspace)

    def look(self, file: Path) -> Markup:
        """Return the paths of a file, of its first 64 MiB if it is larger. Raises SourceError."""
        with _needing_lxml():
            from filiera.adapters.sources.xml_outline import survey
        return survey(file)


@contextmanager
def _needing_lxml() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise SourceError(
            f"Reading XML needs {error.name}, which is not installed.", do="pip install 'filiera[xml]'"
        ) from error
