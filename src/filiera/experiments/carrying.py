"""Changes that are not committed in the folder an experiment is merged into, and that the experiment has committed.

Where it was started with ``--dirty carry`` they are its first commit, and still lie in that folder. They are no work
that could be lost: merging leaves them as they are where the experiment has them so, and brings them up to date where
it has changed them further.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from filiera.core.value import dataclass
from filiera.experiments.moving import ABSENT_MODE, Kept, changes, give, oids_of, put, raw_changes
from filiera.experiments.place import Place


@dataclass(frozen=True, slots=True)
class Carried:
    """A file of the target's folder that was changed there as the experiment has it."""

    oid: str  #: what git calls its content there
    mode: str  #: of its entry in the index
    staged: str  #: the content of that entry


def carried(place: Place, folder: Path, old: str, new: str, tip: str) -> dict[str, Carried]:
    """Return the files of *folder* that are in the way of merging and can be taken up.

    None are returned unless all can: each is in a commit of the experiment as it is in the folder, and as it is staged.

    Args:
        place: Where.
        folder: Where the target is checked out.
        old: The commit that the target is at.
        new: The one it is to be at.
        tip: The experiment's.
    """
    merged = changes(place, ("diff-tree", "-r"), old, new)
    here = changes(place, ("diff-tree", "-r"), old, place.repository.at(folder).snapshot())
    staged = changes(place, ("diff-index", "--cached"), old, cwd=folder)
    words = ("log", "--format=", "--diff-merges=off")
    known = {(name, after) for name, _, after in raw_changes(place, words, f"{old}..{tip}")}
    found = {}
    for name in sorted(merged.keys() & (here.keys() | staged.keys())):
        before, after = merged[name]
        file, entry = (each[name][1] if name in each else before for each in (here, staged))
        for now in (file, entry):
            if now.mode != ABSENT_MODE and now not in (before, after) and (name, now) not in known:
                return {}
        if after.mode == ABSENT_MODE != file.mode:  # git removes no file that is changed
            return {}
        found[name] = Carried(file.oid, entry.mode, entry.oid)
    return found


def entries(files: Mapping[str, Carried]) -> dict[str, Kept]:
    """Return how files were in the index."""
    return {name: Kept(each.mode, each.staged) for name, each in files.items()}


def stage(place: Place, folder: Path, old: str, new: str, files: Iterable[str]) -> None:
    """Put files into the index of *folder* as they will be, so that git merges and lets them be."""
    merged = changes(place, ("diff-tree", "-r"), old, new)
    put(place, folder, {name: merged[name][1] for name in files})


def bring_up_to_date(place: Place, folder: Path, new: str, files: Mapping[str, Carried]) -> None:
    """Give files of *folder* the contents they have in *new*, but for those that somebody has changed meanwhile."""
    behind = changes(place, ("diff-index",), new, cwd=folder).keys() & files.keys()
    oids = oids_of(place, folder, sorted(behind))
    give(place, folder, new, "--worktree", [name for name, oid in oids.items() if oid == files[name].oid])
