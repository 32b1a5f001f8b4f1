"""The name of an immutable value."""

from __future__ import annotations

import dataclasses

import pytest

from filiera.core.artifact import ArtifactRef

DIGEST = "ab" * 32


def test_bytes_do_not_count() -> None:
    """A reference with its bytes inside equals one without: the digest says it all."""
    bare = ArtifactRef(digest=DIGEST, codec="json/1", size_bytes=1)
    full = ArtifactRef(digest=DIGEST, codec="json/1", size_bytes=1, inline=b"1")
    assert bare == full
    assert hash(bare) == hash(full)


def test_encoding_is_part_of_the_identity() -> None:
    """The same bytes under two encodings are two values."""
    refs = [ArtifactRef(digest=DIGEST, codec=codec, size_bytes=1) for codec in ("json/1", "bytes/1", "json/2")]
    assert len({ref.identity for ref in refs}) == 3


@pytest.mark.parametrize("digest", ["", "AB" * 32, "ab" * 31, "../" * 21 + "a"])
def test_malformed_digest_is_refused(digest: str) -> None:
    """What is no digest cannot name a value, so it never becomes a path."""
    with pytest.raises(ValueError, match="64 hex digits"):
        ArtifactRef(digest=digest, codec="json/1", size_bytes=1)


def test_encoding_has_a_version() -> None:
    """An encoding without a version is refused: it could never be changed."""
    with pytest.raises(ValueError, match="name/version"):
        ArtifactRef(digest=DIGEST, codec="json", size_bytes=1)


def test_it_cannot_change() -> None:
    """A name that changed would name another value."""
    ref = ArtifactRef(digest=DIGEST, codec="json/1", size_bytes=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ref.digest = "cd" * 32  # type: ignore[misc]
