"""Values in and out of the store."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.codecs.plain_values import BytesCodec, PlainCodec
from filiera.adapters.folder_blobs import FolderBlobs
from filiera.core.artifact import INLINE_LIMIT_BYTES, ArtifactRef
from filiera.core.digest import blob_digest
from filiera.engine.artifacts import Artifacts
from filiera.engine.streams import MEMORY_LIMIT_BYTES, Sink
from filiera.errors import BlobCorrupted, BlobMissing, CodecError, StoreError, StoreFull
from filiera.ports import ArtifactReader, ArtifactWriter, Codec


class ChunksCodec:
    """Writes a list of byte strings one after the other; reads through the file."""

    name = "chunks/1"

    def handles(self, value: object) -> bool:
        return isinstance(value, list)

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        for chunk in value:
            if isinstance(chunk, Exception):
                raise chunk
            writer.stream.write(chunk)

    def decode(self, reader: ArtifactReader) -> bytes:
        return reader.path().read_bytes()


class ChildrenCodec:
    """Stores the parts as children and their digests in the stream."""

    name = "children/1"

    def handles(self, value: object) -> bool:
        return True

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        writer.stream.write(" ".join([writer.put_child(part) for part in value]).encode())

    def decode(self, reader: ArtifactReader) -> list[bytes]:
        return [reader.child(digest).read_bytes() for digest in reader.bytes().decode().split()]


class SizeCodec(BytesCodec):
    """Reads nothing but how much there is."""

    name = "size/1"

    def decode(self, reader: ArtifactReader) -> Any:
        return reader.size_bytes


_ALL = (PlainCodec(), BytesCodec(), ChunksCodec(), ChildrenCodec(), SizeCodec())
CODECS: dict[str, Codec] = {codec.name: codec for codec in _ALL}


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs", sync=lambda _: None)


@pytest.fixture
def artifacts_with(blobs: FolderBlobs) -> Callable[[str], Artifacts]:
    """Return artifacts that put everything with the codec of that name."""
    return lambda name: Artifacts(blobs, lambda value: CODECS[name], CODECS.__getitem__)


def _scratch_is_empty(blobs: FolderBlobs) -> bool:
    return not list(blobs.scratch().iterdir())


@pytest.mark.parametrize("size", [0, INLINE_LIMIT_BYTES, INLINE_LIMIT_BYTES + 1])
def test_a_codec_is_told_the_size(artifacts_with: Callable[[str], Artifacts], size: int) -> None:
    """Before it reads, so that it can choose how to."""
    artifacts = artifacts_with("size/1")
    assert artifacts.get(artifacts.put(b"x" * size)) == size


@pytest.mark.parametrize(
    "size",
    [0, 1, INLINE_LIMIT_BYTES, INLINE_LIMIT_BYTES + 1, MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES + 1, 3_000_000],
)
@pytest.mark.parametrize("chunk", [1000, 10**7], ids=["chunks", "at once"])
def test_a_value_comes_back_whatever_its_size(
    artifacts_with: Callable[[str], Artifacts], blobs: FolderBlobs, size: int, chunk: int
) -> None:
    """In the record, in memory or spilled to a file: plain BLAKE3 names the bytes, and they come back."""
    content = os.urandom(size)
    artifacts = artifacts_with("chunks/1")
    ref = artifacts.put([content[i : i + chunk] for i in range(0, size, chunk)])
    assert (ref.digest, ref.codec, ref.size_bytes) == (blob_digest(content), "chunks/1", size)
    assert artifacts.get(ref) == content
    assert (ref.inline is not None) is (size <= INLINE_LIMIT_BYTES)
    assert blobs.has(ref.digest) is (size > INLINE_LIMIT_BYTES)
    assert _scratch_is_empty(blobs)


def test_a_small_value_touches_no_file(artifacts_with: Callable[[str], Artifacts], blobs: FolderBlobs) -> None:
    """An integer lives in its reference: putting and getting it does not look at the disk."""
    artifacts = artifacts_with("json/1")
    ref = artifacts.put(42)
    assert ref.inline == b"42"
    assert artifacts.get(ref) == 42
    assert list(blobs.blobs()) == []


def test_a_small_value_may_be_a_blob(artifacts_with: Callable[[str], Artifacts], blobs: FolderBlobs) -> None:
    """A reference without its bytes is read from the store, small or not."""
    digest = blobs.put(b"42")
    assert artifacts_with("json/1").get(ArtifactRef(digest=digest, codec="json/1", size_bytes=2)) == 42


def test_the_codec_can_be_named(artifacts_with: Callable[[str], Artifacts]) -> None:
    """A caller may ask for an encoding that is not the type's own."""
    assert artifacts_with("json/1").put(b"raw", codec="bytes/1").codec == "bytes/1"


