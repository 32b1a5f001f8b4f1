"""Answers of people: a step that asked goes on, or ends the run, when somebody has said yes or no to its value.

An answer is for the bytes that were looked at. While they stay the same nobody is asked again; when they change, the
step asks anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.events import StepWaiting
from filiera.core.value import dataclass
from filiera.engine.rows import read_event, read_refs
from filiera.errors import StoreError, UsageError, did_you_mean
from filiera.ports import Row
from filiera.project import audit
from filiera.project.project import Project

_LISTED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a step of a run asks, or has asked."""

    run_id: str
    pipeline: str
    step: str
    text: str  #: "Publish these numbers?"; "" when this run did not ask, because the answer was known
    artifact: ArtifactRef  #: what is to be looked at
    refusal: str = ""  #: who said no to it, and why


def questions(project: Project, run: Row) -> list[Question]:
    """Return what waits for an answer in a run, in order of its steps."""
    rows = project.records.read("steps_in_state", {"run_id": run["run_id"], "state": "waiting"})
    asked = _asked(project, run) if rows else {}
    return [_question(project, run, asked[row["step"]]) for row in rows]


def refused(project: Project, run: Row) -> Iterator[Question]:
    """Yield what somebody said no to, so that the run was rejected."""
    asked = _asked(project, run)
    for row in project.records.read("steps_in_state", {"run_id": run["run_id"], "state": "rejected"}):
        for ref in read_refs(row["outputs"], project.versions.inline)[:1]:
            where = {"pipeline": run["pipeline"], "step": row["step"], "subject": ref.identity}
            if project.records.read("get_approval", where):
                text = asked[row["step"]].question if row["step"] in asked else ""
                yield Question(
                    run_id=run["run_id"],
                    pipeline=run["pipeline"],
                    step=row["step"],
                    text=text,
                    artifact=ref,
                    refusal=row["reason"],
                )


def get_question(project: Project, run: Row, step: str = "") -> Question:
    """Return the question to answer in a run: that of *step*, or the only one. What was refused can be answered anew.

    Raises:
        UsageError: There is none, or there are several and *step* does not say which.
    """
    found = questions(project, run) or list(refused(project, run))
    run_id = run["run_id"]
    if not found:
        raise UsageError(
            f"Nothing in {run_id} waits for an answer.",
            why=f"Its state is {run['state']}.",
            do="filiera runs --state waiting",
        )
    names = [question.step for question in found]
    if not step and len(found) == 1:
        return found[0]
    if step in names:
        return found[names.index(step)]
    told = "; ".join(f"{one.step}: {one.text or one.refusal}" for one in found[:_LISTED])
    more = f"; and {len(found) - _LISTED:,} more" if len(found) > _LISTED else ""
    what = f"No step {step!r} of {run_id} waits for an answer." if step else f"{len(found)} steps of {run_id} wait."
    hint = did_you_mean(step, names) if step else ""
    raise UsageError(what, why=f"{told}{more}.{hint}", do=f"filiera approve {run_id} STEP")


def answer(project: Project, question: Question, *, is_approved: bool, why: str = "") -> None:
    """Record what this user says to a question, with its row of the audit; a later answer replaces it.

    Raises:
        StoreError: It could not be recorded.
    """
    at, why = project.clock(), why.encode("utf-8", "backslashreplace").decode()
    row: dict[str, Any] = {"pipeline": question.pipeline, "step": question.step, "subject": question.artifact.identity}
    row |= {"run_id": question.run_id, "is_approved": int(is_approved), "by": audit.actor(), "at": at, "why": why}
    detail = {"step": question.step, "question": question.text, "value": question.artifact.identity, "why": why}
    noted = audit.entry("approve" if is_approved else "refuse", question.run_id, at=at, detail=detail)
    project.records.write([("put_approval", row), noted], durable=True)


def _asked(project: Project, run: Row) -> dict[str, StepWaiting]:
    rows = project.records.read("questions_of_run", {"run_id": run["run_id"]})
    events = [read_event("StepWaiting", row["body"]) for row in rows]
    return {event.step: event for event in events if isinstance(event, StepWaiting)}


def _question(project: Project, run: Row, event: StepWaiting) -> Question:
    codec, _, digest = event.subject.rpartition(":")
    rows = project.records.read("get_artifact", {"digest": digest, "codec": codec})
    if not rows:
        raise StoreError(f"Artifact {digest[:12]}, about which {event.step} asks, is not in the records.")
    return Question(
        run_id=run["run_id"],
        pipeline=run["pipeline"],
        step=event.step,
        text=event.question,
        artifact=ArtifactRef(**rows[0]),
    )
