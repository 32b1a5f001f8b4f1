"""Files as streams of bytes, decompressed when they are compressed: told by their content, not their name."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filiera.adapters.sources.entries import reading

_OPENERS: Mapping[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Give a file's bytes as a stream. Raises SourceError when it cannot be opened."""
    with reading(path):
        with path.open("rb") as file:
            start = file.read(6)
        opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
        stream = opener(path) if opener else path.open("rb")
    with stream:
        yield stream
