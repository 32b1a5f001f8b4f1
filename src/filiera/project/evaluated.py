"""A model version with the rows that it was evaluated on: what it takes to ask it once more."""

from __future__ import annotations

import json
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.evaluation import Evaluation
from filiera.core.value import dataclass
from filiera.engine.rows import read_inputs
from filiera.errors import StoreError, UsageError
from filiera.project.project import Project
from filiera.project.tables import query_of
from filiera.project.versions import Version


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluated:
    """What a question to a model version needs."""

    model: Any
    evaluation: Evaluation
    rows: Any  #: a ``polars.DataFrame``, the table that the evaluating step was given


def evaluated(project: Project, version: Version) -> Evaluated:
    """Return a model version with the rows it was evaluated on.

    Raises:
        UsageError: It is no model, or its pipeline keeps no answers row by row, or evaluates without a table.
        StoreError, CodecError: Model, evaluation or rows are lost, or what reads them is not installed.
    """
    rows = evaluated_rows(project, version)
    evaluation = project.value(version.attachments["evaluation"])
    if not isinstance(evaluation, Evaluation):
        raise UsageError(
            f"The evaluation of {version.ref} kept no rows, only metrics.",
            why="What is true of each row must be known, to ask about it once more.",
            do="Let the evaluating step return evaluate(model, rows, target=…) of filiera.model.evaluation.",
        )
    return Evaluated(model=project.value(version.artifact), evaluation=evaluation, rows=rows)


def evaluated_rows(project: Project, version: Version) -> Any:
    """Return the ``polars.DataFrame`` that a model version was evaluated on. Raises as ``evaluated``."""
    if version.kind != "model":
        raise UsageError(f"{version.ref} is a {version.kind}; what its columns are worth is asked of a model.")
    ref = _table(project, version)
    what = f"The table that {version.ref} was evaluated on"
    if not project.holds(ref):
        raise StoreError(
            f"{what} is not in the store.",
            why="It was removed, or the records came here without it.",
            do=f"filiera run {version.run_id.rpartition('-')[0]}",
        )
    return query_of(project, ref, what).collect()


def _table(project: Project, version: Version) -> ArtifactRef:
    """Return where the table is stored, which the publishing step was given, too."""
    steps = project.records.read("get_step_run", {"run_id": version.run_id, "step": "publish"})
    if not steps:
        raise StoreError(
            f"The records of {version.run_id}, which made {version.ref}, are gone.",
            why="They say which rows the model was evaluated on.",
            do=f"filiera run {version.run_id.rpartition('-')[0]}",
        )
    given = json.loads(steps[0]["arguments"] or "{}").get("evaluated")
    if not isinstance(given, dict):
        raise UsageError(
            f"The step that evaluated {version.ref} took no table.",
            why="Inputs are permuted among the rows of one.",
            do="Annotate the evaluation's table: def evaluate(model, rows: pl.DataFrame).",
        )
    codec, _, digest = read_inputs(steps[0]["inputs"])[0][given["v"]][1].rpartition(":")
    return ArtifactRef(digest=digest, codec=codec, size_bytes=0, inline=project.versions.inline(digest, codec))
