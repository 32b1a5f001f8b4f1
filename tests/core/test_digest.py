"""Names for values."""

from __future__ import annotations

import subprocess
import sys

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.digest import blob_digest, digest, is_digest

many_parts = st.lists(st.binary(max_size=20), max_size=5)


@given(parts=many_parts, other=many_parts)
def test_digest_tells_lists_apart(parts: list[bytes], other: list[bytes]) -> None:
    """Where one part ends and the next begins changes the digest."""
    assert (digest("t", *parts) == digest("t", *other)) == (parts == other)


@given(tag=st.text(st.characters(codec="utf-8"), max_size=8), parts=many_parts)
def test_tag_is_no_part(tag: str, parts: list[bytes]) -> None:
    """The tag separates kinds: the same bytes under another tag, or with the tag as a part, are another thing."""
    assert digest(tag, *parts) != digest(tag + "x", *parts)
    assert digest(tag, *parts) != digest("", tag.encode(), *parts)


@given(st.binary())
def test_blob_digest_is_plain_blake3(content: bytes) -> None:
    """A blob has the digest that any BLAKE3 tool prints, whichever buffer holds it."""
    expected = blake3(content).hexdigest()
    assert [blob_digest(content), blob_digest(bytearray(content)), blob_digest(memoryview(content))] == [expected] * 3


def test_digest_is_fixed_for_ever() -> None:
    """The layout never changes: every cache key and every record depends on it."""
    assert digest("key/1", b"a", b"") == "9cc11d4d838781dfcc321bfde6f232570a75933d0d6a744e334cf05462ca6905"


def test_digest_is_the_same_in_every_process() -> None:
    """Another interpreter, with other hash seeds, gives the same digest."""
    code = "from filiera.core.digest import digest; print(digest('t', b'a', b'bc'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest("t", b"a", b"bc")


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "0" * 63 + "A", "0" * 63 + "g", "0" * 63 + "\n", "٠" * 64])
def test_what_is_no_digest(text: str) -> None:
    """A digest is 64 lower-case hexadecimal digits, neither more nor less."""
    assert not is_digest(text)
    assert is_digest(digest("t"))
