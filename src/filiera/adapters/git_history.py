"""CodeHistory by the ``git`` program."""

from __future__ import annotations

import subprocess
from pathlib import Path

from filiera.core.task import CodeState

_TIMEOUT_S = 20.0


class GitHistory:
    """What git says of a folder. Without git, or outside a repository, it says nothing; that is no error."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def state(self) -> CodeState | None:
        """Return the commit and whether files differ from it, by one ``git status``; None outside a repository."""
        status = ["status", "--porcelain=v2", "--branch", "--untracked-files=normal"]
        command = ["git", "--no-optional-locks", "-C", str(self._root), *status]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode != 0:
            return None
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        commit = next((line.split(" ")[2] for line in lines if line.startswith("# branch.oid ")), "")
        is_dirty = any(not line.startswith("#") for line in lines)
        return CodeState(commit="" if commit == "(initial)" else commit, is_dirty=is_dirty)
