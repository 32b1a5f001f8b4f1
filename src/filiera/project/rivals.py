"""What a candidate model is compared with: the champion, as it was when the candidate was made."""

from __future__ import annotations

from collections.abc import Callable

from filiera.core.artifact import ArtifactRef
from filiera.core.graph import Known
from filiera.engine.artifacts import Artifacts
from filiera.errors import BlobMissing
from filiera.project.versions import Version, Versions

RIVAL, RIVAL_REFERENCE = "rival", "rival reference"
"""What a version keeps of its rival: the evaluation, and the profile of what it was trained on."""


class Rivals:
    """Looks up what gates compare with. Raises BlobMissing when that is lost.

    The champion itself and the newest version keep the rival they had when they were published; else they would be
    compared with another one than then, and running an unchanged pipeline again would not be a hit. Any older version
    that is made again is a candidate like others.
    """

    def __init__(self, versions: Versions, artifacts: Artifacts, holds: Callable[[ArtifactRef], bool]) -> None:
        self._versions = versions
        self._artifacts = artifacts
        self._holds = holds

    def evaluation(self, name: str, model: ArtifactRef, evaluation: ArtifactRef) -> Known:
        """Return the evaluation of the rival of a candidate, or None as a value."""
        return self._find(name, (model, evaluation), RIVAL, "evaluation")

    def reference(self, name: str, model: ArtifactRef, evaluation: ArtifactRef) -> Known:
        """Return the profile of what the rival of a candidate was trained on, or None as a value."""
        return self._find(name, (model, evaluation), RIVAL_REFERENCE, "reference")

    def size(self, model: ArtifactRef) -> Known:
        """Return how many bytes a model takes."""
        return Known(self._artifacts.put(model.size_bytes), "bytes of the model")

    def _find(self, name: str, candidate: tuple[ArtifactRef, ArtifactRef], kept: str, part: str) -> Known:
        champion = self._versions.champion(name)
        if champion is None:
            return Known(self._artifacts.put(None), "no champion yet")
        newest = self._versions.newest("model", name)
        for version in (champion, newest):
            if version is not None and _made(version) == candidate and kept in version.attachments:
                return Known(version.attachments[kept], f"rival of {version.ref}")
        if not self._holds(champion.attachments[part]):
            raise BlobMissing(
                f"The {part} of the champion {champion.ref} is lost, and gates compare with it.",
                why="Its bytes are not in the store.",
                do=f"Run it again as in {champion.run_id}, which makes them anew; or filiera promote {name}@NUMBER.",
            )
        return Known(champion.attachments[part], f"champion {champion.ref}")


def _made(version: Version) -> tuple[ArtifactRef, ArtifactRef]:
    return version.artifact, version.attachments["evaluation"]
