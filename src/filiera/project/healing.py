"""What becomes of bytes that changed on the disk: set aside, forgotten by the cache, made again by their step.

A run that meets such bytes can heal itself. Its driver, told by a worker that an input cannot be loaded, calls
``heal_inputs`` with the inputs of that task; each artifact that comes back was made by a step of the run, which runs
again, or came from outside, and then the run cannot go on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from filiera.adapters.folder_sweep import FolderSweep
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.core.value import dataclass
from filiera.errors import BlobCorrupted, BlobMissing, CodecError
from filiera.project import plugins
from filiera.project.project import Project

DAMAGED = "damaged"
"""The folder of the store in which damaged bytes are kept, for whoever wants to know what happened to them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Healed:
    """What was found of some bytes, and what was done about them."""

    digest: str
    was: Literal["sound", "damaged", "missing"]
    moved_to: Path | None = None  #: where damaged bytes are now
    forgotten: tuple[tuple[str, str], ...] = ()  #: run and step of each result that the cache forgot


def heal(project: Project, digest: str) -> Healed:
    """Read the bytes with a digest; when damaged, set them aside, and forget the results that need them.

    Damaged bytes go to ``damaged/`` in the store, never away. Afterwards the step that made them is no hit any more,
    and what it makes takes their place. Safe beside live runs: bytes that one puts meanwhile stay.

    Raises:
        StoreError: The store cannot be read or written.
    """
    sweep = FolderSweep(project.store / "blobs")
    moved_to = sweep.set_aside(digest, project.store / DAMAGED) or _set_inline_aside(project, digest)
    if moved_to is None and _is_there(project, digest):
        return Healed(digest=digest, was="sound")
    was: Literal["damaged", "missing"] = "missing" if moved_to is None else "damaged"
    return Healed(digest=digest, was=was, moved_to=moved_to, forgotten=forget(project, digest))


def heal_inputs(project: Project, refs: Iterable[ArtifactRef]) -> tuple[ArtifactRef, ...]:
    """Return those of some artifacts that cannot be loaded, after what is damaged of them was set aside.

    All bytes are read, also those of the files and items that an artifact is made of; where they are sound, the
    artifact is not returned.

    Raises:
        StoreError: The store cannot be read or written.
    """
    return tuple([ref for ref in dict.fromkeys(refs) if not _is_whole(project, ref)])


def forget(project: Project, digest: str) -> tuple[tuple[str, str], ...]:
    """Forget the cached results with an output of this digest; return the run and step that made each."""
    rows = project.records.write([("forget_cache_entries_with", {"pattern": f"%{digest}%"})])[0]
    return tuple([(row["run_id"], row["step"]) for row in rows])


def _is_whole(project: Project, ref: ArtifactRef) -> bool:
    if ref.inline is not None and blob_digest(ref.inline) != ref.digest:
        heal(project, ref.digest)
        return False
    is_whole = True
    try:
        for digest in plugins.blobs_of(ref, project.blobs.get):
            is_whole = heal(project, digest).was == "sound" and is_whole
    except (BlobMissing, BlobCorrupted, CodecError):
        is_whole = False
    if not is_whole:
        forget(project, ref.digest)
    return is_whole


def _is_there(project: Project, digest: str) -> bool:
    if project.blobs.has(digest):
        return True
    return any(row["inline"] is not None for row in project.records.read("artifacts_with_digest", {"digest": digest}))


def _set_inline_aside(project: Project, digest: str) -> Path | None:
    """Move damaged bytes from the records to a file; return it, or None when there are none."""
    place = None
    for row in project.records.read("artifacts_with_digest", {"digest": digest}):
        content = row["inline"]
        if content is None or blob_digest(content) == digest:
            continue
        folder = project.store / DAMAGED
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{digest}-{os.urandom(4).hex()}"
        place.write_bytes(content)
        project.records.write([("drop_artifact", {"digest": digest, "codec": row["codec"]})])
    return place
