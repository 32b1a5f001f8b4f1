"""Blobs in a folder: ``root/ab/cdef…``, read-only files named by the digest of their bytes.

A blob gets its name when it is whole, but waits for the disk only when it is settled, with the others of a run. Its
mode tells which it is: until it is settled, its owner may execute it, which means nothing for data and is kept by the
file system with the file itself. Should the power fail before, the file may be there without its bytes; so ``has``
reads an unsettled blob before it says yes. See ``docs/decisions/0007-blobs-settle-together.md``.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from blake3 import blake3

from filiera.adapters.local_disk import Sync, disk_error, make_folder
from filiera.core.digest import is_digest
from filiera.errors import BlobCorrupted, BlobMissing, StoreError

_Stamp = tuple[int, int, int, int]

# Below this, starting threads costs more than they save: 4 MiB take 0.7 ms with one thread or with two.
_THREADS_PAY_BYTES = 4 * 1024 * 1024
_SETTLED, _UNSETTLED = 0o444, 0o544
_THREADS = 16
"""How many files are synced at once: a journal commits them together. 1,000 files take 0.1 s; one by one, 1.9 s."""
_BATCH = 64
"""How many files are open at once for it."""
_REMEMBERED = 50_000
"""How many blobs a process remembers: a worker may live long. What it forgets it has settled, or verifies again."""
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
        self._unsettled: dict[str, None] = {}  # what it has put, or found, and nobody has settled yet

    def put(self, content: bytes) -> str:
        """Store *content* and return its digest. Raises StoreFull, StoreError."""
        digest = _hash(content)
        final = self._file(digest)
        with _disk_errors(final):
            if not self._has_intact(digest, final):
                partial = self.scratch() / f"put-{os.getpid()}-{os.urandom(8).hex()}"
                with _removed_on_failure(partial):
                    partial.write_bytes(content)
                    self._install(partial, final, digest)
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
                self._install(file, final, digest)

    def settle(self, digests: Iterable[str]) -> None:
        """Come back when these blobs survive a power cut, and all that were put or asked for through this object.

        Raises:
            BlobMissing: One of *digests* is not there.
            StoreFull, StoreError: The disk refuses.
        """
        mine = dict(self._unsettled)
        with _disk_errors(self._root):
            asked = [digest for digest in dict.fromkeys(digests) if self._is_unsettled(digest)]
            waiting = list(dict.fromkeys([*asked, *(digest for digest in mine if self._file(digest).exists())]))
            for start in range(0, len(waiting), _BATCH):
                self._settle([self._file(digest) for digest in waiting[start : start + _BATCH]])
        for digest in mine:
            self._unsettled.pop(digest, None)

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

        It is verified once per process, and again when inode, times or size change; the process that wrote the bytes
        need not read them again. Raises BlobMissing, BlobCorrupted, StoreError.
        """
        file = self._file(digest)
        with self._reading(digest, file):
            if not self._is_intact(digest, file, file.stat()):
                raise _corrupted(digest, file)
        return file

    def has(self, digest: str) -> bool:
        """Tell whether the digest is there; of one that is not settled, the bytes are looked at. Raises StoreError."""
        file = self._file(digest)
        with _disk_errors(file):
            try:
                found = file.stat()
            except FileNotFoundError:
                return False
            if not stat.S_ISREG(found.st_mode):
                return False
            if not found.st_mode & stat.S_IXUSR:
                return True
            if not self._is_intact(digest, file, found):
                return False
            self._unsettled[digest] = None
            return True

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
            if not folder.is_dir():
                make_folder(folder, self._sync)
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

    def _is_intact(self, digest: str, file: Path, found: os.stat_result) -> bool:
        """Tell whether a file has the bytes it is named after, which is found out once per process."""
        if self._verified.get(digest) == _stamp(found):
            return True
        if _hash_file(file) != digest:
            return False
        self._verify(digest, found)
        return True

    def _verify(self, digest: str, found: os.stat_result) -> None:
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[digest] = _stamp(found)

    def _has_intact(self, digest: str, final: Path) -> bool:
        """Tell whether the bytes are there; then they count as stored now, and clean-up by age spares them."""
        try:
            found = final.stat()
            if not self._is_intact(digest, final, found):
                return False
            if time.time() - found.st_mtime > _FRESH_S:
                os.utime(final)
                self._verify(digest, final.stat())
            if found.st_mode & stat.S_IXUSR:
                self._unsettled[digest] = None
        except OSError:  # absent, unreadable or another user's: writing it anew heals it or says what is wrong
            return False
        return True

    def _install(self, partial: Path, final: Path, digest: str) -> None:
        partial.chmod(_UNSETTLED)
        try:
            self._link(partial, final)
            partial.unlink()
        except OSError:  # something that is not these bytes has the name, or the file system knows no links
            self._replace(partial, final)
        self._verify(digest, final.stat())
        self._unsettled[digest] = None
        if len(self._unsettled) >= _REMEMBERED:
            self.settle([])

    def _link(self, partial: Path, final: Path) -> None:
        # Never by replacing: another process may have settled the same bytes a moment ago, and these are not.
        try:
            final.hardlink_to(partial)
        except FileNotFoundError:
            final.parent.mkdir(exist_ok=True)
            final.hardlink_to(partial)

    def _replace(self, partial: Path, final: Path) -> None:
        with partial.open("rb") as stream:
            self._sync(stream.fileno())
        partial.replace(final)

    def _is_unsettled(self, digest: str) -> bool:
        try:
            return bool(self._file(digest).stat().st_mode & stat.S_IXUSR)
        except FileNotFoundError:
            raise _missing(digest, self._root) from None

    def _settle(self, files: Sequence[Path]) -> None:
        with ExitStack() as opened:
            descriptors = {}
            for path in (*files, *{file.parent for file in files}, self._root):
                descriptors[path] = os.open(path, os.O_RDONLY)
                opened.callback(os.close, descriptors[path])

            def sync(path: Path) -> None:
                try:
                    self._sync(descriptors[path])
                except OSError:
                    # What the system still holds of it looks as if the disk had it, also to who syncs again.
                    if path in files:
                        path.unlink(missing_ok=True)
                    raise

            _each(sync, list(descriptors))
            for file in files:
                with suppress(OSError):  # another user's: it stays unsettled, and is synced once more
                    os.fchmod(descriptors[file], _SETTLED)

    @contextmanager
    def _reading(self, digest: str, file: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise _missing(digest, self._root) from None
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


def _each(act: Callable[[Path], None], paths: Sequence[Path]) -> None:
    if len(paths) <= _THREADS // 4:
        for path in paths:
            act(path)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(act, paths))


def _missing(digest: str, root: Path) -> BlobMissing:
    return BlobMissing(
        f"Blob {digest[:12]} is not in {root}.",
        why="It was deleted, or made on a machine that writes to another store.",
        do="Run the pipeline again: the step that made it is recomputed. filiera doctor lists what is missing.",
    )


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
