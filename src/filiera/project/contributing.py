"""What each input adds to a model version's answers: found when somebody asks, and kept beside the version."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from filiera.core.artifact import ArtifactRef
from filiera.core.digest import digest
from filiera.errors import UsageError
from filiera.project.attached import stored
from filiera.project.evaluated import evaluated_rows
from filiera.project.remembered import remember, remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from filiera.core.signature import Signature
    from filiera.model.contributions import Contributions
    from filiera.model.contributions_summary import Summary
    from filiera.project.project import Project
    from filiera.project.versions import Version

_FORMAT = b"1"


def contributions_key(model: ArtifactRef, evaluation: ArtifactRef) -> str:
    """Return the key under which the cache has what inputs add to a model's answers to the rows of an evaluation."""
    parts = (model.codec, model.digest, evaluation.codec, evaluation.digest)
    return digest("contributions/1", _FORMAT, *(part.encode() for part in parts))


def kept_contributions(project: Project, version: Version) -> list[Summary]:
    """Return what was found of a version: a summary, or nothing."""
    evaluation = version.attachments.get("evaluation")
    return [] if evaluation is None else remembered(project, contributions_key(version.artifact, evaluation))


def summary_of(project: Project, version: Version, *, tell: Callable[[str], None] = lambda line: None) -> Summary:
    """Return what each input adds to a model version's answers to the rows that it was evaluated on.

    Raises:
        UsageError: It is not known of such a model, or its evaluation took no table.
        StoreError, CodecError: Something it needs is lost, or not installed.
    """
    from filiera.model.contributions_summary import drawn_rows, summary
    from filiera.model.importance import rows_digest

    table, model = evaluated_rows(project, version), project.value(version.artifact)
    rows = drawn_rows(model, table)
    for one in kept_contributions(project, version):
        if one.rows == rows_digest(rows):
            return one
    made = summary(model, rows, hidden=_hidden(project, version), tell=tell)
    remember(
        project, contributions_key(version.artifact, version.attachments["evaluation"]), [made], name="contributions"
    )
    return made


def contributions_of_row(project: Project, version: Version, text: str) -> tuple[Contributions, Mapping[str, Any], Any]:
    """Return what each input added to the answer to one row, the row's inputs, and the answer.

    Args:
        project: Whose version it is.
        version: Of a model.
        text: A JSON object: all inputs of a row, or columns whose values only one of the evaluated rows has.

    Raises:
        UsageError: It is no such object, or several rows or none are so; and as ``summary_of``.
        StoreError, CodecError: As ``summary_of``.
    """
    from filiera.model.contributions import contributions
    from filiera.model.contributions_summary import drawn_rows, one_row, plain_value

    given = _object(text)
    table, model = evaluated_rows(project, version), project.value(version.artifact)
    row = one_row(model, table, given)
    found = contributions(model, row, background=drawn_rows(model, table))
    answer = plain_value(model.predict(row.select(found.inputs))[0])
    hidden = _hidden(project, version)
    values = {name: "(hidden)" if name in hidden else value for name, value in row.row(0, named=True).items()}
    return found, values, answer


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"The row is not JSON: {error.msg}.", do="""--row '{"size": 3, "kind": "tcp"}'""") from error
    if not isinstance(given, dict) or not given:
        raise UsageError("The row is no JSON object.", do="""--row '{"size": 3, "kind": "tcp"}'""")
    return given


def _hidden(project: Project, version: Version) -> tuple[str, ...]:
    signature: Signature | None = stored(project, version, "signature")
    return tuple(field.name for field in signature.inputs if field.sensitive) if signature else ()
