"""Objects of git as bytes: their names, trees with some files put in or left out, and packs of new ones.

Source:
    The formats of git: gitformat-pack, and the objects chapter of its user manual.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

Kind = Literal["blob", "tree"]


class Object(NamedTuple):
    """What git keeps under a name that is made of its content."""

    name: str
    kind: str  #: "commit", "tree", "blob" or "tag"
    content: bytes


_IN_A_PACK: Mapping[Kind, int] = {"tree": 2, "blob": 3}
_FILE, _FOLDER = b"100644 ", b"40000 "


def entries(tree: bytes, oid_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names of what is in a tree, and the whole entries: mode, name, and the name of an object."""
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        after = end + 1 + oid_bytes
        yield tree[at:end].partition(b" ")[2], tree[at:after]
        at = after


def name_of(kind: Kind, content: bytes, oid_bytes: int) -> str:
    """Return what git calls an object.

    >>> name_of("blob", b"", 20)
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    made = hashlib.sha1 if oid_bytes == 20 else hashlib.sha256
    return made(b"%s %d\0" % (kind.encode(), len(content)) + content, usedforsecurity=False).hexdigest()


def folders_of(paths: Iterable[str]) -> list[str]:
    """Return the folders in which files lie, those above before those below, from the top, which is ''.

    >>> folders_of(["a/b/c", "a/d"])
    ['', 'a', 'a/b']
    """
    found = [folder for path in paths for folder in accumulate(path.split("/")[:-1], "{}/{}".format)]
    return list(dict.fromkeys(["", *sorted(found)]))


def with_files(
    trees: Mapping[str, bytes], files: Mapping[str, bytes], oid_bytes: int
) -> tuple[str, list[tuple[Kind, bytes]]]:
    """Return the name of a tree in which some files are added or replaced, and the objects that this makes.

    Args:
        trees: The trees of ``folders_of(files)``; empty for a folder that is not there yet.
        files: Their paths from the top, and their contents.
        oid_bytes: Length of the names of objects.
    """
    objects: list[tuple[Kind, bytes]] = []
    put: dict[str, dict[bytes, bytes]] = {}
    name = ""
    for path, content in files.items():
        objects.append(("blob", content))
        _put(put, path, _FILE, name_of("blob", content, oid_bytes))
    for folder in reversed(folders_of(files)):
        content = _tree({**dict(entries(trees[folder], oid_bytes)), **put[folder]})
        objects.append(("tree", content))
        name = name_of("tree", content, oid_bytes)
        if folder:
            _put(put, folder, _FOLDER, name)
    return name, objects


def _put(into: dict[str, dict[bytes, bytes]], path: str, mode: bytes, name: str) -> None:
    folder, _, last = path.rpartition("/")
    key = os.fsencode(last)
    into.setdefault(folder, {})[key] = mode + key + b"\0" + bytes.fromhex(name)


def _tree(found: Mapping[bytes, bytes]) -> bytes:
    """Return the tree with some entries, in git's order: a folder comes where its name with ``/`` does."""
    ordered = sorted(found, key=lambda name: name + b"/" if found[name].startswith(_FOLDER) else name)
    return b"".join(found[name] for name in ordered)


def tree_without(trees: Sequence[bytes], path: Sequence[str], files: Iterable[str], oid_bytes: int) -> str:
    """Return the name that a tree would have without some files of a folder in it.

    Args:
        trees: Contents of the tree objects from the top down to the folder.
        path: Names of the folders below the top, one fewer than *trees*.
        files: Names in the folder.
        oid_bytes: Length of the names of objects: 20, or 32 in a repository with SHA-256.
    """
    gone = {name.encode() for name in files}
    content = b"".join(entry for name, entry in entries(trees[-1], oid_bytes) if name not in gone)
    for tree, folder in zip(trees[-2::-1], reversed(path), strict=True):
        below = bytes.fromhex(name_of("tree", content, oid_bytes)) if content else b""
        content = b"".join(
            (entry[:-oid_bytes] + below if content else b"") if name == folder.encode() else entry
            for name, entry in entries(tree, oid_bytes)
        )
    return name_of("tree", content, oid_bytes)


def pack(objects: Sequence[tuple[Kind, bytes]], oid_bytes: int) -> bytes:
    """Return objects as a pack, which ``git unpack-objects`` takes in."""
    made = hashlib.sha1 if oid_bytes == 20 else hashlib.sha256
    content = b"PACK" + (2).to_bytes(4, "big") + len(objects).to_bytes(4, "big")
    content += b"".join(_length(_IN_A_PACK[kind], len(each)) + zlib.compress(each, 1) for kind, each in objects)
    return content + made(content, usedforsecurity=False).digest()


def _length(kind: int, size: int) -> bytes:
    """Return kind and size as a pack has them: 4 bits of the size beside the kind, then 7 in each byte."""
    found = [kind << 4 | size & 15]
    size >>= 4
    while size:
        found[-1] |= 128
        found.append(size & 127)
        size >>= 7
    return bytes(found)


def objects_in(answer: bytes, asked: Sequence[bytes]) -> Iterator[Object | None]:
    """Yield the objects that ``git cat-file --batch`` has printed; None for one that is not there."""
    at = 0
    for each in asked:
        missing = next((end for end in (b" missing\n", b" ambiguous\n") if answer.startswith(each + end, at)), None)
        if missing is not None:
            at += len(each) + len(missing)
            yield None
            continue
        end = answer.index(b"\n", at)
        name, kind, size = answer[at:end].decode().split(" ")
        at = end + 1 + int(size)
        yield Object(name, kind, answer[end + 1 : at])
        at += 1
