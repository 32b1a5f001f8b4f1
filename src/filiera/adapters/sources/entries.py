"""What the file sources share: options of a catalog entry, the file it names, its fingerprint, errors in our words."""

from __future__ import annotations

import gzip
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blake3 import blake3

from filiera.adapters.credentials import filled_in
from filiera.core import plain
from filiera.core.check import TYPES
from filiera.core.digest import digest
from filiera.core.task import Entry
from filiera.errors import ProjectError, SourceError

OptionProblem = Callable[[Any], str]
"""Returns what is wrong with an option's value, or ""."""

_PIECE_BYTES = 1 << 20


def is_text(value: Any) -> str:
    """Say that a value is not a text of at least one character."""
    return "" if isinstance(value, str) and value and "\0" not in value else "needs a text"


def is_truth(value: Any) -> str:
    """Say that a value is not true or false."""
    return "" if isinstance(value, bool) else "needs true or false"


def is_texts(value: Any) -> str:
    """Say that a value is not a list of texts."""
    is_good = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    return "" if is_good else "needs a list of texts"


def is_types(value: Any) -> str:
    """Say that a value is not a table of column names and known types."""
    if not isinstance(value, Mapping) or not value:
        return 'needs a table of columns and types, such as {duration = "float64"}'
    unknown = [kind for kind in value.values() if not isinstance(kind, str) or kind not in TYPES]
    return f"has the unknown type {unknown[0]!r}; known types: {', '.join(TYPES)}" if unknown else ""


def check_options(entry: Entry, options: Mapping[str, OptionProblem]) -> None:
    """Refuse an entry without ``path``, with an unknown option or with a value of the wrong kind.

    Raises:
        ProjectError: Names the option, what it needs, and the options there are.
    """
    kind = entry.get("type")
    known = {"path": is_text, **options}
    advice = f"A {kind} source has the options: {', '.join(known)}."
    for name, value in entry.items():
        if name == "type":
            continue
        if name not in known:
            raise ProjectError(
                f"A {kind} source has no option {name!r}.", why=f"It stands in {dict(entry)!r}.", do=advice
            )
        problem = known[name](value)
        if problem:
            raise ProjectError(f"Option {name!r} of a {kind} source {problem}, got {value!r}.", do=advice)
    if "path" not in entry:
        raise ProjectError(f"A {kind} source needs the option 'path'.", why=f"The entry is {dict(entry)!r}.", do=advice)


def place_of(entry: Entry, root: Path) -> Path:
    """Return where ``path`` leads, with ``${NAME}`` filled in. Raises ProjectError when a variable is not set."""
    return root / filled_in(str(entry["path"]))


def find_file(entry: Entry, root: Path) -> Path:
    """Return the one file that the entry names; relative to *root*, and it may lie outside.

    Raises:
        SourceError: It is not there or is something else.
        ProjectError: ``path`` names an environment variable that is not set.
    """
    return regular_file(place_of(entry, root), str(entry["type"]))


def regular_file(path: Path, kind: str) -> Path:
    """Return *path*, where a source of this *kind* is a regular file. Raises SourceError."""
    with reading(path):
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise SourceError(
            f"Cannot read {path}: it is {what}.",
            why=f"A {kind} source is a file, or the files that match a pattern.",
            do=f'Name the file in the catalog, or a pattern such as {path}/*; a folder has type = "files".',
        )
    return path


def fingerprint(entry: Entry, *, reader: str, content: str) -> str:
    """Return the digest of a source: how it is read and what it holds, not where it lies.

    Args:
        entry: Its options but ``path`` and ``type`` count.
        reader: Name and version of the reader, such as ``"csv/1"``: a new number when the same bytes read differently.
        content: Digest of the bytes.
    """
    options = {name: entry[name] for name in sorted(entry) if name not in ("path", "type")}
    return digest("source/1", reader.encode(), plain.encode(options), content.encode())


def file_digest(path: Path) -> str:
    """Return the plain BLAKE3 digest of a file's bytes. Raises SourceError."""
    hasher = blake3()
    with reading(path), path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            hasher.update(piece)
    return hasher.hexdigest()


def no_rows(place: Path | str) -> SourceError:
    """Return the error of a source that is there but holds nothing."""
    return SourceError(
        f"{place} has no rows.",
        why="An empty source is almost always a failed export, and nothing could be learned from it.",
        do="Check what writes the file.",
    )


def not_whole(place: Path | str, error: Exception) -> SourceError:
    """Return the error of a compressed file that is cut off or damaged."""
    return SourceError(
        f"{place} is not a whole compressed file.",
        why=f"{error}.",
        do="Copy or download it again; it was probably cut off.",
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system and decompression say about *path* into SourceError."""
    try:
        yield
    except FileNotFoundError as error:
        if path.is_symlink():
            raise SourceError(
                f"{path} is a link to {path.readlink()}, which is not there.",
                why="Its target was moved or deleted.",
                do="Put the target back, or a file in place of the link.",
            ) from error
        parent = next((folder for folder in path.parents if folder.is_dir()), Path(path.anchor or "."))
        raise SourceError(
            f"There is no {path}.",
            why=f"{parent} holds: {_listing(parent)}.",
            do="Put the file there, or correct path in the catalog of filiera.toml; it is relative to that file.",
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise not_whole(path, error) from error
    except OSError as error:
        raise SourceError(
            f"Cannot read {path}.", why=f"The system says: {error.strerror or error}.", do="Check its permissions."
        ) from error


def _listing(folder: Path) -> str:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 names are all we want
    except OSError as error:
        return f"(unreadable: {error.strerror})"
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "") or "nothing"
