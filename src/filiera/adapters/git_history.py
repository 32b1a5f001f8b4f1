"""CodeHistory by the ``git`` program. Nothing that it does writes into the repository."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.core.changes import CodeChanges
from filiera.core.task import CodeState
from filiera.errors import ProjectError

if TYPE_CHECKING:
    import subprocess  # loaded where git is asked: 3 ms that a project outside a repository need not wait

_TIMEOUT_S = 20.0
LARGEST_NEW_FILE_BYTES = 1024 * 1024
LARGEST_NEW_FILES_BYTES = 8 * 1024 * 1024
"""Of all new files together. What is larger is data: it belongs into a source, or into the list of ignored files."""

_STATUS = ("status", "--porcelain=v2", "--branch", "--untracked-files=all", "-z")
_DIFF = ("diff", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_APPLY = ("apply", "--binary", "--whitespace=nowarn", "-p1", "-")


class GitHistory:
    """What git says of a folder. Without git, or outside a repository, it says nothing; that is no error."""

    def __init__(self, root: Path, *, leave_out: Sequence[Path] = ()) -> None:
        """Make it, starting nothing; *leave_out* are folders whose files do not count, such as the store."""
        self._root = root
        self._top = _top_of(root)
        inside = [folder for folder in leave_out if self._top is not None and folder.is_relative_to(self._top)]
        self._scope = (
            "--",
            ":/",
            *(f":(exclude,top,literal){folder.relative_to(self._top or root)}" for folder in inside),
        )
        self._asked: subprocess.Popen[bytes] | None = None
        self._new: list[str] = []

    def ask(self) -> None:
        """Ask git for the state now; ``state`` collects the answer, while this process does other things."""
        if self._top is None:
            return
        import subprocess

        command = ["git", "--no-optional-locks", "-C", str(self._root), *_STATUS, *self._scope]
        try:
            self._asked = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            self._asked = None

    def __del__(self) -> None:
        # What was begun came to nothing, and nobody collects the answer; git ends by itself when this process does.
        if self._asked is not None and not sys.is_finalizing():
            self._asked.kill()
            self._asked.communicate()

    def state(self) -> CodeState | None:
        """Return the commit and whether files differ from it, by one ``git status``; None outside a repository."""
        if self._asked is None:
            self.ask()
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        import subprocess

        with asked:
            try:
                answer, _ = asked.communicate(timeout=_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                asked.kill()
                return None
        if asked.returncode != 0:
            return None
        items = [os.fsdecode(item) for item in answer.split(b"\0") if item]
        self._new = [item[2:] for item in items if item.startswith("? ")]
        commit = next((item.split(" ")[2] for item in items if item.startswith("# branch.oid ")), "")
        is_dirty = any(not item.startswith("#") for item in items)
        return CodeState(commit="" if commit == "(initial)" else commit, is_dirty=is_dirty)

    def changes(self) -> CodeChanges | None:
        """Return what differs from the commit, new files of the project included; None when git does not answer."""
        if self._top is None:
            return None
        tracked = self._git(*_DIFF, "--dst-prefix=b/", "HEAD", *self._scope)
        if tracked is None:
            return None
        pieces, left_out, size_bytes = [tracked], [], 0
        if self._new:
            from filiera.adapters._new_files import patch_of_new_file
        for name in self._new:
            file = self._top / name
            if not file.is_relative_to(self._root):
                continue
            content = _content(file, min(LARGEST_NEW_FILE_BYTES, LARGEST_NEW_FILES_BYTES - size_bytes))
            if content is None:
                left_out.append(name)
                continue
            size_bytes += len(content)
            pieces.append(patch_of_new_file(name, content, _mode(file)))
        return CodeChanges(patch=b"".join(pieces), left_out=tuple(left_out))

    def leaves_out(self, pattern: str) -> bool:
        """Tell whether files that a path or pattern names, from the project's folder, are left out of a checkout."""
        if self._top is None:
            return False
        named = os.path.normpath(self._root.relative_to(self._top) / pattern)
        listed = self._git("ls-files", "-t", "-z", "--", f":(top,glob){named}")
        return any(line.startswith(b"S ") for line in (listed or b"").split(b"\0"))

    def check_out(self, commit: str, patch: bytes, folder: Path) -> Path:
        """Write the files of a commit, with a patch applied, into a new folder; return where the project is in it.

        Raises:
            ProjectError: The commit is not in the repository, the patch does not fit, or there is no repository.
        """
        if not _COMMIT.fullmatch(commit):  # which would be a word for git, or for whoever follows the advice below
            raise ProjectError("What the run names as its commit is none.", why="A commit has 40 or 64 hex digits.")
        if self._top is None or self._git("cat-file", "-e", f"{commit}^{{commit}}") is None:
            raise ProjectError(
                f"Commit {commit[:12]} is not in the repository of {self._root}.",
                why="It was removed after its branch was rewritten or deleted, or was never brought here.",
                do="Fetch it from where it still is: git fetch origin " + commit,
            )
        index = folder.with_name(f"{folder.name}.index")
        folder.mkdir(parents=True)
        try:
            for words in (("read-tree", commit), ("checkout-index", "--all", "--force", f"--prefix={folder}/")):
                if self._git(*words, variables={"GIT_INDEX_FILE": str(index)}) is None:
                    raise ProjectError(
                        f"git cannot write the files of commit {commit[:12]} to {folder}.", do="git fsck"
                    )
        finally:
            index.unlink(missing_ok=True)
        if patch:
            _apply(patch, folder, commit)
        return folder / self._root.relative_to(self._top)

    def _git(self, *words: str, variables: Mapping[str, str] | None = None) -> bytes | None:
        """Return what git prints, from the top of the repository; None when it does not succeed."""
        import subprocess

        command = ["git", "--no-optional-locks", "-C", str(self._top), *words]
        try:
            done = subprocess.run(
                command, env={**os.environ, **(variables or {})}, capture_output=True, timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None


def _apply(patch: bytes, folder: Path, commit: str) -> None:
    import subprocess

    hidden = {"GIT_DIR": os.devnull, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(
        ["git", *_APPLY], cwd=folder, env={**os.environ, **hidden}, input=patch, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise ProjectError(
            f"The recorded changes do not fit commit {commit[:12]}.",
            why=done.stderr.decode("utf-8", "replace").strip(),
            do="filiera doctor checks the store that the changes are kept in.",
        )


def _top_of(root: Path) -> Path | None:
    return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)


def _mode(file: Path) -> str:
    if file.is_symlink():
        return "120000"
    return "100755" if os.access(file, os.X_OK) else "100644"


def _content(file: Path, limit_bytes: int) -> bytes | None:
    """Return what git would keep of a new file, or None when that is more than the limit or gone meanwhile."""
    try:
        if file.is_symlink():
            return os.fsencode(file.readlink())
        if not file.is_file() or file.stat().st_size > limit_bytes:
            return None
        return file.read_bytes()
    except OSError:
        return None
