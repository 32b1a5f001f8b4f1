"""What can happen in a run. A run's state is the fold of its events; nothing else changes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict

from filiera.core.artifact import ArtifactRef
from filiera.core.logged import Logged
from filiera.core.stages import Kind, Stage
from filiera.core.task import Failure, Finished, LogSpan
from filiera.core.value import dataclass

RunOutcome = Literal["succeeded", "failed", "rejected", "cancelled", "waiting"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted:
    """A run was planned; none of its steps has begun."""

    pipeline: str
    kind: Kind
    steps: tuple[tuple[str, Stage], ...]  #: name and stage, in an order in which they can run
    parameters: Mapping[str, str]  #: for people: each parameter's value as text


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInterrupted:
    """The driver was found dead."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResumed:
    """Another driver goes on with a run that had ended or been interrupted; what was under way is pending again."""

    pid: int
    steps: tuple[tuple[str, Stage], ...]  #: as the code has them now


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFinished:
    """No step will run any more."""

    outcome: RunOutcome
    message: str = ""  #: one line: what decided it


@dataclass(frozen=True, kw_only=True, slots=True)
class StepHit:
    """The outputs were in the cache."""

    step: str
    key: str
    outputs: tuple[ArtifactRef, ...]
    reason: str
    blocked: str = ""  #: the cached verdict blocks: its summary
    metrics: Logged | None = None  #: what was logged when they were made


@dataclass(frozen=True, kw_only=True, slots=True)
class StepStarted:
    """An attempt has begun in a process."""

    step: str
    attempt: int  #: 1 for the first
    pid: int
    log: LogSpan


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSucceeded:
    """An attempt has returned and its outputs are stored."""

    step: str
    outputs: tuple[ArtifactRef, ...]
    duration_s: float
    log: LogSpan | None = None
    blocked: str = ""  #: an output is a verdict that blocks: its summary
    metrics: Logged | None = None  #: what it has logged


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFailed:
    """An attempt has failed; perhaps another one follows."""

    step: str
    attempt: int
    failure: Failure
    duration_s: float
    retry_in_s: float | None = None  #: None: this was the last attempt
    log: LogSpan | None = None
    metrics: Logged | None = None  #: what it has logged


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCaught:
    """The last attempt has failed, and the run goes on with the value that the step has for that."""

    step: str
    attempt: int
    failure: Failure
    outputs: tuple[ArtifactRef, ...]
    duration_s: float
    log: LogSpan | None = None
    metrics: Logged | None = None  #: what it has logged


@dataclass(frozen=True, kw_only=True, slots=True)
class StepExtended:
    """A step has become others, which run in its place: the calls of a map, or the graph of a dynamic step."""

    step: str
    steps: tuple[tuple[str, Stage], ...]  #: name and stage, in an order in which they can run


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLost:
    """The bytes that it returned cannot be read any more: it has to run again."""

    step: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSkipped:
    """A condition is not so, or what it needs was skipped: there is nothing to do, and nothing is wrong."""

    step: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepWaiting:
    """It needs a person's answer; until then what depends on it waits."""

    step: str
    question: str
    subject: str  #: codec and digest of what is to be approved: the answer is for these bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class StepBlocked:
    """It will not run in this run, because of another step."""

    step: str
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCancelled:
    """It was stopped, or had not begun when the run was."""

    step: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A product version is, with the run's success, what it says."""

    product: str  #: "flows@3"
    is_new: bool  #: False: the newest version has the same content already


RunEvent = RunStarted | RunInterrupted | RunResumed | RunFinished | Published
StepEvent = (
    StepHit
    | StepStarted
    | StepSucceeded
    | StepFailed
    | StepCaught
    | StepExtended
    | StepLost
    | StepSkipped
    | StepWaiting
    | StepBlocked
    | StepCancelled
)
Event = RunEvent | StepEvent


class Ending(TypedDict):
    """What the events of all ends of attempts say."""

    duration_s: float
    log: LogSpan | None
    metrics: Logged | None


def ending(finished: Finished) -> Ending:
    """Return what the event of an attempt's end says of it, however it went."""
    return {"duration_s": finished.duration_s, "log": finished.log, "metrics": finished.metrics}
