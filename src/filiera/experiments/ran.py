"""Which files a run has run, and whether a commit has them still.

A record names the tree of all files that ran. The commit that keeps the record has them too, and the record, so that no
commit refers to that tree: git removes it some day, and does not bring it to other clones. But what its name would be
can be computed from the commit.
"""

from __future__ import annotations

from collections.abc import Sequence

from filiera.adapters.git_objects import tree_without
from filiera.experiments.names import RECORDS
from filiera.experiments.place import Place
from filiera.experiments.records import RunRecord, StartRecord, files_in, path_of


def changes_since(place: Place, run: RunRecord, runs: Sequence[RunRecord], tip: str) -> list[str]:
    """Return the files that differ between what a run has run and a commit, but for records of experiments.

    Args:
        place: Where.
        run: One of *runs*.
        runs: All runs of its experiment at that commit.
        tip: The commit.
    """
    path = [*folders_above(place), RECORDS, run.experiment]
    trees = [tree or b"" for tree in place.repository.read([run.tree, *tree_names(tip, path)])]
    oid_bytes = len(tip) // 2
    first = min(each.id for each in runs if each.tree == run.tree)
    later = [file for file, _ in files_in(trees[-1], oid_bytes) if file >= f"{first}.json"]
    if tree_without(trees[1:], path, later, oid_bytes) == run.tree:
        return []
    if trees[0]:
        return code_changes(place, run.tree, tip)
    return code_changes(place, commit_of(place, run, tip), tip) or ["which ones git does not know any more"]


def commit_of(place: Place, run: RunRecord, tip: str) -> str:
    """Return the commit that keeps a run's record, and the files that ran with it."""
    file = f":(top){path_of(run, place.prefix)}"
    return place.repository.git("log", "-1", "--diff-filter=A", "--format=%H", tip, "--", file) or tip


def is_only_renewed(place: Place, run: RunRecord, start: StartRecord, tip: str) -> bool:
    """Tell whether a commit is what a run has run, brought up to date with the target since, and nothing else."""
    if start.id < run.id:
        return False
    merged = place.repository.merge(commit_of(place, run, tip), start.base)
    return not merged.conflicts and not code_changes(place, merged.tree, tip)


def code_changes(place: Place, before: str, after: str) -> list[str]:
    """Return the files that differ between two trees or commits, but for records of experiments."""
    return [
        file for file in place.repository.changed(before, after) if not file.startswith(place.prefix + RECORDS + "/")
    ]


def folders_above(place: Place) -> list[str]:
    """Return the folders of the repository in which the project lies, from the top."""
    return [part for part in place.prefix.split("/") if part]


def tree_names(commit: str, path: Sequence[str]) -> list[str]:
    """Return names of a commit's tree, and of those of the folders on a path."""
    return [f"{commit}^{{tree}}", *(f"{commit}:{'/'.join(path[: depth + 1])}" for depth in range(len(path)))]
