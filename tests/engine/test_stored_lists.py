"""Lists of values that are not plain data, stored in parts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from filiera.adapters.folder_blobs import FolderBlobs
from filiera.core.artifact import INLINE_LIMIT_BYTES
from filiera.engine.artifacts import Artifacts
from filiera.errors import BlobMissing, CodecError
from filiera.project import plugins


@dataclass
class Pair:
    left: object
    right: object


SMALL = pl.DataFrame({"a": [1, 2]})
LARGE = pl.DataFrame({"a": range(5000)})


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs", sync=lambda _: None)


@pytest.fixture
def artifacts(blobs: FolderBlobs) -> Artifacts:
    return Artifacts(blobs, plugins.find_codec, plugins.codec_named)


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_of_tables_comes_back(artifacts: Artifacts, kind: type) -> None:
    """Each by the codec of its type, small or large, beside plain data, in a list or a tuple as it was."""
    value = kind([SMALL, LARGE, 7, [LARGE, (SMALL,)]])
    found = artifacts.get(artifacts.put(value))
    assert type(found) is kind
    assert found[2] == 7
    assert type(found[3][1]) is tuple
    tables = [found[0], found[1], found[3][0], found[3][1][0]]
    assert [table.equals(expected) for table, expected in zip(tables, (SMALL, LARGE, LARGE, SMALL), strict=True)]


def test_a_list_of_files_comes_back(artifacts: Artifacts, tmp_path: Path) -> None:
    """Paths are files here too: their bytes are kept, not their names alone."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    ref = artifacts.put([tmp_path / "one", tmp_path / "two"])
    assert [file.read_text() for file in artifacts.get(ref)] == ["one", "two"]


@pytest.mark.parametrize("value", [[], (), [1, "a"], [[1], {"a": (2,)}]])
def test_plain_lists_stay_one_value(artifacts: Artifacts, value: object) -> None:
    """As JSON, which people can read and other programs too."""
    assert artifacts.put(value).codec == "json/1"


def test_equal_lists_have_equal_digests(artifacts: Artifacts) -> None:
    """A list put at once, its items as they come, or a manifest of what is stored already: the same artifact."""
    items = [SMALL, LARGE, 3]
    whole = artifacts.put(items)
    assert artifacts.put_parts(iter(items)) == whole
    assert artifacts.manifest([artifacts.put(item) for item in items]) == whole
    assert artifacts.put((*items,)) != whole


def test_parts_are_named_without_loading(artifacts: Artifacts, blobs: FolderBlobs) -> None:
    """The references of the items are what putting each of them alone gives."""
    ref = artifacts.put([SMALL, LARGE])
    for digest, _, _ in blobs.blobs():
        blobs.delete(digest)
    parts = artifacts.parts(ref)
    assert parts == (artifacts.put(SMALL), artifacts.put(LARGE))
    assert parts[0].inline is not None


@pytest.mark.parametrize("value", [["a", 2.5, None, "x" * 5000], (1, 2), {1}, []])
def test_a_plain_list_has_parts_too(artifacts: Artifacts, value: Any) -> None:
    """So that a step can be called for each item of any list, and finds an item in the cache by its own digest."""
    parts = artifacts.parts(artifacts.put(value))
    assert list(parts) == [artifacts.put(item) for item in value]
    assert [artifacts.get(part) for part in parts] == list(value)


@pytest.mark.parametrize("value", [1, {"a": 1}, b"bytes", SMALL])
def test_what_is_no_list_has_no_parts(artifacts: Artifacts, value: object) -> None:
    """And the advice is to return one."""
    with pytest.raises(CodecError, match="is not a list") as caught:
        artifacts.parts(artifacts.put(value))
    assert "Return a list" in caught.value.do


def test_items_are_stored_as_they_come(artifacts: Artifacts, blobs: FolderBlobs) -> None:
    """A generator's item is in the store before the next one is asked for: only one is in memory."""

    def tables() -> Iterator[pl.DataFrame]:
        for number in range(4):
            assert len(list(blobs.blobs())) == number
            yield LARGE.with_columns(pl.lit(number))

    assert [table.height for table in artifacts.get(artifacts.put_parts(tables()))] == [5000] * 4


def test_what_a_generator_raises_is_its_own_error(artifacts: Artifacts, blobs: FolderBlobs) -> None:
    """An error in the step's code is not one of storing, even if it looks like one; no unfinished file is left."""

    def numbers() -> Iterator[bytes]:
        for number in range(2000):
            yield b"x" * 700 + str(number).encode()
        raise OSError("mine")

    with pytest.raises(OSError, match="mine") as caught:
        artifacts.put_parts(numbers())
    assert type(caught.value) is OSError
    assert list(blobs.scratch().iterdir()) == []


