"""The ``path`` of a catalog entry that means many files: a folder, an archive, or a pattern in either.

``*`` stands for any characters but "/", ``?`` for one, ``[ab]`` for one of these, ``**`` for any folders. ``{name}``
stands for at least one character but "/", and makes a column of what stood there.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

from filiera.adapters.sources.entries import is_text, place_of, reading
from filiera.core.task import Entry
from filiera.core.value import dataclass
from filiera.errors import SourceError

_REFERENCE = re.compile(r"\$\{[^{}]*\}")  # to an environment variable
_SPECIAL = re.compile(r"[*?\[{]")
_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|\{(\w*)\}|.", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class FilePaths:
    """Which files an entry means."""

    base: Path  #: a folder, or an archive
    pattern: str  #: of their paths below it, "" for all
    is_archive: bool

    def labels(self, path: str) -> dict[str, str] | None:
        """Return what the named parts of the pattern stand for in a file's *path*; None when it is not meant.

        >>> FilePaths(base=Path("x"), pattern="{label}/*.png", is_archive=False).labels("cat/1.png")
        {'label': 'cat'}
        """
        if not self.pattern:
            return {}
        found = _compiled(self.pattern).fullmatch(path)
        return None if found is None else found.groupdict()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns that the pattern makes, in order."""
        return tuple(_compiled(self.pattern).groupindex)


def is_file_paths(value: Any, *, reserved: Collection[str]) -> str:
    """Say what is wrong with a path as a pattern, whose named parts must not be called as the columns *reserved*."""
    problem = is_text(value)
    if problem:
        return problem
    names = [found[1] for found in _TOKEN.finditer(_REFERENCE.sub("", value)) if found[1] is not None]
    for name in names:
        if not name.isidentifier() or names.count(name) > 1:
            return f"has the part {{{name}}}, which needs a name of its own made of letters, digits and _"
        if name in reserved:
            return f"has the part {{{name}}}, but every table of these files has a column of that name"
    return ""


def file_paths(entry: Entry, root: Path) -> FilePaths:
    """Return which files an entry's ``path`` means; relative to *root*, and they may lie outside.

    Raises:
        SourceError: The part of it before any pattern is not there.
        ProjectError: It names an environment variable that is not set.
    """
    parts = place_of(entry, Path()).parts  # the project's own folder may be called anything
    plain = next((i for i, part in enumerate(parts) if _SPECIAL.search(part)), len(parts))
    base, rest = root.joinpath(*parts[:plain]), "/".join(parts[plain:])
    inner = base
    while not inner.exists() and inner != inner.parent:
        inner = inner.parent
    if inner.is_file():  # what stands behind an archive's name is inside it
        below = base.relative_to(inner).as_posix().removeprefix(".")
        inside = "/".join(filter(None, (_quoted(below), rest or "**" if below else rest)))
        return FilePaths(base=inner, pattern=inside, is_archive=True)
    with reading(base):
        mode = base.stat().st_mode
    if not stat.S_ISDIR(mode):
        raise SourceError(
            f"{base} is neither a folder nor a file.", why="A device holds no files.", do="Correct path in the catalog."
        )
    return FilePaths(base=base, pattern=rest, is_archive=False)


def _quoted(path: str) -> str:
    return re.sub(r"([*?\[{])", r"[\1]", path)


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_token(found) for found in _TOKEN.finditer(pattern)), re.DOTALL)


def _token(found: re.Match[str]) -> str:
    text = found[0]
    if found[1] is not None:
        return f"(?P<{found[1]}>[^/]+?)"
    if text in _WILD:
        return _WILD[text]
    if text.startswith("[") and len(text) > 2:
        inside = text[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]").replace("^", r"\^")
        return f"(?!/)[{'^' + inside[1:] if inside.startswith('!') else inside}]"
    return re.escape(text)


_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
