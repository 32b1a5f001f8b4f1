"""Values that are made when somebody asks for them, and kept in the cache as the results of steps are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from filiera.engine.rows import read_refs, write_whole_refs
from filiera.errors import CodecError, StoreError

if TYPE_CHECKING:
    from filiera.project.project import Project


def remembered(project: Project, key: str) -> list[Any]:
    """Return the values that were kept under a key; none if one is lost, or of another version of Filiera."""
    for row in project.records.read("try_cache_entry", {"key": key}):
        with suppress(StoreError, CodecError):
            return [project.value(ref) for ref in read_refs(row["outputs"], project.versions.inline)]
    return []


def remember(project: Project, key: str, values: Sequence[Any], *, name: str) -> None:
    """Keep *values* under a key, in place of what was there; *name* says to people what they are.

    Where that is not possible, in somebody else's store that may only be read, they are made again each time.
    """
    with suppress(StoreError):
        refs = [project.artifacts.put(value) for value in values]
        project.settle(refs)
        kept = [{"digest": r.digest, "codec": r.codec, "size_bytes": r.size_bytes, "inline": r.inline} for r in refs]
        result = {"key": key, "outputs": write_whole_refs(refs), "blocked": "", "run_id": "", "step": name}
        entry = {**result, "stored_at": project.clock()}
        project.records.write([*(("put_artifact", one) for one in kept), ("put_cache_entry", entry)], durable=True)
