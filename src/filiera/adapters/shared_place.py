"""A place that several machines share: a folder, or a part of an object store. Files are put there once, and whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from filiera.adapters.local_disk import disk_error
from filiera.adapters.sources.remote_files import SCHEMES, first_line, open_store
from filiera.errors import StoreError, UsageError

_PIECE_BYTES = 8 << 20


class SharedPlace(Protocol):
    """Where files of this machine and of others lie, by their names. What goes wrong is a StoreError."""

    def names(self) -> set[str]:
        """Return the names of all files there."""

    def put(self, name: str, file: Path) -> None:
        """Copy a file there: afterwards it is there whole, or not at all."""

    def get(self, name: str, file: Path) -> None:
        """Copy a file from there to a new *file*."""


def shared_place(address: str) -> SharedPlace:
    """Return the place that an address means: a folder, or such as ``s3://bucket/experiments``.

    Raises:
        UsageError: It is an address that nothing here speaks.
        SourceError: It is in an object store, for which a library is missing.
    """
    scheme = urlsplit(address).scheme if "://" in address else ""
    if not scheme:
        return SharedFolder(Path(address).expanduser())
    if scheme not in SCHEMES:
        raise UsageError(
            f"{address} cannot be used: nothing here speaks {scheme}.",
            why=f"Known are {', '.join(SCHEMES)}, and folders.",
        )
    return SharedStore(address)


class SharedFolder:
    """A folder, such as one that a file server has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> set[str]:
        with _disk_errors(self._folder):
            return {each.name for each in self._folder.iterdir()} if self._folder.exists() else set()

    def put(self, name: str, file: Path) -> None:
        target = self._folder / name
        part = self._folder / f".{name}.{os.getpid()}.part"
        with _disk_errors(target):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(file, part)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)

    def get(self, name: str, file: Path) -> None:
        with _disk_errors(self._folder / name):
            shutil.copyfile(self._folder / name, file)


class SharedStore:
    """A part of an object store. Credentials come from the environment, such as ``AWS_ACCESS_KEY_ID``."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        path = unquote(parts.path).strip("/")
        self._shown = address
        self._prefix = f"{path}/" if path else ""
        self._store = open_store(parts.scheme, parts.netloc, address)

    def names(self) -> set[str]:
        import obstore

        with self._speaking():
            listed = [
                meta["path"] for batch in obstore.list(self._store, prefix=self._prefix or None) for meta in batch
            ]
        return {path.removeprefix(self._prefix) for path in listed}

    def put(self, name: str, file: Path) -> None:
        import obstore

        with self._speaking():
            obstore.put(self._store, self._prefix + name, file)

    def get(self, name: str, file: Path) -> None:
        import obstore

        with self._speaking(), file.open("wb") as target:
            for piece in obstore.get(self._store, self._prefix + name).stream(min_chunk_size=_PIECE_BYTES):
                target.write(piece)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn what the store or the network says into StoreError, without credentials."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] != "obstore":
                raise
            raise StoreError(
                f"{self._shown} does not do what it is asked.",
                why=first_line(error, self._shown),
                do="Check the address, the network, and the variables with credentials, such as AWS_ACCESS_KEY_ID.",
            ) from error


@contextmanager
def _disk_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(error, file) from error
