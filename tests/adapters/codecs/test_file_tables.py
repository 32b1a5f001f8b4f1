"""Files with their table: the tables are written anew, the packs only once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from filiera.adapters.codecs.file_tables import FilesCodec, children, size_of
from filiera.adapters.sources.file_trees import FileCollector
from filiera.core.digest import blob_digest
from filiera.core.files import PACK_BYTES, Files
from filiera.errors import CodecError, SourceError
from filiera.testing.codec import CodecContract, MemoryArtifact


def files_of(contents: Sequence[bytes], file: Path | None = None) -> Files:
    """Return files with these bytes; the first is set aside too."""
    collector = FileCollector()
    for content in contents:
        if file is None:
            collector.add(blob_digest(content), content)
        else:
            collector.add_file(blob_digest(content), file, len(content))
    digests = list(map(blob_digest, contents))
    table = pl.DataFrame({"path": [f"{i}" for i in range(len(digests))], "digest": digests})
    return collector.finish(table, table.head(1).with_columns(problem=pl.lit("is odd")))


class TestFilesCodec(CodecContract):
    def make_codec(self) -> FilesCodec:
        return FilesCodec()

    def make_values(self) -> Sequence[Any]:
        many = [b"%d" % i * 50 for i in range(300)]
        large = bytes(PACK_BYTES)
        return [files_of([b""]), files_of([b"a", b"b", b"a"]), files_of([*many[:150], large, *many[150:]])]

    def assert_same(self, decoded: Any, original: Any) -> None:
        assert decoded.table.equals(original.table)
        assert decoded.rejected.equals(original.rejected)
        for digest in original.table["digest"]:
            assert decoded.read(digest) == original.read(digest)

    def test_a_query_reads_the_table_only(self, encoded: list[tuple[Any, MemoryArtifact]]) -> None:
        """Whoever asks for a query gets the rows."""
        for value, artifact in encoded:
            assert FilesCodec().scan(artifact).collect().equals(value.table)

    def test_packs_are_stored_once(self, tmp_path: Path) -> None:
        """Handing files on writes tables; the packs are only named."""
        store = MemoryArtifact(tmp_path)
        FilesCodec().encode(files_of([b"a" * 5000, b"b"]), store)
        decoded = FilesCodec().decode(store)
        before = dict(store._children)
        again = MemoryArtifact(tmp_path)
        again._children = store._children
        FilesCodec().encode(decoded.where(pl.col("path") == "0"), again)
        (made,) = [content for digest, content in again._children.items() if digest not in before][:1]
        assert made.startswith(b"PAR1")
        assert set(children(again.bytes())) <= set(again._children)

    def test_a_file_that_changed_is_not_stored(self, tmp_path: Path) -> None:
        """Between collecting and storing a large file may be written to."""
        file = tmp_path / "large"
        content = bytes(PACK_BYTES)
        file.write_bytes(content)
        value = files_of([content], file)
        file.write_bytes(content[:-1] + b"x")
        with pytest.raises(SourceError, match="changed after it was read"):
            FilesCodec().encode(value, MemoryArtifact(tmp_path))

    def test_it_says_how_large_the_files_are(self, tmp_path: Path) -> None:
        """Each once, and not how large the manifest is."""
        store = MemoryArtifact(tmp_path)
        FilesCodec().encode(files_of([b"a" * 5000, b"b", b"a" * 5000]), store)
        assert size_of(store.bytes()) == 5001

    def test_a_lazy_table_is_refused(self, tmp_path: Path) -> None:
        """The table of files is in memory."""
        value = files_of([b"a"])
        value.table = value.table.with_columns(x=pl.Series([object()], dtype=pl.Object))
        with pytest.raises(CodecError, match="Python objects"):
            FilesCodec().encode(value, MemoryArtifact(tmp_path))
