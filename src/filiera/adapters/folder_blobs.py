"""Blobs in a folder: ``root/ab/cdef…``, read-only files named by the digest of their bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

from filiera.adapters.local_disk import Sync, disk_error, make_folder, sync_folder
from filiera.core.digest import is_digest
from filiera.errors import BlobCorrupted, BlobMissing, StoreError

_Stamp = tuple[int, int, int, int]

# Below this, starting threads costs more than they save: 4 MiB take 0.7 ms with one thread or with two.
_THREADS_PAY_BYTES = 4 * 1024 * 1024
_FRESH_S = 3600.0
"""A blob put again is marked as newly stored when its time is older than this: clean-up by age must wait longer."""


class FolderBlobs:
    """A BlobStore in a local folder. Nothing is written before the first put, and then only beside, and renamed.

    >>> FolderBlobs(Path("nowhere")).has("0" * 64)
    False
    """

    def __init__(self, root: Path, *, sync: Sync = os.fsync) -> None:
        self._root = Path(root).absolute()
        self._sync = sync
        self._verified: dict[str, _Stamp] = {}  # what this process has read and found intact
        self._synced: set[Path] = set()  # folders whose own name this process has seen reach the disk

    def put(self, content: bytes) -> str:
        """Store *content* durably and return its digest. Raises StoreFull, StoreError."""
        digest = _hash(content)
        final = self._file(digest)
        with _disk_errors(final):
            if not self._has_intact(digest, final):
                partial = self.scratch() / f"put-{os.getpid()}-{os.urandom(8).hex()}"
                with _removed_on_failure(partial):
                    partial.write_bytes(content)
                    self._install(partial, final)
                self._verified[digest] = _stamp(final.stat())
        return digest

    def adopt(self, file: Path, digest: str) -> None:
        """Take over a finished *file* from ``scratch()`` whose content has *digest*, which the caller computed.

        The file is gone afterwards, also on failure. Raises StoreFull, StoreError.
        """
        final = self._file(digest)
        with _disk_errors(file), _removed_on_failure(file):
            if self._has_intact(digest, final):
                file.unlink()
            else:
                self._install(file, final)

    def get(self, digest: str) -> bytes:
        """Return the bytes, verified each time. Raises BlobMissing, BlobCorrupted, StoreError."""
        file = self._file(digest)
        with self._reading(digest, file):
            content = file.read_bytes()
        if _hash(content) != digest:
            raise _corrupted(digest, file)
        return content

    def path(self, digest: str) -> Path:
        """Return the read-only file that holds the bytes, for reading or mapping.

        It is verified once per process, and again when inode, times or size change. Raises BlobMissing, BlobCorrupted,
        StoreError.
        """
        file = self._file(digest)
        with self._reading(digest, file):
            stamp = _stamp(file.stat())
            if self._verified.get(digest) != stamp:
                if _hash_file(file) != digest:
                    raise _corrupted(digest, file)
                self._verified[digest] = stamp
        return file

    def has(self, digest: str) -> bool:
        """Tell whether the digest is there (its content unverified). Raises StoreError."""
        file = self._file(digest)
        with _disk_errors(file):
            return file.is_file()

    def delete(self, digest: str) -> None:
        """Remove a blob; absent is fine. Raises StoreError."""
        file = self._file(digest)
        with _disk_errors(file):
            file.unlink(missing_ok=True)
        self._verified.pop(digest, None)

    def blobs(self) -> Iterator[tuple[str, int, float]]:
        """Yield digest, size in bytes and time of storing (seconds since the epoch) of every blob, in no order."""
        with _disk_errors(self._root):
            for folder in _entries(self._root):
                if len(folder.name) == 2 and folder.is_dir():
                    for entry in _entries(Path(folder.path)):
                        found = _stat_or_none(entry) if is_digest(folder.name + entry.name) else None
                        if found is not None:
                            yield folder.name + entry.name, found.st_size, found.st_mtime

    def scratch(self) -> Path:
        """Return the folder for unfinished files, made if missing. Raises StoreFull, StoreError."""
        folder = self._root / "scratch"
        with _disk_errors(folder):
            self._make(folder)
        return folder

    def sweep_scratch(self, older_than_s: float) -> int:
        """Remove unfinished files that nobody wrote to for *older_than_s*; return how many bytes that gave back.

        What a killed process leaves behind; choose an age that no living writer reaches. Raises StoreError.
        """
        freed_bytes = 0
        with _disk_errors(self._root):
            for entry in _entries(self._root / "scratch"):
                found = _stat_or_none(entry)
                if found is not None and time.time() - found.st_mtime >= older_than_s and entry.is_file():
                    Path(entry.path).unlink(missing_ok=True)
                    freed_bytes += found.st_size
        return freed_bytes

    def _file(self, digest: str) -> Path:
        if not is_digest(digest):
            raise StoreError(
                f"{digest!r} does not name a blob.",
                why="A blob is named by 64 lower-case hex digits.",
                do="filiera doctor checks the records that hold such a name.",
            )
        return self._root / digest[:2] / digest[2:]

    def _make(self, folder: Path) -> None:
        # Not only when missing: who made it a moment ago may not have come to syncing its name.
        if folder not in self._synced or not folder.is_dir():
            make_folder(folder, self._sync)
            self._synced.add(folder)

    def _has_intact(self, digest: str, final: Path) -> bool:
        """Tell whether the bytes are there for good; then they count as stored now, and clean-up by age spares them."""
        try:
            found = final.stat()
            if self._verified.get(digest) != _stamp(found) and _hash_file(final) != digest:
                return False
            if time.time() - found.st_mtime > _FRESH_S:
                os.utime(final)
                found = final.stat()
            # The process that renamed it may not have come to this yet.
            sync_folder(final.parent, self._sync)
        except OSError:  # absent, unreadable or another user's: writing it anew heals it or says what is wrong
            return False
        self._verified[digest] = _stamp(found)
        return True

    def _install(self, partial: Path, final: Path) -> None:
        # Made before the bytes are synced: a journaling file system then commits both at once.
        self._make(final.parent)
        partial.chmod(0o444)
        with partial.open("rb") as stream:
            self._sync(stream.fileno())
        # Two workers may store the same bytes at once: the later rename wins and harms nobody.
        partial.replace(final)
        sync_folder(final.parent, self._sync)

    @contextmanager
    def _reading(self, digest: str, file: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise BlobMissing(
                f"Blob {digest[:12]} is not in {self._root}.",
                why="It was deleted, or made on a machine that writes to another store.",
                do="Run the pipeline again: the step that made it is recomputed. filiera doctor lists what is missing.",
            ) from None
        except OSError as error:
            raise disk_error(error, file) from error


@contextmanager
def _disk_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(error, file) from error


@contextmanager
def _removed_on_failure(file: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _corrupted(digest: str, file: Path) -> BlobCorrupted:
    return BlobCorrupted(
        f"Blob {digest[:12]} is damaged: {file} does not hold the bytes it is named after.",
        why="The file was changed from outside, or the disk returned other bytes than were written.",
        do="filiera doctor --repair removes it; then run the pipeline that made it, and it is made again.",
    )


def _hash(content: bytes) -> str:
    threads = blake3.AUTO if len(content) > _THREADS_PAY_BYTES else 1
    return blake3(content, max_threads=threads).hexdigest()


def _hash_file(file: Path) -> str:
    """Return the digest of a file's bytes, read piece by piece.

    Mapping it saves 10 ms on 320 MB (38 against 50), but an unreadable sector of a mapped file kills the process.
    """
    with file.open("rb", buffering=0) as stream:
        size_bytes = os.fstat(stream.fileno()).st_size
        if size_bytes <= _THREADS_PAY_BYTES:
            return _hash(stream.readall())
        hasher = blake3(max_threads=blake3.AUTO)
        buffer = memoryview(bytearray(_THREADS_PAY_BYTES))
        while count := stream.readinto(buffer):
            hasher.update(buffer[:count])
    return hasher.hexdigest()


def _stamp(found: os.stat_result) -> _Stamp:
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return


def _stat_or_none(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except FileNotFoundError:
        return None
