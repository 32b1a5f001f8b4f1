"""The name of an immutable value."""

from __future__ import annotations

from dataclasses import field

from filiera.core.digest import is_digest
from filiera.core.value import dataclass

INLINE_LIMIT_BYTES = 4096
"""Values up to this size travel and are stored with their record; larger ones are files of the blob store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactRef:
    """Names the bytes of one step output. Equal digest and codec mean an equal value.

    >>> ArtifactRef(digest="0" * 64, codec="json/1", size_bytes=3).short
    '000000000000'
    """

    digest: str  #: plain BLAKE3 of the encoded bytes, 64 lower-case hex digits
    codec: str  #: name and version of the encoding, such as "arrow/1"
    size_bytes: int  #: length of the encoded bytes
    inline: bytes | None = field(default=None, repr=False, compare=False)  #: the bytes themselves, when small

    def __post_init__(self) -> None:
        if not is_digest(self.digest):
            raise ValueError(f"digest must be 64 hex digits, got {self.digest!r}")
        if "/" not in self.codec:
            raise ValueError(f"codec must be 'name/version', got {self.codec!r}")

    @property
    def short(self) -> str:
        """Return the first 12 digits, enough for people."""
        return self.digest[:12]

    @property
    def identity(self) -> str:
        """Return what cache keys see: the codec and the digest."""
        return f"{self.codec}:{self.digest}"
