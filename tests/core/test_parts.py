"""Manifests of lists of artifacts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.core.parts import read_parts, split_plain, write_kind, write_part
from tests.core.plain_values import values


def ref_of(content: bytes, codec: str, is_inline: bool) -> ArtifactRef:
    return ArtifactRef(
        digest=blob_digest(content),
        codec=codec,
        size_bytes=len(content),
        inline=content if is_inline else None,
    )


codecs = st.text(max_size=5).map(lambda name: f"{name}/1")
refs = st.builds(ref_of, st.binary(max_size=50), codecs, st.booleans())


@given(parts=st.lists(refs), kind=st.sampled_from([list, tuple]))
def test_parts_come_back(parts: list[ArtifactRef], kind: type) -> None:
    """Names, codecs, sizes and small bytes, in order, whatever a codec is called."""
    found_kind, found = read_parts(write_kind(kind) + b"".join(map(write_part, parts)))
    assert found_kind == kind.__name__
    assert list(found) == parts
    assert [part.inline for part in found] == [part.inline for part in parts]


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b'"list"',
        b'"set"\n',
        b"[]\n",
        b'"list"\n["x"]\n',
        b'"list"\n["x","json/1",1]\n',
        b'"list"\n[1,2,3,4,5]\n',
        b"}",
    ],
)
def test_other_bytes_are_no_manifest(manifest: bytes) -> None:
    """Cut, of another kind, or with something in it that names nothing."""
    with pytest.raises(ValueError, match=r"."):
        read_parts(manifest)


@given(items=st.lists(values, max_size=4), kind=st.sampled_from([list, tuple]))
def test_a_plain_list_is_split_into_what_its_items_encode_to(items: list[object], kind: type) -> None:
    """So that an item of a list has the digest that it has alone."""
    assert split_plain(plain.encode(kind(items))) == [plain.encode(item) for item in items]


def test_a_set_is_split_in_the_order_it_is_written() -> None:
    """Its items are sorted, the same on every machine."""
    assert split_plain(plain.encode({3, 1, 2})) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("value", [1, "abc", {"a": [1]}, b"abc", None])
def test_a_single_value_has_no_items(value: object) -> None:
    """A text is not a list of letters, and a dictionary is a value."""
    with pytest.raises(ValueError, match="not a list"):
        split_plain(plain.encode(value))
