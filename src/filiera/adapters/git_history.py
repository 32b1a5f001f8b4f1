"""CodeHistory by the ``git`` program."""

from __future__ import annotations

import subprocess
from pathlib import Path

from filiera.core.task import CodeState


class GitHistory:
    """What git says of a folder. Without git, or outside a repository, it says nothing; that is no error."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def state(self) -> CodeState | None:
        """Return the commit and whether files differ from it, by one ``git status``; None outside a repository."""
        command = ["git", "-C", str(self._root), "status", "--porcelain=v2", "--branch", "--untracked-files=normal"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return None
        if done.returncode != 0:
            return None
        lines = done.stdout.splitlines()
        commit = next((line.split(" ")[2] for line in lines if line.startswith("# branch.oid ")), "")
        is_dirty = any(not line.startswith("#") for line in lines)
        return CodeState(commit="" if commit == "(initial)" else commit, is_dirty=is_dirty)
