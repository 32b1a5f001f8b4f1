"""Files with their table: a manifest that names the tables and the packs, all blobs of their own.

The manifest is plain JSON: the digests of three Parquet tables (the rows, those set aside, where each file lies) and of
the packs, and how many bytes the files have. A step that hands files on writes the tables only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.adapters.codecs.polars_frames import parquet_of
from filiera.adapters.codecs.refusal import reading, unstorable
from filiera.core.digest import is_digest
from filiera.core.files import FILES_CODEC, Files, Place, Stretch, changed, read_stretch
from filiera.ports import ArtifactReader, ArtifactWriter

if TYPE_CHECKING:
    import polars as pl

_TABLES = ("table", "rejected", "places")


class FilesCodec:
    """``filiera.Files``."""

    name = FILES_CODEC

    def handles(self, value: object) -> bool:
        return isinstance(value, Files)

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        packs = value.packs()
        for digest in packs:
            if not writer.has_child(digest):
                _put_pack(value.pack(digest), digest, writer)
        tables = {"table": value.table, "rejected": value.rejected, "places": _places(packs)}
        manifest: dict[str, Any] = {name: writer.put_child(_parquet(table)) for name, table in tables.items()}
        manifest["packs"] = list(packs)
        manifest["size_bytes"] = sum(place.size_bytes for members in packs.values() for _, place in members)
        writer.stream.write(json.dumps(manifest, separators=(",", ":")).encode())

    def decode(self, reader: ArtifactReader) -> Files:
        import polars as pl

        manifest = _manifest(reader.bytes())
        found = {name: reader.child(manifest[name]) for name in _TABLES}
        with reading(self.name):
            table, rejected, places = (pl.scan_parquet(found[name], glob=False).collect() for name in _TABLES)
            by_digest = {row[0]: Place(*row[1:]) for row in places.iter_rows()}

        def pack(digest: str) -> Stretch:
            file = reader.child(digest)
            return Stretch(file, 0, file.stat().st_size)

        return Files(table, rejected=rejected, places=by_digest, packs=pack)

    def scan(self, reader: ArtifactReader) -> pl.LazyFrame:
        import polars as pl

        file = reader.child(_manifest(reader.bytes())["table"])
        with reading(self.name):
            return pl.scan_parquet(file, glob=False)


def children(manifest: bytes) -> list[str]:
    """Return the digests of the blobs that a manifest of ``files/1`` names. Raises CodecError."""
    found = _manifest(manifest)
    return [*(found[name] for name in _TABLES), *found["packs"]]


def size_of(manifest: bytes) -> int:
    """Return how many bytes the files of a manifest of ``files/1`` have, each once. Raises CodecError."""
    with reading(FilesCodec.name):
        return int(_manifest(manifest)["size_bytes"])


def _manifest(content: bytes) -> Mapping[str, Any]:
    with reading(FilesCodec.name):
        found: Mapping[str, Any] = json.loads(content)
        if not all(map(is_digest, [*(found[name] for name in _TABLES), *found["packs"]])):
            raise ValueError("it names something that is not a digest")
    return found


def _put_pack(stretch: Stretch, digest: str, writer: ArtifactWriter) -> None:
    # A file that is a pack of its own may be large, and is copied piece by piece.
    file = stretch.file
    is_whole = isinstance(file, Path) and stretch.start == 0 and file.stat().st_size == stretch.size_bytes
    if writer.put_child(file if is_whole else read_stretch(stretch)) != digest:
        raise changed(file)


def _places(packs: Mapping[str, Any]) -> pl.DataFrame:
    import polars as pl

    rows = [(digest, *place) for members in packs.values() for digest, place in members]
    schema = {"digest": pl.String, "pack": pl.String, "start": pl.UInt64, "size_bytes": pl.UInt64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _parquet(table: Any) -> bytes:
    import polars as pl

    if not isinstance(table, pl.DataFrame):
        raise unstorable(table, why="The table of files is a polars.DataFrame.", do="Collect it: query.collect().")
    return parquet_of(table)
