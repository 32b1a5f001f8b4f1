"""What every codec promises, as tests to inherit."""

from __future__ import annotations

import builtins
import errno
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from filiera.core.digest import blob_digest
from filiera.errors import CodecError
from filiera.ports import Codec

_DIGESTS_ELSEWHERE = """
import importlib, sys
contract = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])()
for value in contract.make_values():
    print(contract.digest_of(value))
"""


class MemoryArtifact:
    """One artifact in memory: an ArtifactWriter to encode into, then an ArtifactReader to decode from."""

    def __init__(self, folder: Path, content: bytes = b"") -> None:
        self.stream = io.BytesIO(content)
        self._folder = folder
        self._children: dict[str, bytes] = {}

    def put_child(self, content: builtins.bytes | Path) -> str:
        data = content if isinstance(content, bytes) else content.read_bytes()
        digest = blob_digest(data)
        self._children[digest] = data
        return digest

    def has_child(self, digest: str) -> bool:
        return digest in self._children

    @property
    def size_bytes(self) -> int:
        return self.stream.getbuffer().nbytes

    def bytes(self) -> bytes:
        return self.stream.getvalue()

    def path(self) -> Path:
        return self._written("artifact", self.bytes())

    def child(self, digest: str) -> Path:
        return self._written(digest, self._children[digest])

    def _written(self, name: str, content: builtins.bytes) -> Path:
        file = self._folder / name
        if not file.exists() or file.read_bytes() != content:
            file.write_bytes(content)
        return file


class FullDisk(io.RawIOBase):
    """A stream to a disk without space."""

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# Making and encoding the values is the slow part, so it is done once for each class of tests.
_encoded_once: dict[type, list[tuple[Any, MemoryArtifact]]] = {}


class CodecContract:
    """Inherit, say how to make the codec and some values, and your codec is held to the same promises as ours.

    The values are made again in another process, so ``make_values`` needs no fixture and gives equal values each time.
    """

    def make_codec(self) -> Codec:
        """Return the codec to test."""
        raise NotImplementedError

    def make_values(self) -> Sequence[Any]:
        """Return values that the codec handles, from the simplest to the oddest."""
        raise NotImplementedError

    def assert_same(self, decoded: Any, original: Any) -> None:
        """Fail unless *decoded* equals *original*; override for values whose ``==`` does not tell."""
        assert decoded == original
        assert type(decoded) is type(original)

    def digest_of(self, value: Any) -> str:
        """Return the digest of the value's bytes and of the parts it stores beside them."""
        artifact = MemoryArtifact(Path())
        self.make_codec().encode(value, artifact)
        return blob_digest(artifact.bytes())

    @pytest.fixture
    def codec(self) -> Codec:
        return self.make_codec()

    @pytest.fixture
    def encoded(self, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, MemoryArtifact]]:
        kept = _encoded_once.get(type(self))
        if kept is None:
            kept = _encoded_once[type(self)] = []
            for value in self.make_values():
                artifact = MemoryArtifact(tmp_path_factory.mktemp("artifact"))
                self.make_codec().encode(value, artifact)
                kept.append((value, artifact))
        return kept

    def test_name_has_a_version(self, codec: Codec) -> None:
        """The name says which bytes to expect: 'name/number'."""
        name, _, version = codec.name.partition("/")
        assert name
        assert version.isdigit()

    def test_other_values_are_not_handled(self, codec: Codec) -> None:
        """A codec claims no value of a class it does not know."""
        assert not codec.handles(object())
        assert not codec.handles(letter for letter in "abc")

    def test_decoding_gives_an_equal_value(self, codec: Codec, encoded: list[tuple[Any, MemoryArtifact]]) -> None:
        """What was encoded is what comes back, type included."""
        for value, artifact in encoded:
            self.assert_same(codec.decode(artifact), value)

    def test_encoding_again_gives_the_same_bytes(self, encoded: list[tuple[Any, MemoryArtifact]]) -> None:
        """Encoding a value, and encoding an equal value made anew, gives the same bytes."""
        for (value, artifact), again in zip(encoded, self.make_values(), strict=True):
            assert self.digest_of(value) == self.digest_of(again) == blob_digest(artifact.bytes())

    def test_encoding_what_was_decoded_gives_the_same_bytes(
        self, codec: Codec, encoded: list[tuple[Any, MemoryArtifact]]
    ) -> None:
        """A value that was stored and loaded is stored under the digest it had."""
        for _, artifact in encoded:
            assert self.digest_of(codec.decode(artifact)) == blob_digest(artifact.bytes())

    def test_another_process_writes_the_same_bytes(self, encoded: list[tuple[Any, MemoryArtifact]]) -> None:
        """Neither hash seeds nor memory addresses leave a trace in the bytes."""
        expected = [blob_digest(artifact.bytes()) for _, artifact in encoded]
        environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", _DIGESTS_ELSEWHERE, type(self).__module__, type(self).__qualname__]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == expected

    def test_damaged_bytes_are_a_codec_error(
        self, codec: Codec, encoded: list[tuple[Any, MemoryArtifact]], tmp_path: Path
    ) -> None:
        """Bytes that are cut, or changed at the front, raise CodecError or are a value too; nothing else is raised."""
        for _, artifact in encoded:
            content = artifact.bytes()
            for kept in (0.0, 0.1, 0.5, 0.9, 0.99):
                _decode_or_refuse(codec, content[: int(len(content) * kept)], tmp_path)
            for position in range(0, min(len(content), 64), 15):
                flipped = bytes([content[position] ^ 0xFF])
                _decode_or_refuse(codec, content[:position] + flipped + content[position + 1 :], tmp_path)

    @pytest.mark.parametrize(
        "content", [b"\0", b"garbage", b"\xff" * 5000, b'{"$":"no"}'], ids=["nul", "text", "ones", "json"]
    )
    def test_other_bytes_are_a_codec_error(self, codec: Codec, content: bytes, tmp_path: Path) -> None:
        """Bytes of something else raise CodecError and nothing else."""
        _decode_or_refuse(codec, content, tmp_path)

    def test_a_full_disk_is_told_as_it_is(self, codec: Codec) -> None:
        """An OSError of the stream travels through the codec untouched, so that the store can say what is full."""
        for value in self.make_values():
            artifact = MemoryArtifact(Path())
            artifact.stream = FullDisk()  # type: ignore[assignment]
            with pytest.raises(OSError, match="No space left") as caught:
                codec.encode(value, artifact)
            assert caught.value.errno == errno.ENOSPC


def _decode_or_refuse(codec: Codec, content: bytes, folder: Path) -> None:
    try:
        codec.decode(MemoryArtifact(folder, content))
    except CodecError as error:
        assert error.what
        assert error.do
