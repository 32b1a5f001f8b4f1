"""What experiments do in a git repository, by the ``git`` program: snapshots, worktrees, merges, references."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filiera.adapters import git_status
from filiera.adapters.git_failures import git_failure, require_version
from filiera.adapters.git_objects import Object, folders_of, objects_in, pack, with_files
from filiera.adapters.git_status import Status, read_status
from filiera.adapters.local_disk import disk_errors
from filiera.core.value import dataclass
from filiera.errors import ProjectError

NONE = "0" * 40
"""In place of a commit: the reference is not there."""
SCRATCH = "filiera-index-"
"""Begins the names of folders, beside what git keeps, that a killed process may leave."""
_CHANGES = ("worktree", "sparse-checkout", "reset", "read-tree", "update-ref", "merge")
_NO_SERVANTS = ("-c", "gc.auto=0", "-c", "core.fsmonitor=false")
"""No processes that outlive the command: they would keep its locks."""
_OF_ANOTHER = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
"""Variables that git sets for its hooks: they would name another worktree than the one that is meant."""
_BUSY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply", "BISECT_LOG")


@dataclass(frozen=True, slots=True)
class RefChange:
    """A reference that is to point from one commit to another; ``NONE`` stands for not being there."""

    ref: str
    new: str
    old: str


@dataclass(frozen=True, slots=True)
class Worktree:
    """A folder with the files of a commit."""

    path: Path
    commit: str
    branch: str  #: "refs/heads/main"; "" when it is detached

    @property
    def is_unborn(self) -> bool:
        """Tell whether its branch has no commit, or is gone."""
        return not self.commit.strip("0")


@dataclass(frozen=True, slots=True)
class Merge:
    """What merging two commits comes to."""

    tree: str
    conflicts: tuple[str, ...]  #: files; none: ``tree`` is the result


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of a history."""

    name: str
    parents: tuple[str, ...]
    at: float  #: when it was made: seconds since the epoch, UTC
    subject: str
    trailers: Mapping[str, tuple[str, ...]]  #: the last lines of its message: "Experiment" → values


@dataclass(frozen=True, slots=True)
class FileChange:
    """How many lines of a file differ."""

    name: str
    added: int | None  #: None: it is no text
    removed: int | None


