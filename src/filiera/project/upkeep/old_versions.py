"""Which versions of datasets need not stay."""

from __future__ import annotations

from collections.abc import Container, Iterator

from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.versions import Version

_AT_ONCE = 1000


def old_versions(project: Project, keep: int, needed: Container[str] = ()) -> list[Version]:
    """Return the versions of datasets beyond the newest *keep* of each, oldest first.

    One that an alias means or that is among *needed* stays, and so does one from which a version that stays was made: a
    model, or another dataset. All versions of models stay.

    Raises:
        UsageError: *keep* is below 1: the newest version of a dataset always stays.
    """
    if keep < 1:
        raise UsageError(f"Versions to keep must be 1 or more, not {keep}.", why="The newest version always stays.")
    old: list[Version] = []
    staying: list[Version] = []
    counts: dict[tuple[str, str], int] = {}
    for version in all_versions(project):
        product = version.kind, version.name
        counts[product] = counts.get(product, 0) + 1
        is_old = version.kind == "dataset" and counts[product] > keep and not version.aliases
        is_old = is_old and version.ref not in needed
        (old if is_old else staying).append(version)
    while staying:
        used = {ref for version in staying for text in version.inputs.values() for ref in text.split(", ")}
        staying = [version for version in old if version.ref in used]
        old = [version for version in old if version.ref not in used]
    return old[::-1]


def all_versions(project: Project) -> Iterator[Version]:
    """Yield all versions of all products, newest first."""
    before: Version | None = None
    while found := project.versions.find(before=before, limit=_AT_ONCE):
        yield from found
        before = found[-1]
