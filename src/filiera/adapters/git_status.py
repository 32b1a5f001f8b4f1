"""What ``git status`` says of a worktree, by one call: where it is, and which files differ from that."""

from __future__ import annotations

from filiera.core.value import dataclass

WORDS = (
    "status",
    "--porcelain=v2",
    "--branch",
    "--no-ahead-behind",
    "--no-renames",
    "--untracked-files=all",
    "--ignore-submodules=none",
    "-z",
)
_FIELDS_BEFORE_NAME = {"1": 8, "u": 10}
_NO_COMMIT, _NO_BRANCH = "(initial)", "(detached)"


@dataclass(frozen=True, slots=True)
class Status:
    """A worktree, as it was for a moment."""

    commit: str  #: that is checked out; "" while there is none
    branch: str  #: "refs/heads/main"; "" when it is detached
    changed: tuple[str, ...]  #: files that git knows and that differ, or whose staged state differs, from the commit
    new: tuple[str, ...]  #: files that are neither ignored nor known; of a repository in it only its folder, with "/"
    submodules: tuple[str, ...]  #: those in which something is not committed

    @property
    def is_clean(self) -> bool:
        """Tell whether all files are those of the commit, and nothing else is staged."""
        return bool(self.commit) and not self.changed and not self.new


def read_status(answer: str) -> Status:
    """Return what git has printed when it was asked by ``WORDS``."""
    commit = branch = ""
    changed, new, submodules = [], [], []
    for item in filter(None, answer.split("\0")):
        if item.startswith("# branch.oid "):
            commit = item[13:].removeprefix(_NO_COMMIT)
        elif item.startswith("# branch.head ") and item[14:] != _NO_BRANCH:
            branch = f"refs/heads/{item[14:]}"
        elif item.startswith("? "):
            new.append(item[2:])
        elif item[0] in _FIELDS_BEFORE_NAME:
            *words, name = item.split(" ", _FIELDS_BEFORE_NAME[item[0]])
            changed.append(name)
            if words[2][0] == "S" and set(words[2][2:]) - {"."}:
                submodules.append(name)
    return Status(commit, branch, tuple(changed), tuple(new), tuple(submodules))
