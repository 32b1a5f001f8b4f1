"""Files of any kind in folders and archives, such as recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blake3 import blake3

from filiera.adapters.sources import file_trees
from filiera.adapters.sources.archives import Member
from filiera.adapters.sources.entries import check_options, file_digest, fingerprint, no_rows, reading
from filiera.adapters.sources.file_paths import file_paths, is_file_paths
from filiera.core.collected import Collected
from filiera.core.files import PACK_BYTES, Files
from filiera.core.task import Entry

_COLUMNS = ("path", "digest", "size_bytes", "problem")


class FilesSource:
    """Reads ``type = "files"``: ``Files`` whose table has path, digest and size of each. Option: ``path``, a pattern.

    Links to files are followed, links to folders are refused.
    """

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(entry, {"path": _is_path})

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the files' names and bytes. Raises SourceError."""
        return fingerprint(entry, reader="files/1", content=file_trees.content_of(file_paths(entry, root)))

    def read(self, entry: Entry, root: Path, collected: Collected) -> Files:
        """Return all files that are meant, at least one. Raises SourceError."""
        import polars as pl

        paths = file_paths(entry, root)
        collected.place = str(paths.base)
        rows: list[tuple[Any, ...]] = []
        collector = file_trees.FileCollector()
        try:
            with file_trees.members(paths) as found:
                for member in found:
                    digest, size_bytes = _taken(member, collector)
                    rows.append((member.path, *member.labels.values(), digest, size_bytes))
                    collected.files, collected.size_bytes = len(rows), collected.size_bytes + size_bytes
            if not rows:
                raise no_rows(paths.base / paths.pattern)
            schema = file_trees.file_schema(paths)
            columns = dict(zip(schema, zip(*rows, strict=True), strict=True))
            rejected = pl.DataFrame(schema=file_trees.rejected_schema(paths))
            return collector.finish(file_trees.as_table(columns, schema), rejected)
        except BaseException:
            collector.discard()
            raise


def _taken(member: Member, collector: file_trees.FileCollector) -> tuple[str, int]:
    """Return a file's digest and size, having collected it."""
    if member.place:
        file = Path(member.place)
        with reading(file):
            size_bytes = file.stat().st_size
        if size_bytes >= PACK_BYTES:
            digest = file_digest(file)  # piece by piece: it may be larger than memory
            collector.add_file(digest, file, size_bytes)
            return digest, size_bytes
    content = member.read()
    digest = blake3(content).hexdigest()
    collector.add(digest, content)
    return digest, len(content)


def _is_path(value: Any) -> str:
    return is_file_paths(value, reserved=_COLUMNS)
