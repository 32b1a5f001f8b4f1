"""Profiles of stored tables: made when somebody asks for one, and remembered as the results of steps are.

A profile follows from the table and what is hidden in it, so that its place in the cache is named by these. Clean-up
keeps one in which nothing is hidden as long as a version of a dataset has that table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from filiera.core.artifact import ArtifactRef
from filiera.core.digest import digest
from filiera.data.profile import FORMAT
from filiera.project.remembered import remember, remembered

if TYPE_CHECKING:
    from filiera.data.profile import Profile
    from filiera.project.project import Project
    from filiera.project.tables import NamedTable


def profile_key(table: ArtifactRef, sensitive: Sequence[str] = ()) -> str:
    """Return the key under which the cache has a table's profile, without the values of the columns in *sensitive*.

    >>> len(profile_key(ArtifactRef(digest="0" * 64, codec="table/1", size_bytes=5)))
    64
    """
    hidden = (name.encode() for name in sorted(sensitive))
    return digest("profile/1", FORMAT.encode(), table.codec.encode(), table.digest.encode(), *hidden)


def profile_of(project: Project, table: NamedTable) -> Profile:
    """Return what *table* looks like; of a stored one it is made only once.

    Raises:
        StoreError: The table's bytes are missing or damaged.
    """
    from filiera.data.explore import explore

    if table.artifact is None:
        return explore(table.frame, title=table.name, sensitive=table.sensitive)
    key = profile_key(table.artifact, table.sensitive)
    kept: list[Profile] = remembered(project, key)
    if not kept:
        kept = [explore(table.frame, sensitive=table.sensitive)]
        remember(project, key, kept, name="profile")
    return replace(kept[0], title=table.name)
