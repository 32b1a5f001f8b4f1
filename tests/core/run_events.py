"""Strategies that make events of runs."""

from __future__ import annotations

from hypothesis import strategies as st

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
    StepExtended,
    StepFailed,
    StepHit,
    StepLost,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
)
from filiera.core.stages import Stage
from filiera.core.task import Failure, LogSpan

STEPS = ("a", "b", "c")

texts = st.text(max_size=6)
refs = st.builds(
    ArtifactRef,
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    codec=st.just("json/1"),
    size_bytes=st.integers(0, 9),
    inline=st.one_of(st.none(), st.binary(max_size=3)),
)
outputs = st.lists(refs, max_size=2).map(tuple)
logs = st.builds(LogSpan, file=texts, start=st.integers(0, 9), end=st.integers(-1, 9))
failures = st.builds(
    Failure,
    kind=st.sampled_from(["raised", "crashed"]),
    error=texts,
    message=texts,
    traceback=texts,
    bases=st.just(("builtins:OSError",)),
)
names = st.sampled_from(STEPS)
plans = st.permutations([(name, "clean") for name in STEPS]).map(tuple)
durations = st.floats(0, 9)
verdicts = st.one_of(st.just(""), texts)


def _children(made: list[str]) -> tuple[tuple[str, Stage], ...]:
    return tuple((f"{name}[0]", "clean") for name in made)


run_events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        RunStarted,
        pipeline=texts,
        kind=st.just("data"),
        steps=plans,
        parameters=st.dictionaries(texts, texts, max_size=2),
    ),
    st.builds(RunInterrupted, reason=texts),
    st.builds(RunResumed, pid=st.integers(1, 9), steps=plans),
    st.builds(
        RunFinished, outcome=st.sampled_from(["succeeded", "failed", "rejected", "cancelled", "waiting"]), message=texts
    ),
    st.builds(Published, product=texts, is_new=st.booleans()),
)
step_events: st.SearchStrategy[Event] = st.one_of(
    st.builds(StepHit, step=names, key=texts, outputs=outputs, reason=texts, blocked=verdicts),
    st.builds(StepStarted, step=names, attempt=st.integers(1, 3), pid=st.integers(1, 9), log=logs),
    st.builds(StepSucceeded, step=names, outputs=outputs, duration_s=durations, log=st.none() | logs, blocked=verdicts),
    st.builds(
        StepFailed,
        step=names,
        attempt=st.integers(1, 3),
        failure=failures,
        duration_s=durations,
        retry_in_s=st.none() | durations,
        log=st.none() | logs,
    ),
    st.builds(
        StepCaught,
        step=names,
        attempt=st.integers(1, 3),
        failure=failures,
        outputs=outputs,
        duration_s=durations,
        log=st.none() | logs,
    ),
    st.builds(StepExtended, step=names, steps=st.lists(names, unique=True, max_size=3).map(_children)),
    st.builds(StepLost, step=names, reason=texts),
    st.builds(StepSkipped, step=names, reason=texts),
    st.builds(StepWaiting, step=names, question=texts, subject=texts),
    st.builds(StepBlocked, step=names, by=names),
    st.builds(StepCancelled, step=names),
)
events = st.one_of(step_events, run_events)