def test_items_can_be_loaded_when_they_are_needed(artifacts: Artifacts, blobs: FolderBlobs) -> None:
    """Lazily, an item is read when it is asked for, and not kept."""
    found = artifacts.get(artifacts.put([LARGE, SMALL, 3]), lazily=True)
    assert (len(found), found[2], found[-1], list(found[1:])[1]) == (3, 3, 3, 3)
    assert found[0].equals(LARGE)
    assert found[0] is not found[0]
    assert repr(found) == "<3 stored items>"
    for digest, _, _ in blobs.blobs():
        blobs.delete(digest)
    items = iter(found)
    with pytest.raises(BlobMissing):
        next(items)
    with pytest.raises(IndexError):
        found[3]


def test_only_lists_in_parts_are_lazy(artifacts: Artifacts) -> None:
    """Plain data is small and comes at once."""
    assert artifacts.get(artifacts.put([1, 2]), lazily=True) == [1, 2]


def test_a_dataclass_with_tables_comes_back(artifacts: Artifacts) -> None:
    """Each field by the codec of its type; plain ones stay one value."""
    ref = artifacts.put(Pair(SMALL, [LARGE, "b"]))
    assert ref.codec == "parts/1"
    for lazily in (False, True):
        found = artifacts.get(ref, lazily=lazily)
        assert type(found) is Pair
        assert found.left.equals(SMALL)
        assert found.right[0].equals(LARGE)
    assert artifacts.put(Pair(1, "b")).codec == "json/1"


def test_the_fields_of_a_dataclass_are_no_items(artifacts: Artifacts) -> None:
    """A step is mapped over a list; a dataclass is one value, however it is stored."""
    with pytest.raises(CodecError, match="not a list"):
        artifacts.parts(artifacts.put(Pair(SMALL, 1)))


def test_a_dataclass_that_is_gone_is_refused(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stored under a name that no loaded module has is not made up."""
    ref = artifacts.put(Pair(SMALL, 1))
    monkeypatch.delattr("tests.engine.test_stored_lists.Pair")
    with pytest.raises(CodecError, match="cannot be read"):
        artifacts.get(ref)


def test_an_item_that_cannot_be_stored_is_found(artifacts: Artifacts) -> None:
    """The message says which of them, however deep, and what to do instead."""
    with pytest.raises(CodecError, match="cannot be stored") as caught:
        artifacts.put([SMALL, [SMALL, (7, iter([1]))]])
    assert caught.value.why.startswith("value[1][1][1] is a ")
    assert "Return a list" in caught.value.do
    with pytest.raises(CodecError) as caught:
        artifacts.put_parts([1, Pair(SMALL, iter([1]))])
    assert caught.value.why.startswith("value[1].right is a ")


def test_a_list_that_contains_itself_is_refused(artifacts: Artifacts) -> None:
    """It has no end, and is told so."""
    endless: list[object] = [SMALL]
    endless.append(endless)
    with pytest.raises(CodecError, match="contains itself"):
        artifacts.put(endless)


def test_a_manifest_of_a_thousand_is_quick_to_make_and_read(artifacts: Artifacts) -> None:
    """Small parts travel inside it: a list of numbers made one by one needs no file for each."""
    parts = [artifacts.put(number) for number in range(1000)]
    ref = artifacts.manifest(parts)
    assert ref.size_bytes > INLINE_LIMIT_BYTES
    assert artifacts.parts(ref) == tuple(parts)
    assert artifacts.get(ref) == list(range(1000))


def test_a_manifest_too_large_for_memory_goes_to_a_file(artifacts: Artifacts, blobs: FolderBlobs) -> None:
    """Streaming without end holds neither items nor their references in memory."""
    ref = artifacts.put_parts(os.urandom(3000) for _ in range(400))
    assert ref.size_bytes > 1_500_000
    assert len(artifacts.parts(ref)) == 400
    assert list(blobs.scratch().iterdir()) == []


def test_a_damaged_manifest_is_told(artifacts: Artifacts, blobs: FolderBlobs) -> None:
    """Bytes that are whole but not ours are a CodecError."""
    ref = artifacts.put(b"no manifest")
    with pytest.raises(CodecError, match=ref.short):
        artifacts.get(type(ref)(digest=ref.digest, codec="parts/1", size_bytes=ref.size_bytes, inline=ref.inline))
