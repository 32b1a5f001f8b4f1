"""The segments of one prediction log, for those who read or clear them beside the processes that write."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filiera.adapters._logged_records import records_of
from filiera.adapters._segment_file import Frames, is_closed, segments, sync_folder
from filiera.errors import StoreError


class SegmentFolder:
    """A folder of segments; it need not be there."""

    def __init__(self, folder: Path) -> None:
        """Look at *folder* when asked."""
        self.damaged = 0  #: how many places the latest reading skipped
        self._folder = folder

    def names(self) -> list[str]:
        """Return the names of all segments, the oldest first. Raises StoreError."""
        with self._usable():
            return [file.name for file in segments(self._folder)]

    def closed(self) -> list[tuple[str, int]]:
        """Return names and sizes in bytes of segments to which nobody writes, the oldest first. Raises StoreError."""
        with self._usable():
            return [(file.name, file.stat().st_size) for file in segments(self._folder) if is_closed(file)]

    def read(
        self, names: Collection[str], *, since: float = 0.0, until: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield intact records with ``since <= at < until``, segment after segment, each in order of logging.

        Raises:
            StoreError: One of them cannot be read.
        """
        self.damaged = 0
        with self._usable():
            for name in names:
                frames = Frames(self._folder / name)
                for frame in frames:
                    yield from records_of(frame, since=since, until=until)
                self.damaged += frames.damaged

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep all segments where they are for the block, however many hold them. Raises StoreError."""
        with self._usable():
            try:
                descriptor = os.open(self._folder, os.O_RDONLY)
            except FileNotFoundError:
                descriptor = -1
        try:
            if descriptor >= 0:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def try_remove(self, names: Collection[str]) -> bool:
        """Remove segments, for good when this returns, unless somebody holds them. Raises StoreError."""
        with self._usable():
            descriptor = os.open(self._folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for name in names:
                    (self._folder / name).unlink(missing_ok=True)
            except BlockingIOError:
                return False
            finally:
                os.close(descriptor)
            sync_folder(self._folder)
            return True

    def size_bytes(self) -> int:
        """Return how large the segments are together. Raises StoreError."""
        total = 0
        with self._usable():
            for file in segments(self._folder):
                with suppress(FileNotFoundError):
                    total += file.stat().st_size
        return total

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unusable(self._folder, error) from error


def unusable(folder: Path, error: OSError) -> StoreError:
    """Return the error that says why a log cannot be used."""
    return StoreError(f"The prediction log {folder} cannot be used.", why=error.strerror or str(error))
