"""What experiments there are and how they stand, read from their branches without checking anything out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field, fields
from pathlib import Path
from typing import Any

from filiera.adapters.git_objects import tree_without
from filiera.adapters.git_repository import Commit
from filiera.core.value import dataclass
from filiera.experiments.names import BRANCHES, RECORDS
from filiera.experiments.place import MAKING, Place
from filiera.experiments.ran import folders_above, tree_names
from filiera.experiments.records import damaged_records, files_in
from filiera.experiments.standing import Pair, Standing, accepted_by, holders, standings

_HEADS = "refs/heads/"
_FORMAT = 2
_FILE = "listed.json"
_KEPT = ("value", "low", "high", "n", "greater_is_better")
_IS_RUN = b'"kind": "run"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What the records at one commit say in brief. It cannot change, so that it is read once and remembered."""

    started_at: float | None = None  #: seconds since the epoch, UTC; None: no record says how it began
    target: str = ""  #: "refs/heads/main"
    base: str = ""  #: commit of the target that it has in it
    runs: int = 0
    newest: str = ""  #: the run that counts: the newest one with metrics, or the newest
    status: str = ""  #: of that run: "succeeded" or "rejected"
    is_stale: bool = False  #: files or data are others than those of that run
    gated: Sequence[str] = ()  #: metrics that its gates decide on
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  #: value, interval, n, greater_is_better
    parameters: Mapping[str, Any] = field(default_factory=dict)  #: by "step.parameter"


