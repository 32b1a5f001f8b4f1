"""The state of a run as the fold of its events."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from filiera.core.events import (
    Event,
    Published,
    RunFinished,
    RunInterrupted,
    RunResumed,
    RunStarted,
    StepBlocked,
    StepCancelled,
    StepFailed,
    StepHit,
    StepStarted,
    StepSucceeded,
)
from filiera.core.runstate import DONE, ENDED, RUN_TRANSITIONS, STEP_TRANSITIONS, IllegalTransition, RunState
from filiera.core.task import Failure, LogSpan
from tests.core.run_events import STEPS, events

FAILURE = Failure(kind="raised", error="ValueError", message="no")
LOG = LogSpan(file="inline.log", start=0)
PLAN = tuple((name, "clean") for name in STEPS)
STARTED = RunStarted(pipeline="p", kind="data", steps=PLAN, parameters={})  # type: ignore[arg-type]


def steps(state: RunState) -> dict[str, str]:
    return {name: step.status for name, step in state.steps.items()}


class RunOfThreeSteps(RuleBasedStateMachine):
    """Throws any event at a run: each is taken, by the table, or refused without a trace."""

    def __init__(self) -> None:
        super().__init__()
        self.state = RunState()
        self.taken: list[Event] = []

    @initialize(is_started=st.booleans())
    def start(self, is_started: bool) -> None:
        """Most runs are started, so that more than refusals is seen."""
        if is_started:
            self.happens(STARTED)

    @rule(event=events)
    def happens(self, event: Event) -> None:
        """Apply an event and compare with the table of transitions."""
        before = copy.deepcopy(self.state)
        try:
            self.state.apply(event)
        except IllegalTransition:
            assert self.state == before, "a refused event left a trace"
            return
        self.taken.append(event)
        if not isinstance(event, RunResumed | RunStarted):
            for name, status in steps(before).items():
                after = self.state.steps[name].status
                assert after == status or after in STEP_TRANSITIONS[status]  # type: ignore[index]
        if self.state.status != before.status:
            assert self.state.status in RUN_TRANSITIONS[before.status]

    @invariant()
    def it_is_the_fold_of_its_events(self) -> None:
        """Reading the events again gives the live state."""
        assert RunState.fold(self.taken) == self.state

    @invariant()
    def what_has_ended_has_no_open_steps(self) -> None:
        """A run is finished only when all of its steps are."""
        if self.state.status in ("succeeded", "failed", "rejected", "cancelled"):
            assert self.state.count(*ENDED) == len(self.state.steps)

    @invariant()
    def positions_are_the_plan(self) -> None:
        """Steps stand in the order in which they can run."""
        assert [step.position for step in self.state.steps.values()] == list(range(len(self.state.steps)))


TestRunOfThreeSteps = RunOfThreeSteps.TestCase
TestRunOfThreeSteps.settings = settings(max_examples=60, stateful_step_count=25)


def test_every_state_can_end() -> None:
    """From each state of a step and of a run, an end can be reached: nothing hangs for ever."""

    def reach(table: Any, start: str) -> set[str]:
        found, rest = {start}, [start]
        while rest:
            new = table[rest.pop()] - found
            found |= new
            rest += new
        return found

    assert all(reach(STEP_TRANSITIONS, status) & ENDED for status in STEP_TRANSITIONS)
    assert all("succeeded" in reach(RUN_TRANSITIONS, status) for status in RUN_TRANSITIONS)
    assert {status for status, after in STEP_TRANSITIONS.items() if not after - {"pending"}} == ENDED
    assert DONE < ENDED


@given(st.lists(events, max_size=30))
def test_any_run_can_be_ended(happened: list[Event]) -> None:
    """Whatever happened in a run, cancelling what is open ends it; then it can be resumed and ended again."""
    state = RunState.fold([STARTED])
    for event in happened:
        try:
            state.apply(event)
        except IllegalTransition:
            continue
    if state.status == "interrupted":
        state.apply(RunResumed(pid=1, steps=PLAN))  # type: ignore[arg-type]
    if state.status == "running":
        for step in [step for step in state.steps.values() if step.status not in ENDED]:
            state.apply(StepCancelled(step=step.name))
        state.apply(RunFinished(outcome="cancelled"))
    if state.status != "succeeded":
        state.apply(RunResumed(pid=2, steps=PLAN))  # type: ignore[arg-type]
        assert set(steps(state).values()) == {"pending"}
        assert state.published == []


def test_the_usual_run() -> None:
    """Hit, success after a retry, and a block behind a failure: each step is where its last event put it."""
    state = RunState.fold(
        [
            STARTED,
            StepHit(step="a", key="k", outputs=(), reason="same"),
            StepStarted(step="b", attempt=1, pid=1, log=LOG),
            StepFailed(step="b", attempt=1, failure=FAILURE, duration_s=0.5, retry_in_s=0.0),
            StepStarted(step="b", attempt=2, pid=1, log=LOG),
            StepFailed(step="b", attempt=2, failure=FAILURE, duration_s=0.25),
            StepBlocked(step="c", by="b"),
            RunFinished(outcome="failed", message="step b failed"),
        ]
    )
    assert (state.status, state.message, state.pipeline) == ("failed", "step b failed", "p")
    assert steps(state) == {"a": "hit", "b": "failed", "c": "blocked"}
    assert [step.detail for step in state.steps.values()] == ["same", "", "b did not succeed"]
    assert (state.steps["b"].attempt, state.steps["b"].failure, state.steps["b"].duration_s) == (2, FAILURE, 0.25)
    assert (state.count("hit"), state.count("hit", "failed"), state.count(*ENDED)) == (1, 2, 3)


def test_a_verdict_that_blocks_is_a_rejection() -> None:
    """A result that blocks rejects its step, computed or from the cache."""
    for event in (
        StepHit(step="a", key="k", outputs=(), reason="same", blocked="3 checks failed"),
        StepSucceeded(step="a", outputs=(), duration_s=0.0, blocked="3 checks failed"),
    ):
        state = RunState.fold(
            [STARTED, StepStarted(step="a", attempt=1, pid=1, log=LOG)][: 2 - isinstance(event, StepHit)]
        )
        state.apply(event)
        assert (state.steps["a"].status, state.steps["a"].detail) == ("rejected", "3 checks failed")


@pytest.mark.parametrize(
    ("history", "event", "words"),
    [
        ([], StepCancelled(step="a"), "StepCancelled in a run that is new"),
        ([], RunResumed(pid=1, steps=()), "a run that is new cannot become running"),
        ([STARTED], STARTED, "a run that is running cannot become running"),
        ([STARTED], StepCancelled(step="x"), "the run has no step 'x'"),
        ([STARTED], RunFinished(outcome="succeeded"), "cannot finish while a is pending"),
        (
            [STARTED],
            StepFailed(step="a", attempt=1, failure=FAILURE, duration_s=0, retry_in_s=1.0),
            "step 'a' is pending and cannot become retrying",
        ),
        ([STARTED, StepCancelled(step="a")], StepStarted(step="a", attempt=1, pid=1, log=LOG), "'a' is cancelled and"),
        ([STARTED, RunInterrupted(reason="")], Published(product="d@1", is_new=True), "in a run that is interrupted"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_illegal_events_say_why(history: list[Event], event: Event, words: str) -> None:
    """An event that cannot follow is refused with what is and what cannot become."""
    state = RunState.fold(history)
    with pytest.raises(IllegalTransition, match=words):
        state.apply(event)
    assert state == RunState.fold(history)
