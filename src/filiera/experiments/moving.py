"""Moving a branch in the folder where it is checked out: all of its files with it, or none.

Git writes the files first and moves the branch last. Where it is killed, or the disk is full, some files are of the new
commit already; they are given back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field
from pathlib import Path

from filiera.adapters.git_worktrees import left_out
from filiera.adapters.local_disk import disk_errors
from filiera.core.value import dataclass
from filiera.errors import FilieraError
from filiera.experiments.locks import dead_locks, remove_locks
from filiera.experiments.place import Place

_FILE = ".move.json"


ABSENT_MODE = "000000"


@dataclass(frozen=True, slots=True)
class Kept:
    """What git keeps of a file in a commit or an index."""

    mode: str  #: ABSENT_MODE: it has no such file
    oid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A branch that is moved forward."""

    branch: str  #: "refs/heads/exp/deeper"
    old: str  #: from this commit
    new: str  #: to this one, which comes after it
    own: Mapping[str, Kept] = field(default_factory=dict)
    """Files of the folder that are as their user had them, and stay so: how they were in the index."""


def move(place: Place, name: str, wanted: Move, folder: Path) -> None:
    """Move the branch of an experiment, which is checked out in *folder*. The caller has the experiment's lease.

    Raises:
        ProjectError: Files are in the way; nothing has changed.
        StoreFull: No space is left; nothing has changed, or ``recover`` has to be called when there is space again.
    """
    file = _file(place, name)
    with disk_errors(file):
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps(asdict(wanted)))
        beside.replace(file)
    try:
        place.repository.git("merge", "--ff-only", "--quiet", wanted.new, cwd=folder)
    except FilieraError:
        recover(place, name)
        if place.repository.resolve(wanted.branch) != wanted.new:
            raise
    file.unlink(missing_ok=True)


def recover(place: Place, name: str) -> str:
    """Take back what a move that was killed has begun; return that in words, or "". The caller has the lease."""
    file = _file(place, name)
    try:
        wanted = Move(**json.loads(file.read_text()))
    except FileNotFoundError:
        return ""
    except (ValueError, TypeError):  # it was never written to its end, so that git was not called
        file.unlink()
        return ""
    if place.repository.resolve(wanted.branch) == wanted.old:
        take_back(place, wanted)
        file.unlink()
        return f"exp/{name} was not moved yet: its files are as before"
    file.unlink()
    return ""


def is_broken_off(place: Place, name: str) -> bool:
    """Tell whether a move of an experiment's branch was begun and not ended."""
    return _file(place, name).exists()


def take_back(place: Place, wanted: Move) -> None:
    """Give the folder of a branch its files and index back where git did not come to move the branch.

    Git wrote only to files that were as the branch has them. One that is neither so nor as far as git would have come
    was changed by somebody since, and stays.
    """
    folder = place.repository.folder_of(wanted.branch)
    if folder is None:
        return
    remove_locks(dead_locks(place))
    without = left_out(place.repository.at(folder))
    both = changes(place, ("diff-tree", "-r"), wanted.old, wanted.new)
    changed = {name: pair for name, pair in both.items() if name not in without}
    in_index = changes(place, ("diff-index", "--cached"), wanted.old, cwd=folder)
    indexed = [name for name, pair in changed.items() if in_index.get(name) == pair and name not in wanted.own]
    written = []
    for name, (before, _) in _written(place, folder, changed).items():
        if name in wanted.own:
            continue
        if before.mode == ABSENT_MODE:
            (folder / name).unlink(missing_ok=True)
        else:
            written.append(name)
    put(place, folder, wanted.own)
    give(place, folder, wanted.old, "--staged", indexed)
    give(place, folder, wanted.old, "--worktree", written)


def put(place: Place, folder: Path, entries: Mapping[str, Kept]) -> None:
    """Put entries into the index of *folder*, whatever its files are."""
    if entries:
        lines = [f"{entry.mode} {entry.oid}\t{name}\0" for name, entry in entries.items()]
        place.repository.git("update-index", "-z", "--index-info", cwd=folder, given=os.fsencode("".join(lines)))


def give(place: Place, folder: Path, commit: str, where: str, names: Sequence[str]) -> None:
    """Put files as *commit* has them into the index of *folder*, ``--staged``, or into it, ``--worktree``."""
    if names:
        words = ("restore", f"--source={commit}", where, "--pathspec-from-file=-", "--pathspec-file-nul")
        given = os.fsencode("\0".join(names))
        place.repository.git(*words, cwd=folder, given=given, variables={"GIT_LITERAL_PATHSPECS": "1"})


def changes(place: Place, words: Sequence[str], *commits: str, cwd: Path | None = None) -> dict[str, tuple[Kept, Kept]]:
    """Return the files that differ, each with what git keeps of it before and after."""
    return {name: (before, after) for name, before, after in raw_changes(place, words, *commits, cwd=cwd)}


def raw_changes(
    place: Place, words: Sequence[str], *commits: str, cwd: Path | None = None
) -> Iterator[tuple[str, Kept, Kept]]:
    """Yield the files that a command of git says differ, as often as it says so."""
    options = ("--raw", "--no-renames", "--no-abbrev", "-z")
    listed = iter(place.repository.git(*words, *options, *commits, cwd=cwd).split("\0"))
    for about in listed:
        if about:  # else it is between two commits
            old_mode, new_mode, old, new, _ = about.lstrip("\n:").split(" ")
            yield next(listed), Kept(old_mode, old), Kept(new_mode, new)


def _written(place: Place, folder: Path, changes: Mapping[str, tuple[Kept, Kept]]) -> dict[str, tuple[Kept, Kept]]:
    """Return those changes that git has begun to write into *folder*."""
    contents = iter(place.repository.read([each.oid for pair in changes.values() for each in pair]))
    found: dict[str, tuple[Kept, Kept]] = {}
    others = []
    for name, pair in changes.items():
        before, after, now = next(contents), next(contents), _content(folder / name)
        if now == before:
            found |= {name: pair} if now == after else {}
        elif now is None or (after or b"").startswith(now) or (before or b"").startswith(now):
            found[name] = pair
        else:
            others.append(name)
    # What filters make of files differs from what git keeps: it is asked what it would keep.
    oids = oids_of(place, folder, others)
    return found | {name: changes[name] for name in others if oids.get(name) == changes[name][1].oid}


def oids_of(place: Place, folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return what git would call the contents of files of *folder*, of those that are there and have plain names."""
    asked = [name for name in names if (folder / name).is_file() and not name.startswith('"') and "\n" not in name]
    given = os.fsencode("".join(f"{name}\n" for name in asked))
    oids = place.repository.git("hash-object", "--stdin-paths", cwd=folder, given=given).split() if asked else []
    return dict(zip(asked, oids, strict=True))


def _content(file: Path) -> bytes | None:
    try:
        return os.fsencode(file.readlink()) if file.is_symlink() else file.read_bytes()
    except OSError:
        return None


def _file(place: Place, name: str) -> Path:
    return place.folder / f"{name}{_FILE}"
