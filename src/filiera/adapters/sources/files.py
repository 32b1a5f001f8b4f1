"""Files of any kind in folders and archives, such as recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blake3 import blake3

from filiera.adapters.sources import file_trees
from filiera.adapters.sources.entries import check_options, file_digest, fingerprint, no_rows
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
        rows: list[dict[str, Any]] = []
        collector = file_trees.FileCollector()
        try:
            with file_trees.members(paths) as found:
                for member in found:
                    size_bytes = member.size_bytes
                    if member.file is not None and size_bytes >= PACK_BYTES:
                        digest = file_digest(member.file)  # piece by piece: it may be larger than memory
                        collector.add_file(digest, member.file, size_bytes)
                    else:
                        content = member.read()
                        digest, size_bytes = blake3(content).hexdigest(), len(content)
                        collector.add(digest, content, member.file)
                    collected.files, collected.size_bytes = collected.files + 1, collected.size_bytes + size_bytes
                    labels = paths.labels(member.path) or {}
                    rows.append({"path": member.path, **labels, "digest": digest, "size_bytes": size_bytes})
            if not rows:
                raise no_rows(paths.base / paths.pattern)
            schema = {name: kind for name, kind in file_trees.rejected_schema(paths).items() if name != "problem"}
            rejected = pl.DataFrame(schema=file_trees.rejected_schema(paths))
            return collector.finish(file_trees.as_table(rows, schema), rejected)
        except BaseException:
            collector.discard()
            raise


def _is_path(value: Any) -> str:
    return is_file_paths(value, reserved=_COLUMNS)
