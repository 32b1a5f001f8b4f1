"""Objects of git as we write them: git reads them, and calls them the same."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.adapters.git_objects import folders_of, name_of, objects_in, pack, tree_without, with_files
from filiera.adapters.git_repository import Repository

PARTS = st.sampled_from(["a", "a.b", "a-b", "b", "größe", "\udcff", " a ", "two\nlines"])
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
OID_BYTES = {"sha1": 20, "sha256": 32}


def git(folder: Path, *words: str, given: bytes | None = None) -> bytes:
    return subprocess.run(["git", *words], cwd=folder, input=given, capture_output=True, check=True).stdout


@pytest.fixture(scope="module", params=list(OID_BYTES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with one commit."""
    found = tmp_path_factory.mktemp(request.param)
    git(found, "init", "--quiet", f"--object-format={request.param}")
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@lab"]
    git(found, *who, "commit", "--quiet", "--allow-empty", "-m", "first")
    return found


def tree_with(folder: Path, files: dict[str, bytes]) -> str:
    """Return git's own tree of some files."""
    git(folder, "read-tree", "--empty")
    for name, content in files.items():
        blob = git(folder, "hash-object", "-w", "--stdin", given=content).decode().strip()
        line = f"100644 {blob}\t{name}\0".encode("utf-8", "surrogateescape")
        git(folder, "update-index", "--add", "--replace", "-z", "--index-info", given=line)
    return git(folder, "write-tree").decode().strip()


@settings(max_examples=12, deadline=None)
@given(
    before=st.dictionaries(PATHS, st.binary(max_size=3), max_size=5),
    put=st.dictionaries(PATHS, st.binary(max_size=3), min_size=1, max_size=3),
)
def test_a_tree_with_files(folder: Path, before: dict[str, bytes], put: dict[str, bytes]) -> None:
    """It is what git makes of the same files, and a file makes room for a folder where it is in the way."""
    put = {name: each for name, each in put.items() if not any(other.startswith(f"{name}/") for other in put)}
    base = tree_with(folder, before)
    kept = dict(before)
    for name in put:
        gone = [one for one in kept if name.startswith(f"{one}/") or one.startswith(f"{name}/")]
        for one in gone:
            kept.pop(one)
    # What git leaves out of its index when names are in each other's way, it has left out of the base already.
    listed = git(folder, "ls-tree", "-r", "-z", "--name-only", base).decode("utf-8", "surrogateescape")
    whole = {name: kept[name] for name in listed.split("\0") if name in kept} | put
    assert Repository(folder).with_files(base, put) == tree_with(folder, whole)
    assert git(folder, "fsck", "--strict", "--no-dangling") == b""


@pytest.mark.parametrize("size", [0, 1, 15, 16, 2047, 2048, 70_000])
def test_a_pack(folder: Path, size: int) -> None:
    """Git takes it in whatever the length of what is in it."""
    oid_bytes = len(git(folder, "rev-parse", "HEAD").strip()) // 2
    content = bytes(range(251)) * (size // 251 + 1)
    tree, objects = with_files({"": b""}, {"file": content[:size]}, oid_bytes)
    git(folder, "unpack-objects", "-q", given=pack(objects, oid_bytes))
    assert git(folder, "cat-file", "blob", f"{tree}:file") == content[:size]
    assert git(folder, "cat-file", "-t", name_of("blob", content[:size], oid_bytes)) == b"blob\n"


def test_objects_that_are_not_there(folder: Path) -> None:
    """Each gets its own answer, also where its name would look like one."""
    asked = ["HEAD^{tree}", "HEAD:no", "HEAD:two\nlines", "HEAD:a missing", "HEAD^{commit}"]
    found = Repository(folder).look(asked)
    assert [None if each is None else each.kind for each in found] == ["tree", None, None, None, "commit"]
    assert list(objects_in(b"", [])) == []


def test_folders_come_before_what_is_in_them() -> None:
    """Also where a name sorts before the slash."""
    assert folders_of(["a/b/c", "a-b/c"]) == ["", "a", "a-b", "a/b"]


def test_the_name_of_a_tree_without_files(tmp_path: Path) -> None:
    """It is the one that git gives it, also where a folder, or all above it, would be empty."""

    def tree(files: Iterable[str]) -> str:
        return tree_with(tmp_path, {file: file.encode() for file in files})

    git(tmp_path, "init", "--quiet")
    for others in ([], ["a.py"], ["sub/a.py", "sub.py", "sub-b/c"], ["sub/experiments/other/1.json", "z/experiments"]):
        for kept in ([], ["1.json"], ["1.json", "3.json"]):
            folder = [f"sub/experiments/deeper/{file}" for file in kept]
            gone = ["sub/experiments/deeper/2.json", "sub/experiments/deeper/4.json"]
            whole = tree([*others, *folder, *gone])
            names = [whole, *(f"{whole}:{path}" for path in ("sub", "sub/experiments", "sub/experiments/deeper"))]
            trees = [git(tmp_path, "cat-file", "tree", name) for name in names]
            found = tree_without(trees, ["sub", "experiments", "deeper"], ["2.json", "4.json"], 20)
            assert found == tree([*others, *folder])
