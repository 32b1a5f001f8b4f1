"""What is attached to a version."""

from __future__ import annotations

from typing import Any

from filiera.errors import BlobCorrupted, BlobMissing, CodecError
from filiera.project.project import Project
from filiera.project.versions import Version

LOST = (BlobMissing, BlobCorrupted, CodecError)
"""What reading a stored value raises when its bytes are not there, or are not what they were."""


def stored(project: Project, version: Version, name: str) -> Any:
    """Return what is attached to a version under a name; None when there is no such thing, or its bytes are lost."""
    try:
        return project.value(version.attachments[name])
    except (KeyError, *LOST):
        return None
