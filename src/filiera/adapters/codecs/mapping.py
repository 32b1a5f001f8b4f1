"""Which artifacts are read into memory and which are mapped from their file."""

from __future__ import annotations

from pathlib import Path

from filiera.ports import ArtifactReader

MAPPED_FROM_BYTES = 256 * 1024
"""Artifacts of this size on are mapped: below it, one read costs less than verifying a file, opening and mapping it."""


def content(reader: ArtifactReader) -> bytes | Path:
    """Return the bytes of a small artifact and the file of a large one.

    Raises:
        StoreError: The bytes are missing, damaged or unreadable.
    """
    return reader.path() if reader.size_bytes >= MAPPED_FROM_BYTES else reader.bytes()
