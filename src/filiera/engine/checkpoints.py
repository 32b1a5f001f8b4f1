"""Where checkpoints are kept: one small file per cache key, which names a value of the blob store."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from filiera.core.artifact import ArtifactRef
from filiera.core.parts import read_parts, write_kind, write_part
from filiera.errors import CodecError, StoreError, StoreFull


class Values(Protocol):
    """Stores values and loads them again."""

    def put(self, value: object) -> ArtifactRef:
        """Store *value*. Raises CodecError, StoreError."""

    def get(self, ref: ArtifactRef) -> Any:
        """Return the value. Raises CodecError, StoreError."""


class Checkpoints:
    """The checkpoints of a store."""

    def __init__(self, folder: Path, values: Values) -> None:
        self._folder, self._values = folder, values

    def of(self, key: str) -> Checkpoint:
        """Return the checkpoint of the step with this cache key, which need not exist."""
        return Checkpoint(self._folder, key, self._values)


class Checkpoint:
    """What the attempts at one step keep between them."""

    __slots__ = ("_folder", "_key", "_values", "is_used")

    def __init__(self, folder: Path, key: str, values: Values) -> None:
        self._folder, self._key, self._values = folder, key, values
        self.is_used = False  #: something was loaded or saved

    @property
    def _file(self) -> Path:
        return self._folder / self._key

    def load(self, default: Any) -> Any:
        """Return what was saved last, or *default*; also when it cannot be read any more, which the log then tells."""
        self.is_used = True
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return default
        try:
            return self._values.get(read_parts(content)[1][0])
        except (ValueError, IndexError, CodecError, StoreError) as error:
            # Its bytes need not survive a power cut: the step begins anew then, which is only slower.
            print(f"The checkpoint cannot be read, the step begins anew: {error}", file=sys.stderr)
            return default

    def save(self, value: Any) -> None:
        """Replace what was saved, at once or not at all. Raises CodecError, StoreError."""
        self.is_used = True
        content = write_kind(list) + write_part(self._values.put(value))
        partial = self._folder / f"{self._key}.{os.getpid()}.part"
        try:
            try:
                partial.write_bytes(content)
            except FileNotFoundError:
                self._folder.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(content)
            partial.replace(self._file)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            do = "Free some space on the disk that holds the store, and check that its folder can be written to."
            raise StoreFull("The checkpoint cannot be kept.", why=str(error), do=do) from error

    def remove(self) -> None:
        """Forget it: the step has succeeded."""
        self._file.unlink(missing_ok=True)
