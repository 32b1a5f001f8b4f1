"""Files that a step makes, such as images it has cut or turned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from filiera.core.digest import blob_digest
from filiera.core.files import PROBLEM, Files, Place, Stretch, ends_pack
from filiera.errors import UsageError


def new_files(table: pl.DataFrame, contents: Sequence[bytes]) -> Files:
    """Return files of *contents*, with *table* as their rows; bytes stay in memory until the step has returned.

    Args:
        table: A row for each file; ``digest`` and ``size_bytes`` are set.
        contents: The bytes of each, in the order of the rows.

    Raises:
        UsageError: There are not as many rows as files.

    >>> new_files(pl.DataFrame({"path": ["a.txt", "b.txt"]}), [b"one", b"two"])
    <2 files>
    """
    if table.height != len(contents):
        raise UsageError(f"The table has {table.height:,} rows, but there are {len(contents):,} files.")
    digests = list(map(blob_digest, contents))
    table = table.with_columns(
        digest=pl.Series(digests, dtype=pl.String), size_bytes=pl.Series(map(len, contents), dtype=pl.UInt64)
    )
    places: dict[str, Place] = {}
    packs: dict[str, Stretch] = {}
    for pack, members in _packs(dict(zip(digests, contents, strict=True))):
        name = blob_digest(pack)
        packs[name] = Stretch(pack, 0, len(pack))
        start = 0
        for digest, size_bytes in members:
            places[digest] = Place(name, start, size_bytes)
            start += size_bytes
    aside = table.clear().with_columns(pl.lit("").alias(PROBLEM))
    return Files(table, rejected=aside, places=places, packs=packs.__getitem__)


def _packs(contents: Mapping[str, bytes]) -> Iterator[tuple[bytes, list[tuple[str, int]]]]:
    """Yield packs of different files, by their digests, and the digest and size of each file in a pack."""
    pack = bytearray()
    members: list[tuple[str, int]] = []
    for digest, content in contents.items():
        pack += content
        members.append((digest, len(content)))
        if ends_pack(digest, len(pack)):
            yield bytes(pack), members
            pack, members = bytearray(), []
    if members:
        yield bytes(pack), members
