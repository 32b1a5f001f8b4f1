"""Names for values: BLAKE3 over length-prefixed, domain-tagged bytes."""

from __future__ import annotations

from blake3 import blake3

DIGEST_LENGTH = 64
_HEX = frozenset("0123456789abcdef")


def digest(tag: str, *parts: bytes) -> str:
    """Return the BLAKE3 digest, 64 hex digits, of length-prefixed *parts* under a domain *tag*.

    The tag says what kind of thing is named (such as ``"key/1"``), so that two kinds never collide; the length
    prefixes keep ``("ab", "c")`` apart from ``("a", "bc")``.

    >>> digest("t", b"ab", b"c") == digest("t", b"a", b"bc")
    False
    """
    pieces = []
    for part in (tag.encode(), *parts):
        pieces.append(len(part).to_bytes(8, "big"))
        pieces.append(part)
    return blake3(b"".join(pieces)).hexdigest()


def blob_digest(content: bytes | bytearray | memoryview) -> str:
    """Return the plain BLAKE3 digest of *content*: what ``b3sum`` prints for the stored file.

    >>> blob_digest(b"")[:8]
    'af1349b9'
    """
    return blake3(content).hexdigest()


def is_digest(text: str) -> bool:
    """Tell whether *text* is 64 lower-case hex digits."""
    return len(text) == DIGEST_LENGTH and _HEX.issuperset(text)
