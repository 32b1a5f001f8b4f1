"""Taking blobs out of a folder of blobs beside processes that put and read them.

A blob leaves its place by one rename, and only then is it decided whether it goes for good. A process that puts the
same bytes at that moment either finds them gone, and writes them anew, or had marked the blob as newly stored before:
then its time, read after the rename, says so, and it goes back to its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from filiera.adapters.local_disk import disk_error
from filiera.core.digest import is_digest

_PIECE_BYTES = 4 * 1024 * 1024


class FolderSweep:
    """Removes blobs of the folder that a ``FolderBlobs`` keeps."""

    def __init__(self, root: Path) -> None:
        self._root = Path(root).absolute()
        self._leaving = self._root / "leaving"

    def remove(self, digest: str, *, stored_before: float) -> bool:
        """Remove a blob unless it was put at *stored_before* (seconds since the epoch) or later; tell whether it went.

        A put of the same bytes at the same time wins. Raises StoreError.
        """
        final, leaving = self._file(digest), self._leaving / digest
        try:
            self._leaving.mkdir(exist_ok=True)
            final.rename(leaving)
            if leaving.stat().st_mtime >= stored_before:
                self._return(leaving)
                return False
            leaving.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise disk_error(error, final) from error
        return True

    def leaving(self) -> Iterator[tuple[str, int]]:
        """Yield digest and size in bytes of what was leaving when a process was killed."""
        with suppress(FileNotFoundError), os.scandir(self._leaving) as entries:
            for entry in entries:
                yield entry.name, entry.stat().st_size

    def put_back(self) -> int:
        """Put back what was leaving when a process was killed; return how many blobs. Raises StoreError."""
        count = 0
        try:
            with suppress(FileNotFoundError), os.scandir(self._leaving) as entries:
                for entry in entries:
                    if is_digest(entry.name):
                        self._return(Path(entry.path))
                        count += 1
        except OSError as error:
            raise disk_error(error, self._leaving) from error
        return count

    def set_aside(self, digest: str, folder: Path) -> Path | None:
        """Move a damaged blob into *folder*; return its new place, or None when it is sound or absent.

        Its bytes are read again, whatever was known of them. A sound blob that another process puts in its place
        meanwhile stays. Raises StoreError.
        """
        final = self._file(digest)
        try:
            with final.open("rb", buffering=0) as stream:
                if _has_digest(stream.fileno(), digest):
                    return None
                folder.mkdir(parents=True, exist_ok=True)
                place = folder / f"{digest}-{os.urandom(4).hex()}"
                final.rename(place)
                if not os.path.samestat(os.fstat(stream.fileno()), place.stat()):
                    with suppress(FileExistsError):
                        os.link(place, final)
                    place.unlink()
                    return None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_error(error, final) from error
        return place

    def _return(self, leaving: Path) -> None:
        final = self._file(leaving.name)
        with suppress(FileExistsError):  # put anew meanwhile
            os.link(leaving, final)
        leaving.unlink()

    def _file(self, digest: str) -> Path:
        return self._root / digest[:2] / digest[2:]


def _has_digest(descriptor: int, digest: str) -> bool:
    hasher = blake3(max_threads=blake3.AUTO)
    try:
        while piece := os.read(descriptor, _PIECE_BYTES):
            hasher.update(piece)
    except OSError:  # a sector that cannot be read
        return False
    return bool(hasher.hexdigest() == digest)
