"""Folders of files, such as images."""

from __future__ import annotations

import os
from pathlib import Path

from filiera.adapters.sources.entries import check_options, file_digest, fingerprint, no_rows, place_of, reading
from filiera.core.collected import Collected
from filiera.core.digest import digest
from filiera.core.task import Entry
from filiera.errors import SourceError


class FilesSource:
    """Gives ``type = "files"``: a folder with all that is below it, as a path. Option: ``path``, as for CSV.

    Links to files are followed, links to folders are refused.
    """

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(entry, {})

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the files' names and bytes. Raises SourceError."""
        folder, files = _folder(entry, root)
        parts = [part for file in files for part in (os.fsencode(file.relative_to(folder)), _content(file))]
        return fingerprint(entry, reader="files/1", content=digest("folder/1", *parts))

    def read(self, entry: Entry, root: Path, collected: Collected) -> Path:
        """Return the folder's absolute path; it holds at least one file. Raises SourceError."""
        folder, files = _folder(entry, root)
        collected.place, collected.files = str(folder), len(files)
        with reading(folder):
            collected.size_bytes = sum(file.stat().st_size for file in files)
        return folder.resolve()


def _folder(entry: Entry, root: Path) -> tuple[Path, list[Path]]:
    folder = place_of(entry, root)
    with reading(folder):
        folder.stat()
    if not folder.is_dir():
        raise SourceError(
            f"{folder} is not a folder.",
            why='A source with type = "files" is a folder.',
            do="Name the folder, or correct type in the catalog.",
        )
    files = _files(folder)
    if not files:
        raise no_rows(folder)
    return folder, files


def _content(file: Path) -> bytes:
    return bytes.fromhex(file_digest(file))


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    with reading(folder):
        for parent, folders, names in os.walk(folder, onerror=_raise):
            linked = [name for name in folders if (Path(parent) / name).is_symlink()]
            if linked:
                raise SourceError(
                    f"{Path(parent) / linked[0]} is a link to a folder.",
                    why="What lies behind it could change, or lead back here, unseen.",
                    do="Copy the folder, or remove the link.",
                )
            found += [Path(parent) / name for name in names]
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error