class Repository:
    """The repository that a folder lies in.

    Raises:
        ProjectError: There is none, git is not installed or too old; each method: git does not do what it is asked.
        StoreFull: Each method that writes: no space is left.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.held: list[int] = []
        """Open locks that those git processes inherit which change worktrees and references.

        Where this process is killed they go on: until they have ended, nobody else begins.
        """
        asked = ("--git-common-dir", "--git-dir", "--is-inside-work-tree", "--show-toplevel")
        common, own, is_inside, top, *_ = (
            *self._try("rev-parse", "--path-format=absolute", *asked, cwd=folder).stdout.splitlines(),
            *[""] * len(asked),
        )
        if not own:
            require_version()
            raise ProjectError(
                f"{folder} is not in a git repository.",
                why="Each experiment is a branch.",
                do="git init && git add -A && git commit -m 'first state'",
            )
        self.common = Path(common)
        self.git_dir = Path(own)
        self.top = Path(top)
        if is_inside != "true":
            raise ProjectError(f"{folder} is a bare repository.", why="It has no files.", do="git clone it.")

    def at(self, worktree: Path) -> Repository:
        """Return it as another of its worktrees sees it, without asking git. Raises ProjectError."""
        found = copy.copy(self)
        found._folder = found.top = worktree
        marked = worktree / ".git"
        try:
            own = marked if marked.is_dir() else worktree / marked.read_text().removeprefix("gitdir:").strip()
        except OSError as error:
            raise ProjectError(
                f"{worktree} has lost its .git file.",
                why="By that git knows which branch its files are of.",
                do="filiera experiment doctor --repair",
            ) from error
        found.git_dir = own
        return found

    @property
    def main(self) -> Path:
        """Return the main worktree, which all others were made from."""
        return self.worktrees()[0].path

    def git(
        self,
        *words: str,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
        given: bytes | None = None,
        check: bool = True,
    ) -> str:
        """Return what git prints, without the last line's end; with *check* False also when it fails."""
        done = self._try(*words, cwd=cwd, variables=variables, given=given)
        if check and done.returncode:
            raise git_failure(words, cwd or self._folder, done)
        return done.stdout.rstrip("\n")

    def resolve(self, name: str) -> str:
        """Return the commit that a name means; '' when there is none."""
        return self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", check=False)

    def branch(self, cwd: Path | None = None) -> str:
        """Return the branch that is checked out, as ``refs/heads/main``; '' when none is."""
        return self.git("symbolic-ref", "--quiet", "HEAD", cwd=cwd, check=False)

    def refs(self, *prefixes: str) -> dict[str, str]:
        """Return references below *prefixes* with the commits they point at."""
        lines = self.git("for-each-ref", "--format=%(objectname) %(refname)", *prefixes).splitlines()
        return {name: commit for commit, _, name in (line.partition(" ") for line in lines)}

    def update(self, changes: Iterable[RefChange], why: str) -> None:
        """Change references, all or none. Raises ProjectError when one is not what it was."""
        lines = ["start", *(f"update {one.ref} {one.new} {one.old}" for one in changes), "prepare", "commit", ""]
        self.git("update-ref", "-m", why, "--stdin", given="\n".join(lines).encode())

    def push(self, remote: str, refs: Sequence[str]) -> list[str]:
        """Push references such as ``refs/heads/a:refs/heads/a``; return the addresses that the remote answers with."""
        done = self._try("push", "--", remote, *refs)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if not line.startswith("hint:")]
            raise ProjectError(
                f"git push to {remote} failed.",
                why="\n".join(lines).strip(),
                do="git remote -v names the remotes; if others have pushed meanwhile, pull first.",
            )
        lines = [line for line in done.stderr.splitlines() if line.startswith("remote:")]
        return [word for line in lines for word in line.split() if word.startswith(("https://", "http://"))]

    def worktrees(self) -> list[Worktree]:
        """Return all worktrees, the main one first, also those whose folder is gone."""
        found = []
        for block in self.git("worktree", "list", "--porcelain", "-z").split("\0\0"):
            told = dict(line.partition(" ")[::2] for line in block.strip("\0\n").split("\0") if line)
            if "worktree" in told:
                found.append(Worktree(Path(told["worktree"]), told.get("HEAD", ""), told.get("branch", "")))
        return found

    def folder_of(self, branch: str) -> Path | None:
        """Return the folder in which a branch is checked out, or None."""
        return next((each.path for each in self.worktrees() if each.branch == branch and each.path.is_dir()), None)

    def busy(self) -> str:
        """Return what git is in the middle of in this worktree, such as ``MERGE_HEAD``; '' when nothing."""
        return next((name for name in _BUSY if (self.git_dir / name).exists()), "")

    def status(self, *, may_refresh: bool = False) -> Status:
        """Return what differs from the commit.

        With *may_refresh* git writes down which files it has found to be the same, and need not read them again.
        """
        first = () if may_refresh else ("--no-optional-locks",)
        return read_status(self.git(*first, *git_status.WORDS))

    def snapshot(self) -> str:
        """Return a tree of all files that are not ignored, without touching the index.

        Blobs of files that git does not have yet are added to its objects.
        """
        with self._index() as variables:
            self.git("add", "--all", "--sparse", cwd=self.top, variables=variables)
            return self.git("write-tree", variables=variables)

    def tree(self, commit: str) -> str:
        """Return the tree of a commit."""
        return self.git("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}")

    def staged(self) -> str:
        """Return a tree of what is staged; '' while files are in conflict."""
        with self._index() as variables:
            done = self._try("write-tree", variables=variables)
        if done.returncode and "unmerged" not in done.stderr:
            raise git_failure(("write-tree",), self.top, done)
        return done.stdout.strip()

    def detach(self, commit: str) -> None:
        """Let HEAD be a commit and no branch; files and index stay as they are."""
        self.git("update-ref", "--no-deref", "HEAD", commit)

    def stage(self, tree: str) -> None:
        """Let the index be a tree, whatever the files are."""
        self.git("read-tree", "--reset", tree, cwd=self.top)

    def commit(self, tree: str, parents: Sequence[str], message: str) -> str:
        """Return a new commit, which no reference points at yet."""
        words = ["commit-tree", tree, *(word for parent in parents for word in ("-p", parent)), "-F", "-"]
        done = self._try("-c", "user.useConfigOnly=true", *words, given=message.encode())
        if done.returncode:
            return self.git(*words, given=message.encode(), variables=self.somebody)
        return done.stdout.strip()

    def with_files(self, base: str, files: Mapping[str, bytes]) -> str:
        """Return the tree of *base*, a commit or a tree, with some files added or replaced.

        Two processes do it, one that reads and one that writes, however many files there are.
        """
        folders = folders_of(files)
        found = self.look([f"{base}^{{tree}}", *(f"{base}:{folder}" for folder in folders[1:])])
        if found[0] is None:
            raise ProjectError(f"git does not know {base} in {self._folder}.", do="git fsck")
        trees = {
            folder: each.content if each is not None and each.kind == "tree" else b""
            for folder, each in zip(folders, found, strict=True)
        }
        oid_bytes = len(found[0].name) // 2
        tree, objects = with_files(trees, files, oid_bytes)
        self._try_bytes("unpack-objects", "-q", given=pack(objects, oid_bytes))
        return tree

    def merge(self, ours: str, theirs: str) -> Merge:
        """Return what merging two commits comes to, touching no files."""
        done = self._try("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs)
        if done.returncode not in (0, 1):
            raise git_failure(("merge-tree", ours[:12], theirs[:12]), self._folder, done)
        tree, *files = done.stdout.rstrip("\n").split("\0")
        return Merge(tree, tuple(dict.fromkeys(name for name in files if name)) if done.returncode else ())

    def changed(self, before: str, after: str) -> list[str]:
        """Return the files that differ between two commits or trees."""
        return [name for name in self.git("diff-tree", "-r", "--name-only", "-z", before, after).split("\0") if name]

    def history(self, ends: Iterable[str], *, without: str = "", subject: str = "") -> list[Commit]:
        """Return all commits that can be reached from *ends*, the newest first.

        Args:
            ends: Commits or references.
            without: A commit that is left out with all that can be reached from it.
            subject: How their first lines begin; "": any.
        """
        lines = [*ends, *([f"^{without}"] if without else [])]
        only = ["--basic-regexp", f"--grep=^{subject}"] if subject else []
        form = "--format=%H%x1f%P%x1f%ct%x1f%s%x1f%(trailers:only,unfold)"
        text = self.git("log", "-z", *only, form, "--stdin", given="".join(f"{line}\n" for line in lines).encode())
        found = []
        for each in filter(None, text.split("\0")):
            name, parents, at, head, rest = each.split("\x1f", 4)
            trailers: dict[str, tuple[str, ...]] = {}
            for key, _, value in (line.partition(": ") for line in rest.splitlines()):
                trailers[key] = (*trailers.get(key, ()), value)
            found.append(Commit(name, tuple(parents.split()), float(at), head, trailers))
        return found

    def common_base(self, commits: Sequence[str]) -> str:
        """Return a commit that can be reached from all of them; "" when there is none, or one is not there."""
        return self.git("merge-base", "--octopus", *commits, check=False) if commits else ""

    def file_changes(self, before: str, after: str, *where: str) -> list[FileChange]:
        """Return how many lines of which files differ between two commits or trees, of those that pathspecs allow."""
        listed = self.git("diff-tree", "-r", "--numstat", "--no-renames", "-z", before, after, "--", *where)
        found = []
        for line in filter(None, listed.split("\0")):
            added, removed, name = line.split("\t", 2)
            found.append(FileChange(name, *(None if each == "-" else int(each) for each in (added, removed))))
        return found

    def look(self, names: Sequence[str]) -> list[Object | None]:
        """Return objects, such as ``refs/heads/x:file``, by one process; None for one that is not there."""
        asked = [os.fsencode(name) for name in names]
        answer = self._try_bytes(
            "cat-file", "--batch", "--buffer", "-z", given=b"".join(each + b"\0" for each in asked)
        )
        return list(objects_in(answer, asked))

    def read(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the contents of objects; None for one that is not there."""
        return [None if each is None else each.content for each in self.look(names)]

    @contextmanager
    def _index(self) -> Iterator[dict[str, str]]:
        """Give a copy of the index: what has not changed since need not be read again.

        It is as old as the index: git reads a file anew that was written in the same second as the index or later.
        """
        folder = self.common / f"{SCRATCH}{os.urandom(6).hex()}"
        try:
            with disk_errors(self.common):
                folder.mkdir()
                if (self.git_dir / "index").exists():
                    shutil.copy2(self.git_dir / "index", folder / "index")
            yield {"GIT_INDEX_FILE": str(folder / "index")}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def somebody(self) -> dict[str, str]:
        """Return a name for commits where git knows none, as on a new machine."""
        if self.git("config", "user.email", check=False) or os.environ.get("GIT_AUTHOR_EMAIL"):
            return {}
        return {f"GIT_{who}_{what}": "filiera" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def _try(
        self,
        *words: str,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
        given: bytes | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return _as_text(self._run(words, cwd or self._folder, variables or {}, given))

    def _try_bytes(self, *words: str, given: bytes) -> bytes:
        """Return what git prints, as bytes. Raises ProjectError, StoreFull."""
        done = self._run(words, self._folder, {}, given)
        if done.returncode:
            raise git_failure(words, self._folder, _as_text(done))
        return done.stdout

    def _run(
        self, words: Sequence[str], cwd: Path, variables: Mapping[str, str], given: bytes | None
    ) -> subprocess.CompletedProcess[bytes]:
        is_change = bool(self.held) and words[0] in _CHANGES
        command = ["git", "-C", str(cwd), *(_NO_SERVANTS if is_change else ()), *words]
        outside = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER}
        try:
            return subprocess.run(
                command,
                env={**outside, **variables, "LC_ALL": "C.UTF-8"},
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                check=False,
                pass_fds=self.held if is_change else (),
            )
        except FileNotFoundError as error:
            raise ProjectError(
                "git is not installed.", why="Each experiment is a branch.", do="Install git."
            ) from error


def _as_text(done: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[str]:
    out, err = (each.decode("utf-8", "surrogateescape") for each in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)
