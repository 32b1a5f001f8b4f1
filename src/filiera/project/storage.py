"""How much of a dataset's version is stored once for several versions."""

from __future__ import annotations

from filiera.core.chunks import TABLE_CODEC, Chunk
from filiera.core.value import dataclass
from filiera.project import plugins
from filiera.project.project import Project
from filiera.project.versions import Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """The files of a published table."""

    files: int
    size_bytes: int
    before: str  #: the version before, as "flows@2"; '' when there is none of that kind
    shared_bytes: int  #: of files that the version before has too


def storage_of(project: Project, version: Version) -> Storage | None:
    """Return how a version is stored, and what it shares with the one before; None when it is no published table.

    Raises:
        StoreError: BlobMissing or BlobCorrupted, of the manifest.
    """
    chunks = chunks_of_version(project, version)
    if not chunks:
        return None
    older = project.versions.find(kind=version.kind, name=version.name, before=version, limit=1)
    known = {chunk.digest for one in older for chunk in chunks_of_version(project, one)}
    return Storage(
        files=len(chunks),
        size_bytes=sum(chunk.size_bytes for chunk in chunks),
        before=older[0].ref if known else "",
        shared_bytes=sum(chunk.size_bytes for chunk in chunks if chunk.digest in known),
    )


def chunks_of_version(project: Project, version: Version) -> tuple[Chunk, ...]:
    """Return the files that a version's table is made of; () when it is stored otherwise. Raises as ``storage_of``."""
    ref = version.artifact
    if ref.codec != TABLE_CODEC:
        return ()
    return plugins.chunks_of(ref, ref.inline if ref.inline is not None else project.blobs.get(ref.digest))
