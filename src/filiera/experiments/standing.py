"""How experiments stand beside their targets, and who works on them."""

from __future__ import annotations

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
