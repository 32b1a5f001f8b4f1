"""Tables in chunks: a manifest that names the files of consecutive rows which a table is made of.

A manifest has a line of JSON for each chunk, in the order of the rows: digest, rows, size in bytes. Tables that share
rows name the same files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from filiera.core.digest import is_digest
from filiera.core.value import dataclass

TABLE_CODEC = "table/1"
"""The name of this encoding, with Parquet files as chunks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Some consecutive rows of a table, as a file."""

    digest: str  #: of the file's bytes
    rows: int
    size_bytes: int

    def __post_init__(self) -> None:
        if not is_digest(self.digest):
            raise ValueError(f"{self.digest!r} is not a digest")
        if type(self.rows) is not int or type(self.size_bytes) is not int or min(self.rows, self.size_bytes) < 0:
            raise ValueError(f"{self.rows!r} rows in {self.size_bytes!r} bytes are no chunk")


def write_chunks(chunks: Iterable[Chunk]) -> bytes:
    """Return the manifest of a table.

    >>> write_chunks([Chunk(digest="0" * 64, rows=3, size_bytes=700)])[66:]
    b'",3,700]\\n'
    """
    return "".join([f'["{chunk.digest}",{chunk.rows},{chunk.size_bytes}]\n' for chunk in chunks]).encode()


def read_chunks(manifest: bytes) -> tuple[Chunk, ...]:
    """Return the chunks that a manifest names, at least one. Raises ValueError when the bytes are not a manifest."""
    if not manifest.endswith(b"\n"):
        raise ValueError("the last line of the manifest is cut")
    try:
        lines = json.loads(b"[" + manifest[:-1].replace(b"\n", b",") + b"]")
        return tuple([Chunk(digest=digest, rows=rows, size_bytes=size) for digest, rows, size in lines])
    except TypeError as error:
        raise ValueError(f"not a manifest of chunks: {error}") from error
