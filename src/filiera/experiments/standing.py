"""How experiments stand: against their targets, against what they ran, and who works on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from filiera.adapters.git_repository import Commit, Repository
from filiera.core.value import dataclass

_LOCKS = Path("/proc/locks")
_ACCEPTED = "Accept experiment "


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """An experiment beside its target."""

    ahead: int  #: commits that the target has not
    behind: int  #: commits of the target that it has not
    is_merged: bool  #: the target has all of it, or a commit that accepted it


@dataclass(frozen=True, slots=True)
class Pair:
    """The commits that an experiment and its target are at, and one of the target that both have."""

    tip: str
    target: str
    base: str


def standings(repository: Repository, pairs: Mapping[str, Pair]) -> dict[str, Standing]:
    """Return how experiments stand beside their targets, by two calls of git however many they are."""
    if not pairs:
        return {}
    since = repository.common_base(sorted({pair.base for pair in pairs.values()}))
    ends = {commit for pair in pairs.values() for commit in (pair.tip, pair.target)}
    graph = {each.name: each for each in repository.history(sorted(ends), without=since)}
    merged = {target: _reached(graph, [target]) for target in {pair.target for pair in pairs.values()}}
    accepted = {target: _accepted(graph, found) for target, found in merged.items()}
    behind: dict[tuple[str, frozenset[str]], int] = {}
    found = {}
    for name, pair in pairs.items():
        has = merged[pair.target]
        own = _reached(graph, [pair.tip], without=has)
        # What the target has of it: the commits at which its own history leaves that of the target.
        shared = frozenset(parent for each in own for parent in graph[each].parents if parent in has)
        shared = shared if own else frozenset({pair.tip})
        place = pair.target, shared
        if place not in behind:
            behind[place] = len(has) - len(_reached(graph, shared))
        found[name] = Standing(ahead=len(own), behind=behind[place], is_merged=not own or name in accepted[pair.target])
    return found


def _reached(graph: Mapping[str, Commit], starts: Iterable[str], without: set[str] | None = None) -> set[str]:
    """Return the commits of a graph that can be reached, but for some and what is only reached through them."""
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name in graph and name not in found and not (without and name in without):
            found.add(name)
            waiting += graph[name].parents
    return found


def _accepted(graph: Mapping[str, Commit], names: Iterable[str]) -> set[str]:
    return {experiment for name in names for experiment in accepted_by(graph[name])}


def accepted_by(commit: Commit) -> Sequence[str]:
    """Return the experiments that a commit has accepted: it says so in its trailers."""
    return commit.trailers.get("Experiment", ()) if commit.subject.startswith(_ACCEPTED) else ()


def holders(folder: Path) -> dict[str, int]:
    """Return the processes that work on experiments, by their leases in *folder*.

    The kernel is asked, so that nobody is kept from taking a lease; where it has no list of locks, none is known.
    """
    try:
        lines = [line.split() for line in _LOCKS.read_text().splitlines() if " FLOCK " in line]
    except OSError:
        return {}
    locked = {(line[-3].rpartition(":")[2], line[-4]) for line in lines if len(line) > 5}
    found = {}
    for file in folder.glob("*.lock"):
        pid = file.read_text().strip()
        if pid.isdigit() and (str(file.stat().st_ino), pid) in locked:
            found[file.stem] = int(pid)
    return found


def tree_without(trees: Sequence[bytes], path: Sequence[str], files: Iterable[str], oid_bytes: int) -> str:
    """Return the name that a tree would have without some files of a folder in it.

    With that it can be told whether a commit has the files that ran: all but the records that came with it. The tree of
    the run itself may be gone, since nothing refers to it.

    Args:
        trees: Contents of the tree objects from the top down to the folder.
        path: Names of the folders below the top, one fewer than *trees*.
        files: Names in the folder.
        oid_bytes: Length of the names of objects: 20, or 32 in a repository with SHA-256.
    """
    gone = {name.encode() for name in files}
    content = b"".join(entry for name, entry in _entries(trees[-1], oid_bytes) if name not in gone)
    for tree, folder in zip(trees[-2::-1], reversed(path), strict=True):
        below = bytes.fromhex(_name(content, oid_bytes)) if content else b""
        content = b"".join(
            (entry[:-oid_bytes] + below if content else b"") if name == folder.encode() else entry
            for name, entry in _entries(tree, oid_bytes)
        )
    return _name(content, oid_bytes)


def _name(content: bytes, oid_bytes: int) -> str:
    made = hashlib.sha1 if oid_bytes == 20 else hashlib.sha256
    return made(b"tree %d\0" % len(content) + content).hexdigest()


def _entries(tree: bytes, oid_bytes: int) -> list[tuple[bytes, bytes]]:
    """Return names and whole entries of a tree object."""
    found, at = [], 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        after = end + 1 + oid_bytes
        found.append((tree[at:end].partition(b" ")[2], tree[at:after]))
        at = after
    return found
