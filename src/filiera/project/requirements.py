"""What a requirements or lock file asks for, in the form that names an environment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filiera.core.digest import blob_digest
from filiera.core.value import dataclass
from filiera.errors import ProjectError

Stamp = tuple[int, int, int]
_COMMENT = re.compile(r"(^|\s+)#.*$")
_NESTED = re.compile(r"(-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<file>\S.*)")
_EDITABLE = re.compile(r"(-e|--editable)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """What a file asks for. Equal lines ask for the same."""

    lines: tuple[str, ...]  #: without comments; files that are named are there by their lines or their digest
    files: Mapping[Path, Stamp]  #: every file that was read, as it looked just before


def stamp(file: Path) -> Stamp:
    """Return what changes when a file does: inode, size in bytes, time of change in ns; zeros when it is not there."""
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return found.st_ino, found.st_size, found.st_mtime_ns


def read_requirements(file: Path) -> Requirements:
    """Return what a requirements file, ``pylock.toml`` or ``uv.lock`` asks for.

    Raises:
        ProjectError: A file is missing or unreadable, names itself, or asks for a folder, whose content no line tells.
    """
    if file.name == "uv.lock":
        return _whole(file, file.with_name("pyproject.toml"))
    if file.suffix == ".toml":
        return _whole(file)
    files: dict[Path, Stamp] = {}
    lines = tuple(_expanded(file, (), files))
    return Requirements(lines=lines, files=files)


def _whole(*files: Path) -> Requirements:
    stamps = {file: stamp(file) for file in files}
    lines = tuple(f"{file.name} {blob_digest(_content(file))}" for file in files)
    return Requirements(lines=lines, files=stamps)


def _expanded(file: Path, outer: tuple[Path, ...], files: dict[Path, Stamp]) -> Iterator[str]:
    if file in outer:
        raise ProjectError(f"{file} includes itself.", do="Take the -r line out that leads back to it.")
    files[file] = stamp(file)
    for line in logical_lines(_text(file)):
        nested = _NESTED.fullmatch(line)
        if nested and "://" not in nested["file"]:
            inner = _expanded(file.parent / nested["file"], (*outer, file), files)
            yield from (f"constraint {each}" if nested[1] in ("-c", "--constraint") else each for each in inner)
        else:
            yield _with_content(line, file, files)


def logical_lines(text: str) -> Iterator[str]:
    r"""Yield the lines of a requirements file as pip reads them: joined, without comments, with single blanks.

    >>> list(logical_lines("# tools\npolars==2.1.0 \\\n    --hash=sha256:0   # pinned\n\n"))
    ['polars==2.1.0 --hash=sha256:0']
    """
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        found = " ".join(_COMMENT.sub("", line).split())
        if found:
            yield found


def _with_content(line: str, file: Path, files: dict[Path, Stamp]) -> str:
    """Return a line, with the digest of the local file that it names, if it does."""
    place = _local_place(line, file.parent)
    if _EDITABLE.match(line) or (place is not None and place.is_dir()):
        raise ProjectError(
            f"{file} asks for a folder: {line}",
            why="An environment is named by what its file says, and what is in a folder can change while that stays.",
            do="Build a wheel of it, and name the wheel.",
        )
    if place is None:
        return line
    files[place] = stamp(place)
    return f"{line} {blob_digest(_content(place))}"


def _local_place(line: str, folder: Path) -> Path | None:
    """Return the file or folder of this machine that a requirement names instead of a distribution."""
    if line.startswith("-"):
        return None
    name, _, address = line.partition(" @ ")
    target = (address or name).partition(" ")[0]
    if target.startswith("file:"):
        return Path(unquote(urlsplit(target).path))
    if "://" in target or address:
        return None
    place = folder / target.partition("[")[0]
    looks_local = target.startswith(".") or "/" in target or target.endswith((".whl", ".tar.gz", ".zip"))
    return place if looks_local else None


def _text(file: Path) -> str:
    try:
        return _content(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProjectError(f"{file} is not UTF-8 text: {error}.", do="Save it as UTF-8.") from error


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise ProjectError(f"There is no {file}.", why="A step or another file names it.", do="Make it.") from error
    except OSError as error:
        raise ProjectError(f"{file} cannot be read: {error.strerror}.") from error
