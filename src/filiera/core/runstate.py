"""The state of a run: a fold of its events, with the legal transitions as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Literal

from filiera.core.artifact import ArtifactRef
from filiera.core.events import (
    Event,
    Published,
    RunFinished,
    RunInterrupted,
    RunResumed,
    RunStarted,
    StepBlocked,
    StepCancelled,
    StepCaught,
    StepEvent,
    StepExtended,
    StepFailed,
    StepHit,
    StepLost,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
)
from filiera.core.logged import Logged
from filiera.core.stages import Stage
from filiera.core.task import Failure, LogSpan
from filiera.core.value import dataclass

RunStatus = Literal["new", "running", "waiting", "succeeded", "failed", "rejected", "cancelled", "interrupted"]
StepStatus = Literal[
    "pending",
    "running",
    "retrying",
    "extended",
    "waiting",
    "succeeded",
    "hit",
    "caught",
    "skipped",
    "failed",
    "rejected",
    "blocked",
    "cancelled",
]

STEP_TRANSITIONS: Mapping[StepStatus, frozenset[StepStatus]] = {
    "pending": frozenset(
        {"running", "extended", "waiting", "succeeded", "hit", "skipped", "rejected", "failed", "blocked", "cancelled"}
    ),
    "running": frozenset({"succeeded", "extended", "rejected", "failed", "retrying", "caught", "cancelled"}),
    "retrying": frozenset({"running", "hit", "rejected", "failed", "caught", "blocked", "cancelled"}),
    "extended": frozenset({"extended", "succeeded", "hit", "rejected", "failed", "caught", "blocked", "cancelled"}),
    "waiting": frozenset(),
    "succeeded": frozenset({"pending"}),
    "hit": frozenset({"pending"}),
    "caught": frozenset(),
    "skipped": frozenset(),
    "failed": frozenset(),
    "rejected": frozenset(),
    "blocked": frozenset(),
    "cancelled": frozenset(),
}
"""From each state of a step, where it may go. Only lost bytes, and resuming the run, make a step pending again."""

RUN_TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    "new": frozenset({"running"}),
    "running": frozenset({"succeeded", "failed", "rejected", "cancelled", "waiting", "interrupted", "running"}),
    "waiting": frozenset({"running"}),
    "interrupted": frozenset({"running"}),
    "failed": frozenset({"running"}),
    "rejected": frozenset({"running"}),
    "cancelled": frozenset({"running"}),
    "succeeded": frozenset(),
}
"""From each state of a run, where it may go; what has ended goes on only by being resumed."""

DONE: frozenset[StepStatus] = frozenset({"succeeded", "hit", "caught", "skipped"})
"""A step in one of these does not keep the run from succeeding."""
ENDED: frozenset[StepStatus] = DONE | {"failed", "rejected", "blocked", "cancelled", "waiting"}
"""Nothing more happens to a step in one of these, in this run or until it is resumed."""


class IllegalTransition(ValueError):
    """An event came that cannot follow the events before it."""


@dataclass(kw_only=True, slots=True)
class StepState:
    """Where one step of a run is."""

    name: str
    stage: Stage
    position: int
    status: StepStatus = "pending"
    attempt: int = 0
    outputs: tuple[ArtifactRef, ...] = ()
    failure: Failure | None = None
    detail: str = ""  #: why it is a hit, what blocks it, or the verdict's summary
    duration_s: float = 0.0
    log: LogSpan | None = None
    parent: str = ""  #: the step that has become this one and others
    metrics: Logged | None = None  #: what it has logged


@dataclass(kw_only=True, slots=True)
class RunState:
    """Where a run is; changed by ``apply`` only."""

    status: RunStatus = "new"
    pipeline: str = ""
    steps: dict[str, StepState] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    message: str = ""
    _counts: Counter[StepStatus] = field(default_factory=Counter, repr=False, compare=False)  #: of steps, by status

    @classmethod
    def fold(cls, events: Iterable[Event]) -> RunState:
        """Return the state that *events* lead to. Raises IllegalTransition."""
        state = cls()
        for event in events:
            state.apply(event)
        return state

    def apply(self, event: Event) -> None:
        """Take one event into account.

        Raises:
            IllegalTransition: It cannot follow what came before; the state is unchanged.
        """
        match event:
            case RunStarted():
                self._move("running", only_from=("new",))
                self.pipeline = event.pipeline
                self._start_with(event.steps)
            case RunInterrupted():
                self._move("interrupted", only_from=("running",))
                self.message = event.reason
            case RunResumed():
                self._resume(event)
            case RunFinished():
                self._finish(event)
            case Published():
                self._require_running(event)
                self.published.append(event.product)
            case _:
                self._require_running(event)
                self._apply_to_step(event)

    def count(self, *statuses: StepStatus) -> int:
        """Return how many steps are in one of *statuses*."""
        return sum(self._counts[status] for status in statuses)

    def _start_with(self, steps: tuple[tuple[str, Stage], ...]) -> None:
        self.steps = {name: StepState(name=name, stage=stage, position=i) for i, (name, stage) in enumerate(steps)}
        self._counts = Counter({"pending": len(self.steps)})

    def _move(self, status: RunStatus, *, only_from: tuple[RunStatus, ...]) -> None:
        if self.status not in only_from or status not in RUN_TRANSITIONS[self.status]:
            raise IllegalTransition(f"a run that is {self.status} cannot become {status}")
        self.status = status

    def _require_running(self, event: Event) -> None:
        if self.status != "running":
            raise IllegalTransition(f"{type(event).__name__} in a run that is {self.status}")

    def _resume(self, event: RunResumed) -> None:
        self._move("running", only_from=("interrupted", "waiting", "failed", "rejected", "cancelled"))
        self.message, self.published = "", []
        self._start_with(event.steps)

    def _finish(self, event: RunFinished) -> None:
        if self.status == "running":
            self._require_ended(event)
        self._move(event.outcome, only_from=("running",))
        self.message = event.message

    def _require_ended(self, event: RunFinished) -> None:
        is_waiting = event.outcome == "waiting" and self.count("waiting") > 0  # then what depends on it is pending
        for step in self.steps.values():
            if step.status not in ENDED and not (is_waiting and step.status in ("pending", "extended")):
                raise IllegalTransition(f"a run cannot finish while {step.name} is {step.status}")

    def _apply_to_step(self, event: StepEvent) -> None:
        step = self.steps.get(event.step)
        if step is None:
            raise IllegalTransition(f"the run has no step {event.step!r}")
        status = _status_after(event)
        if status not in STEP_TRANSITIONS[step.status]:
            raise IllegalTransition(f"step {step.name!r} is {step.status} and cannot become {status}")
        if isinstance(event, StepExtended):
            self._extend(event)
        self._counts[step.status] -= 1
        self._counts[status] += 1
        step.status = status
        if isinstance(event, StepHit | StepSucceeded | StepFailed | StepCaught):
            step.metrics = event.metrics
        match event:
            case StepHit():
                step.outputs, step.detail = event.outputs, event.blocked or event.reason
            case StepStarted():
                step.attempt, step.log = event.attempt, event.log
            case StepSucceeded():
                step.outputs, step.duration_s, step.detail = event.outputs, event.duration_s, event.blocked
                step.log = event.log or step.log
            case StepFailed():
                step.failure, step.attempt, step.duration_s = event.failure, event.attempt, event.duration_s
                step.log = event.log or step.log
            case StepCaught():
                step.failure, step.attempt, step.duration_s = event.failure, event.attempt, event.duration_s
                step.outputs, step.log = event.outputs, event.log or step.log
            case StepBlocked():
                step.detail = f"{event.by} did not succeed"
            case StepSkipped() | StepLost():
                step.detail = event.reason
            case StepWaiting():
                step.detail = event.question

    def _extend(self, event: StepExtended) -> None:
        clash = next((name for name, _ in event.steps if name in self.steps), None)
        if clash is not None:
            raise IllegalTransition(f"step {event.step!r} becomes {clash!r}, which the run has already")
        for name, stage in event.steps:
            self.steps[name] = StepState(name=name, stage=stage, position=len(self.steps), parent=event.step)
        self._counts["pending"] += len(event.steps)


def _status_after(event: StepEvent) -> StepStatus:
    match event:
        case StepHit():
            return "rejected" if event.blocked else "hit"
        case StepStarted():
            return "running"
        case StepSucceeded():
            return "rejected" if event.blocked else "succeeded"
        case StepFailed():
            return "failed" if event.retry_in_s is None else "retrying"
        case StepCaught():
            return "caught"
        case StepExtended():
            return "extended"
        case StepLost():
            return "pending"
        case StepSkipped():
            return "skipped"
        case StepWaiting():
            return "waiting"
        case StepBlocked():
            return "blocked"
        case StepCancelled():
            return "cancelled"