_FIELDS = [each.name for each in fields(Summary) if each.name != "metrics"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One experiment."""

    name: str
    commit: str
    summary: Summary
    standing: Standing | None  #: None: its target is gone
    worktree: Path | None
    holder: int | None  #: process that works on it

    @property
    def state(self) -> str:
        """Return one word: running, merged, new, stale, or how its newest run ended."""
        if self.holder is not None:
            return "running"
        if self.standing is not None and self.standing.is_merged:
            return "merged"
        return "new" if not self.summary.newest else "stale" if self.summary.is_stale else self.summary.status

    @property
    def data(self) -> dict[str, Any]:
        """Return it as plain data."""
        one, standing = self.summary, self.standing
        return {
            "experiment": self.name,
            "branch": f"exp/{self.name}",
            "commit": self.commit,
            "target": one.target.removeprefix(_HEADS),
            "started_at": one.started_at,
            "worktree": None if self.worktree is None else str(self.worktree),
            "state": self.state,
            "ahead": None if standing is None else standing.ahead,
            "behind": None if standing is None else standing.behind,
            "is_merged": None if standing is None else standing.is_merged,
            "process": self.holder,
            "runs": one.runs,
            "newest": one.newest or None,
            "status": one.status or None,
            "is_stale": one.is_stale,
            "metrics": {name: dict(each) for name, each in one.metrics.items()},
            "parameters": dict(one.parameters),
        }


def list_experiments(place: Place, names: Sequence[str] = ()) -> list[Listed]:
    """Return all experiments, or some, in the order of their beginnings. Raises UsageError for an unknown one."""
    heads = place.repository.refs(_HEADS)
    branches = {ref.removeprefix(BRANCHES): commit for ref, commit in heads.items() if ref.startswith(BRANCHES)}
    commits = {name: branches.get(name) or place.tip(name) for name in names} if names else branches
    summaries = _summaries(place, commits, branches)
    stand = standings(place.repository, _pairs(commits, summaries, heads))
    folders = {
        each.branch.removeprefix(BRANCHES): each.path
        for each in place.repository.worktrees()
        if each.branch.startswith(BRANCHES) and not each.path.name.startswith(MAKING) and each.path.is_dir()
    }
    working = holders(place.folder)
    found = [
        Listed(
            name=name,
            commit=commit,
            summary=summaries[name],
            standing=stand.get(name),
            worktree=folders.get(name),
            holder=working.get(name),
        )
        for name, commit in commits.items()
    ]
    return found if names else sorted(found, key=lambda each: (each.summary.started_at or 0.0, each.name))


def list_accepted(place: Place) -> list[Commit]:
    """Return the commits that accepted experiments, on the targets that there are, the newest first."""
    heads = place.repository.refs(_HEADS)
    branches = {ref.removeprefix(BRANCHES): commit for ref, commit in heads.items() if ref.startswith(BRANCHES)}
    targets = {each.target for each in _summaries(place, branches, branches).values()} & heads.keys()
    ends = sorted(targets | {place.repository.branch(place.repository.main)} & heads.keys())
    return [each for each in place.repository.history(ends, subject="Accept experiment ") if accepted_by(each)]


def _pairs(commits: Mapping[str, str], summaries: Mapping[str, Summary], heads: Mapping[str, str]) -> dict[str, Pair]:
    return {
        name: Pair(commit, heads[summaries[name].target], summaries[name].base)
        for name, commit in commits.items()
        if summaries[name].target in heads
    }


def _summaries(place: Place, commits: Mapping[str, str], branches: Mapping[str, str]) -> dict[str, Summary]:
    """Return what is remembered of commits; what is not is read, and remembered while *branches* are at them."""
    file = place.folder / _FILE
    known = _remembered(file)
    missing = {name: commit for name, commit in commits.items() if _key(name, commit) not in known}
    if missing:
        known |= {_key(name, commits[name]): summary for name, summary in _read(place, missing).items()}
        current = {_key(name, commit) for name, commit in branches.items()}
        _remember(file, {key: summary for key, summary in known.items() if key in current})
    return {name: known[_key(name, commit)] for name, commit in commits.items()}


def _key(name: str, commit: str) -> str:
    return f"{name} {commit}"


def _remembered(file: Path) -> dict[str, Summary]:
    """Return what the file says; nothing where it is not there, or was written by another version or is damaged."""
    try:
        told = json.loads(file.read_bytes())
        return {key: _unpacked(each) for key, each in told["commits"].items()} if told["format"] == _FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _remember(file: Path, known: Mapping[str, Summary]) -> None:
    """Write it for the next time; where that cannot be, it is read again then."""
    content = json.dumps({"format": _FORMAT, "commits": {key: _packed(each) for key, each in known.items()}})
    beside = file.with_name(f".{_FILE}-{os.getpid()}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(content, encoding="utf-8")
        beside.replace(file)


def _packed(one: Summary) -> list[Any]:
    """Return the values of a summary without their names, which would be most of the file."""
    metrics = {name: list(each.values()) for name, each in one.metrics.items()}
    return [metrics, *(getattr(one, name) for name in _FIELDS)]


def _unpacked(values: Sequence[Any]) -> Summary:
    metrics = {name: dict(zip(_KEPT, each, strict=True)) for name, each in values[0].items()}
    return Summary(metrics=metrics, **dict(zip(_FIELDS, values[1:], strict=True)))


def _read(place: Place, commits: Mapping[str, str]) -> dict[str, Summary]:
    """Return summaries from the records of experiments, by two calls of git however many they are."""
    above = folders_above(place)
    asked = {name: tree_names(commit, [*above, RECORDS, name]) for name, commit in commits.items()}
    trees = iter(place.repository.read([object_name for each in asked.values() for object_name in each]))
    found = {name: [next(trees) for _ in each] for name, each in asked.items()}
    files = {name: files_in(each[-1] or b"", len(commits[name]) // 2) for name, each in found.items()}
    contents = iter(place.repository.read([oid for each in files.values() for _, oid in each]))
    summaries = {}
    for name, listed in files.items():
        written = {file: next(contents) or b"" for file, _ in listed}
        path = [*above, RECORDS, name]
        summaries[name] = _summary(written, [each or b"" for each in found[name]], path, len(commits[name]) // 2)
    return summaries


def _summary(written: Mapping[str, bytes], trees: Sequence[bytes], path: Sequence[str], oid_bytes: int) -> Summary:
    is_run = {file: _IS_RUN in content[-30:] for file, content in written.items()}
    starts, runs = ([file for file in written if is_run[file] is kind] for kind in (False, True))
    about: dict[str, Any] = {"runs": len(runs)}
    with damaged_records("/".join(path)):
        start = json.loads(written[starts[-1]]) if starts else None
        if start is not None:
            about |= {"started_at": start["at"], "target": start["target"], "base": start["base"]}
        newest = _newest(written, runs)
        if newest is None:
            return Summary(**about)
        first = min(file for file in runs if file == f"{newest['id']}.json" or _ran(written[file]) == newest["tree"])
        later = [file for file in written if file >= first]
        is_same = tree_without(trees, path, later, oid_bytes) == newest["tree"]
        metrics = newest.get("metrics", {})
        return Summary(
            **about,
            newest=newest["run_id"],
            status=newest["status"],
            is_stale=not is_same or (start is not None and start["id"] > newest["id"]),
            gated=list(dict.fromkeys(newest.get("gates", {}).values())),
            metrics={name: {key: each.get(key) for key in _KEPT} for name, each in metrics.items()},
            parameters=newest.get("step_parameters") or newest.get("parameters", {}),
        )


def _newest(written: Mapping[str, bytes], runs: Sequence[str]) -> dict[str, Any] | None:
    """Return what the newest run with metrics says, or else the newest; those behind it are not read."""
    newest: dict[str, Any] | None = None
    for file in reversed(runs):
        told: dict[str, Any] = json.loads(written[file])
        if told.get("metrics"):
            return told
        newest = newest or told
    return newest


def _ran(content: bytes) -> str:
    """Return the tree that a record says has run, without reading all of it."""
    return content.partition(b'"tree": "')[2].partition(b'"')[0].decode()
