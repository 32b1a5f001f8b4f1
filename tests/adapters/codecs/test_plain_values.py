"""Plain values and raw bytes."""

from __future__ import annotations

import datetime as dt
import enum
import io
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.codecs.plain_values import BytesCodec, PlainCodec
from filiera.core import plain
from filiera.errors import CodecError
from filiera.testing.codec import CodecContract, MemoryArtifact


class Colour(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: int
    label: object = None


class NamedPath(PurePosixPath):
    """A class that would come back as its base."""


class TestPlainCodec(CodecContract):
    def make_codec(self) -> PlainCodec:
        return PlainCodec()

    def make_values(self) -> Sequence[Any]:
        return [
            None,
            True,
            -3,
            10**5000,
            2.5,
            float("inf"),
            "così fan tutte",
            [1, (2, "x"), {"a": {3}}],
            {1: "one", (2, 3): b"two"},
            frozenset({"b", "a", "c", "d"}),
            dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC),
            dt.timedelta(days=-1, microseconds=1),
            Decimal("1.50"),
            PurePosixPath("a/b"),
            [PurePosixPath("a/b")],
            Colour.RED,
            Point(1, [Colour.RED]),
            plain.encode,
        ]

    @pytest.mark.parametrize(
        ("value", "advice"),
        [
            ((n for n in range(3)), "Return a list"),
            (iter([1]), "Return a list"),
            (lambda: 1, "top level"),
            (threading.Lock(), "belongs to the running process"),
            (threading.RLock(), "belongs to the running process"),
            (threading, "belongs to the running process"),
            (io.StringIO("text"), "Return the file's Path"),
            (OrderedDict(a=1), "plain dict"),
            (Counter("aab"), "plain dict"),
            (Point(1, threading.Lock()), "separate outputs"),
            ({"scores": object()}, "plain data"),
            (object(), "plain data"),
            (1j, "plain data"),
        ],
        ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
    )
    def test_what_cannot_be_stored_is_told_with_what_to_return(self, value: object, advice: str) -> None:
        """The message names the type, where in the value it sits, and what to return instead."""
        with pytest.raises(CodecError) as caught:
            PlainCodec().encode(value, MemoryArtifact(Path()))
        assert type(value).__qualname__ in caught.value.what
        assert caught.value.why
        assert advice in caught.value.do

    def test_the_place_inside_the_value_is_named(self) -> None:
        """A bad item deep inside is found by its path."""
        with pytest.raises(CodecError, match=r"value\['rows'\]\[1\]"):
            PlainCodec().encode({"rows": [1, object()]}, MemoryArtifact(Path()))

    def test_an_endless_value_is_refused(self) -> None:
        """A list that contains itself ends in a message, not in a recursion."""
        endless: list[object] = []
        endless.append(endless)
        with pytest.raises(CodecError, match="contains itself"):
            PlainCodec().encode(endless, MemoryArtifact(Path()))

    def test_a_class_of_an_absent_module_is_named(self) -> None:
        """Reading never imports: the message says which module to import first."""
        content = b'{"$":"object","of":"never.imported:Thing","v":{}}'
        with pytest.raises(CodecError, match=r"never\.imported:Thing") as caught:
            PlainCodec().decode(MemoryArtifact(Path(), content))
        assert "Import that module" in caught.value.do

    def test_paths_and_bytes_have_codecs_of_their_own(self) -> None:
        """A Path is the file it leads to, bytes are stored raw."""
        assert not PlainCodec().handles(Path("report.html"))
        assert not PlainCodec().handles(b"raw")
        assert PlainCodec().handles([b"raw"])

    @pytest.mark.parametrize(
        ("value", "place"),
        [
            (Path("out/r.html"), "value is"),
            ([1, Path("out/r.html")], "value[1] is"),
            (("x", [Path("out/r.html")]), "value[1][0] is"),
            ({"plots": {"loss": Path("out/r.html")}}, "value['plots']['loss'] is"),
            ({Path("out/r.html"): 1}, "a key of value is"),
            ({Path("out/r.html")}, "an item of value is"),
            (Point(1, Path("out/r.html")), "value.label is"),
            (Point(1, [PurePosixPath("name"), Path("out/r.html")]), "value.label[1] is"),
            ([NamedPath("out/r.html")], "value[0] is"),
        ],
        ids=str,
    )
    def test_a_path_inside_a_value_is_refused(self, value: object, place: str) -> None:
        """Its text would be kept and not the file: a later hit would hand out a path to nothing."""
        with pytest.raises(CodecError) as caught:
            PlainCodec().encode(value, MemoryArtifact(Path()))
        assert type(value).__name__ in caught.value.what
        assert f"{place} the path 'out/r.html'" in caught.value.why
        assert "Return the Path itself" in caught.value.do

    @pytest.mark.parametrize("text", ['{"$":"path","v":"a"}', '"$":"path"', "$"])
    def test_a_text_that_looks_like_a_path_in_json_is_a_text(self, text: str) -> None:
        """What a text says is never taken for what the value holds."""
        value = {text: [text], "$": "path", "inner": {"$": "path", "v": text}}
        artifact = MemoryArtifact(Path())
        PlainCodec().encode(value, artifact)
        assert PlainCodec().decode(artifact) == value

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
            max_leaves=20,
        )
    )
    def test_any_plain_value_comes_back(self, value: object) -> None:
        """Encoding, then decoding, is the identity."""
        artifact = MemoryArtifact(Path())
        PlainCodec().encode(value, artifact)
        assert PlainCodec().decode(artifact) == value


class TestBytesCodec(CodecContract):
    def make_codec(self) -> BytesCodec:
        return BytesCodec()

    def make_values(self) -> Sequence[Any]:
        return [b"", b"\0\xff raw", b"x" * 10_000]

    def test_a_bytearray_is_stored_as_its_bytes(self) -> None:
        """Mutable or not, equal bytes are one artifact."""
        assert self.digest_of(bytearray(b"abc")) == self.digest_of(b"abc")