def test_parts_are_blobs_of_their_own(
    artifacts_with: Callable[[str], Artifacts], blobs: FolderBlobs, tmp_path: Path
) -> None:
    """Children are stored under their own digests, from memory or from a file that stays where it is."""
    file = tmp_path / "part"
    file.write_bytes(b"p" * (MEMORY_LIMIT_BYTES + 1))
    artifacts = artifacts_with("children/1")
    ref = artifacts.put([b"small", file, file])
    assert artifacts.get(ref) == [b"small", file.read_bytes(), file.read_bytes()]
    assert len(list(blobs.blobs())) == 2
    assert _scratch_is_empty(blobs)


@pytest.mark.parametrize("written", [b"", b"x" * (MEMORY_LIMIT_BYTES + 1)], ids=["at once", "after spilling"])
def test_a_failing_codec_leaves_nothing(
    artifacts_with: Callable[[str], Artifacts], blobs: FolderBlobs, written: bytes
) -> None:
    """Whatever a codec raises becomes a CodecError that names the type, and no partial file stays."""
    with pytest.raises(CodecError, match=r"builtins\.list") as caught:
        artifacts_with("chunks/1").put([written, ZeroDivisionError("oops")])
    assert "oops" in caught.value.why
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert _scratch_is_empty(blobs)
    assert list(blobs.blobs()) == []


def test_an_interrupt_leaves_nothing(artifacts_with: Callable[[str], Artifacts], blobs: FolderBlobs) -> None:
    """Ctrl-C while a large value is written is an interrupt, and no partial file stays."""

    def chunks() -> Any:
        yield b"x" * (MEMORY_LIMIT_BYTES + 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        artifacts_with("chunks/1").put(chunks())
    assert _scratch_is_empty(blobs)


def test_what_is_written_after_a_failure_leaves_nothing(blobs: FolderBlobs) -> None:
    """A query that is stored may have a thread that writes for a moment after it failed."""
    sink = Sink(blobs)
    sink.discard()
    assert sink.write(b"x" * (MEMORY_LIMIT_BYTES + 1)) == MEMORY_LIMIT_BYTES + 1
    assert _scratch_is_empty(blobs)


def test_a_codec_error_stays_as_it_is(artifacts_with: Callable[[str], Artifacts]) -> None:
    """The codec's own words about a value are kept."""
    with pytest.raises(CodecError, match="Return a list"):
        artifacts_with("json/1").put(iter([1]))


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreError)]
)
def test_a_disk_that_fails_is_a_store_error(
    artifacts_with: Callable[[str], Artifacts],
    blobs: FolderBlobs,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    expected: type[StoreError],
) -> None:
    """A full or broken disk is told as such, not as a value that cannot be stored."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkstemp", fail)
    with pytest.raises(expected, match=os.strerror(number)) as caught:
        artifacts_with("chunks/1").put([b"x" * (MEMORY_LIMIT_BYTES + 1)])
    assert type(caught.value) is expected
    assert _scratch_is_empty(blobs)


@pytest.mark.parametrize("codec", ["json/1", "chunks/1"], ids=["bytes", "path"])
def test_damaged_inline_bytes_are_noticed(artifacts_with: Callable[[str], Artifacts], codec: str) -> None:
    """The bytes in a record are verified as those in a blob are."""
    ref = ArtifactRef(digest=blob_digest(b"42"), codec=codec, size_bytes=2, inline=b"43")
    with pytest.raises(BlobCorrupted, match="damaged"):
        artifacts_with(codec).get(ref)


def test_missing_bytes_are_noticed(artifacts_with: Callable[[str], Artifacts]) -> None:
    """The store's own error says that the blob is not there."""
    with pytest.raises(BlobMissing):
        artifacts_with("json/1").get(ArtifactRef(digest="0" * 64, codec="json/1", size_bytes=5000))


def test_bytes_that_no_longer_decode_are_a_codec_error(artifacts_with: Callable[[str], Artifacts]) -> None:
    """Whatever a codec raises on reading is told with the artifact's name."""
    ref = ArtifactRef(digest=blob_digest(b"\xff"), codec="children/1", size_bytes=1, inline=b"\xff")
    with pytest.raises(CodecError, match=ref.short):
        artifacts_with("children/1").get(ref)
