"""What of a store is damaged or missing: all bytes are read and compared with their digests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.engine.rows import read_refs
from filiera.errors import BlobCorrupted, BlobMissing, CodecError, StoreError
from filiera.ports import Row
from filiera.project import plugins
from filiera.project.project import Project
from filiera.project.upkeep.marks import Tell

_AT_ONCE = 1000
_IN_MEMORY_BYTES = 64 * 1024 * 1024


def damaged_bytes(project: Project, tell: Tell) -> Iterator[str]:
    """Read every blob, and every small value in the records, and yield the digests of those that are damaged.

    Raises:
        StoreError: The store cannot be read.
    """
    count = read_bytes = 0
    for digest, size_bytes, _ in project.blobs.blobs():
        try:
            # get() remembers nothing of what it has verified: there may be millions.
            (project.blobs.get if size_bytes <= _IN_MEMORY_BYTES else project.blobs.path)(digest)
        except BlobCorrupted:
            yield digest
        except BlobMissing:
            continue
        count, read_bytes = count + 1, read_bytes + size_bytes
        tell(f"{count:,} blobs read, {read_bytes:,} bytes")
    for row in _rows(project, "values_with_bytes_after", {"digest": "", "codec": ""}):
        if blob_digest(row["inline"]) != row["digest"]:
            yield row["digest"]


def owners(project: Project, digest: str) -> list[str]:
    """Return the steps and versions that need some bytes: ``train-3/fit``, ``flows@2``; also as a part of a value."""
    needing = [digest, *_lists_with(project, digest)]
    found: dict[str, None] = {}
    for one in needing:
        for row in project.records.read("steps_naming", {"pattern": f"%{one}%"}):
            found[f"{row['run_id']}/{row['step']}"] = None
        for row in project.records.read("versions_naming", {"pattern": f"%{one}%"}):
            found[f"{row['name']}@{row['number']}"] = None
    return list(found)


def lacking_versions(project: Project) -> Iterator[tuple[str, str, ArtifactRef]]:
    """Yield each version that lacks bytes: what it is called, the run that made it, and what it lacks."""
    for row in _rows(project, "versions_after", {"kind": "", "name": "", "number": 0}):
        texts = [row["artifact"], *json.loads(row["body"])["attachments"].values()]
        for ref in _lacking(project, texts):
            yield f"{row['name']}@{row['number']}", row["run_id"], ref


def _lacking(project: Project, texts: Iterable[str]) -> Iterator[ArtifactRef]:
    for text in texts:
        for ref in read_refs(text, lambda digest, codec: None):
            rows = project.records.read("get_artifact", {"digest": ref.digest, "codec": ref.codec})
            if not rows or not _holds(project, _whole(rows[0])):
                yield ref


def _holds(project: Project, ref: ArtifactRef) -> bool:
    try:
        return project.holds(ref)
    except (StoreError, CodecError):
        return False


def _lists_with(project: Project, digest: str) -> Iterator[str]:
    """Yield the digests of folders and lists that have some bytes as a part."""
    for codec in project.records.read("codecs_in_use"):
        if not plugins.has_parts(codec["codec"]):
            continue
        for row in _rows(project, "values_of_codec_after", {"digest": ""}, codec):
            try:
                if digest in plugins.blobs_of(_whole(row), project.blobs.get):
                    yield row["digest"]
            except (StoreError, CodecError):
                continue


def _whole(row: Row) -> ArtifactRef:
    return ArtifactRef(digest=row["digest"], codec=row["codec"], size_bytes=row["size_bytes"], inline=row["inline"])


def _rows(
    project: Project, query: str, place: Mapping[str, Any], also: Mapping[str, Any] | None = None
) -> Iterator[Row]:
    while rows := project.records.read(query, {**(also or {}), **place, "limit": _AT_ONCE}):
        yield from rows
        place = {name: rows[-1][name] for name in place}
