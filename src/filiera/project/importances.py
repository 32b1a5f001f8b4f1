"""Which inputs a model version's quality rests on: found when somebody asks, and kept beside the version.

A version does not change. What is found of it later is kept in the cache, under a key that follows from the model and
its evaluation, so that clean-up keeps it as long as a version has these, and an equal version has it at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from filiera.core.artifact import ArtifactRef
from filiera.core.digest import digest
from filiera.project.remembered import remember, remembered

if TYPE_CHECKING:
    from collections.abc import Callable

    from filiera.core.gate import GateReport
    from filiera.model.importance import Importance, Permuting
    from filiera.project.project import Project
    from filiera.project.versions import Version

_FORMAT = b"1"
_MOST_KEPT = 20


def importance_key(model: ArtifactRef, evaluation: ArtifactRef) -> str:
    """Return the key under which the cache has what was found of a model on the rows of an evaluation.

    >>> ref = ArtifactRef(digest="0" * 64, codec="skops/1", size_bytes=5)
    >>> len(importance_key(ref, ref))
    64
    """
    parts = (model.codec, model.digest, evaluation.codec, evaluation.digest)
    return digest("importance/1", _FORMAT, *(part.encode() for part in parts))


def kept_importances(project: Project, version: Version) -> list[Importance]:
    """Return what was found of a version, the latest last."""
    evaluation = version.attachments.get("evaluation")
    return [] if evaluation is None else remembered(project, importance_key(version.artifact, evaluation))


def importance(
    project: Project, version: Version, how: Permuting, *, tell: Callable[[str], None] = lambda line: None
) -> Importance:
    """Return how much each input matters for a model version's quality on the rows it was evaluated on.

    Args:
        project: Whose version it is.
        version: Of a model.
        how: What is permuted and measured; a metric of "" is that of its first gate, where it can be.
        tell: Told what long work has come to.

    Raises:
        UsageError: It cannot be asked of this version, or not so.
        StoreError, CodecError: Something it needs is lost, or not installed.
    """
    from filiera.model.importance import USUAL, importance_of, measurable, rows_digest
    from filiera.model.question import question_again
    from filiera.project.attached import stored
    from filiera.project.evaluated import evaluated

    found = evaluated(project, version)
    asked = question_again(found.model, found.rows, found.evaluation)
    if not how.metric:
        gates: GateReport | None = stored(project, version, "gates")
        wanted = [one.gate.metric for one in gates.results if not one.gate.slice] if gates else []
        usable = measurable(found.model, asked) if wanted else ()
        how = replace(how, metric=next((name for name in wanted if name in usable), USUAL[asked.task_name]))
    rows, kept = rows_digest(asked.rows.select(asked.inputs)), kept_importances(project, version)
    for one in kept:
        if (one.how, one.rows) == (how, rows):
            return one
    made = importance_of(found.model, asked, how, tell=tell)
    key = importance_key(version.artifact, version.attachments["evaluation"])
    remember(project, key, [*kept, made][-_MOST_KEPT:], name="importance")
    return made
