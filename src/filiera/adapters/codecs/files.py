"""Files and folders that a step has written, as manifests of blobs.

A manifest has one line of JSON for each file: its path inside the folder, size, digest, and whether it may be executed;
a path that ends with "/" is an empty folder. The files' bytes are blobs of their own, so folders that share files share
bytes. ``children`` lists them, for whoever must know which blobs a manifest keeps alive.

A stored file or folder comes back as a copy in a temporary folder of this process. It is removed when the process ends,
or, if that is killed as workers are, when the next process restores a file. A link into the store would cost less, but
who writes through it would damage the store for everyone.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from filiera.adapters.codecs.refusal import reading, unreadable
from filiera.core.digest import is_digest
from filiera.core.value import dataclass
from filiera.errors import CodecError
from filiera.ports import ArtifactReader, ArtifactWriter

_READ_ONLY, _EXECUTABLE = 0o444, 0o555
_FOLDER_PREFIX = "filiera-files-"
_LOCK = "lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of a manifest."""

    path: str  #: relative, with "/" between its parts; ends with "/" for an empty folder
    size_bytes: int
    digest: str  #: of the file's bytes; "" for an empty folder
    is_executable: bool

    def __post_init__(self) -> None:
        is_folder = self.path.endswith("/")
        parts = self.path.removesuffix("/").split("/")
        if "\0" in self.path or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{self.path!r} is not a path inside a folder")
        if is_folder != (self.digest == "") or not (is_folder or is_digest(self.digest)):
            raise ValueError(f"{self.path!r} has the digest {self.digest!r}")


class FileCodec:
    """A ``Path`` that leads to a file: its bytes and its name, not the folder it was in."""

    name = "file/1"

    def handles(self, value: object) -> bool:
        return isinstance(value, Path) and not value.is_dir()

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        if not value.is_file():
            raise _unstorable(value, "there is no such file" if not value.exists() else "it is not a regular file")
        _write_manifest([_stored(value, value.name, writer)], writer)

    def decode(self, reader: ArtifactReader) -> Path:
        entries = _manifest(reader.bytes(), self.name)
        if len(entries) != 1 or "/" in entries[0].path:
            raise unreadable(self.name, "it names no single file")
        return _restored(entries, reader) / entries[0].path


class FolderCodec:
    """A ``Path`` that leads to a folder: the files in it, at any depth. Links and special files are refused."""

    name = "folder/1"

    def handles(self, value: object) -> bool:
        return isinstance(value, Path) and value.is_dir()

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        try:
            found = sorted(_files(value))
        except OSError as error:
            raise _unstorable(value, f"it cannot be read: {error}") from error
        _write_manifest([_stored(value / path, path, writer) for path in found], writer)

    def decode(self, reader: ArtifactReader) -> Path:
        return _restored(_manifest(reader.bytes(), self.name), reader)


def children(manifest: bytes) -> list[str]:
    """Return the digests of the blobs that a manifest of ``file/1`` or ``folder/1`` names. Raises CodecError."""
    return [entry.digest for entry in _manifest(manifest, FolderCodec.name) if entry.digest]


def _files(folder: Path) -> Iterator[str]:
    """Yield the paths of files in *folder*, relative to it, and of empty folders with a "/" at the end."""
    for base, folders, files in os.walk(folder, onerror=_reraise):
        inside = Path(base).relative_to(folder)
        for name in [*folders, *files]:
            mode = (Path(base) / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                kind = "a link" if stat.S_ISLNK(mode) else "a special file"
                raise _unstorable(folder, f"{(inside / name).as_posix()!r} in it is {kind}")
        yield from ((inside / name).as_posix() for name in files)
        if not (folders or files) and inside.parts:
            yield f"{inside.as_posix()}/"


def _reraise(error: OSError) -> None:
    raise error


def _stored(file: Path, path: str, writer: ArtifactWriter) -> Entry:
    if path.endswith("/"):
        return Entry(path=path, size_bytes=0, digest="", is_executable=False)
    try:
        path.encode()
        before = file.stat()
        digest = writer.put_child(file)
        after = file.stat()
    except UnicodeEncodeError as error:
        raise _unstorable(file, "its name is not UTF-8") from error
    except OSError as error:
        if error.filename == str(file):
            raise _unstorable(file, f"it cannot be read: {error.strerror}") from error
        raise
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _unstorable(file, "something wrote to it while it was read")
    return Entry(path=path, size_bytes=after.st_size, digest=digest, is_executable=bool(after.st_mode & stat.S_IXUSR))


def _write_manifest(entries: Sequence[Entry], writer: ArtifactWriter) -> None:
    lines = [json.dumps(asdict(entry), ensure_ascii=False, separators=(",", ":")) + "\n" for entry in entries]
    writer.stream.write("".join(lines).encode())


def _manifest(content: bytes, codec: str) -> list[Entry]:
    with reading(codec):
        *lines, rest = content.decode().split("\n")
        if rest:
            raise ValueError("its last line is cut")
        entries = [Entry(**json.loads(line)) for line in lines]
        paths = [entry.path for entry in entries]
        if paths != sorted(set(paths)):
            raise ValueError("its paths are not in order")
    return entries


def _restored(entries: Sequence[Entry], reader: ArtifactReader) -> Path:
    target = Path(tempfile.mkdtemp(prefix="", dir=folder_of_process(os.getpid())))
    try:
        for entry in entries:
            file = target / PurePosixPath(entry.path)
            if not entry.digest:
                file.mkdir(parents=True)
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(reader.child(entry.digest), file)
            file.chmod(_EXECUTABLE if entry.is_executable else _READ_ONLY)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise CodecError(
            "A stored file cannot be copied for the step that needs it.",
            why=str(error),
            do=f"Free some space in {tempfile.gettempdir()}, or set TMPDIR to a larger disk.",
        ) from error
    return target


@functools.cache
def folder_of_process(process_id: int) -> Path:
    """Return this process's folder for restored files, having removed those of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        _remove_if_abandoned(folder)
    folder = Path(tempfile.mkdtemp(prefix=f"new-{_FOLDER_PREFIX}"))
    with contextlib.suppress(OSError):  # where files cannot be locked, it keeps the name that nobody looks for
        _lock(folder)
        folder = folder.rename(folder.with_name(folder.name.removeprefix("new-")))

    def remove() -> None:
        if os.getpid() == process_id:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _remove_if_abandoned(folder: Path) -> None:
    """Remove *folder* if it is ours and no living process has its lock."""
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return
        lock = _lock(folder)
    except OSError:  # in use, most likely
        return
    try:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _lock(folder: Path) -> int:
    """Return a descriptor that holds the lock of *folder* until it is closed, as the kernel does when a process ends.

    Raises:
        OSError: Another process has the lock, or the folder cannot be locked.
    """
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _unstorable(path: Path, why: str) -> CodecError:
    return CodecError(
        f"{str(path)!r} cannot be stored.",
        why=f"{why[0].upper()}{why[1:]}.",
        do="Return the Path of a file or folder that the step has finished writing, with regular files only.",
    )
