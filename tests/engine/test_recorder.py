"""The one write path of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filiera.core.events import Event, RunFinished, RunInterrupted, RunStarted, StepCancelled, StepStarted
from filiera.core.runstate import IllegalTransition, RunState
from filiera.core.task import LogSpan
from filiera.engine import journal as journal_module
from filiera.engine.journal import Journal
from filiera.engine.recorder import Recorder
from filiera.errors import StoreBusy
from tests.core.run_events import STEPS, events
from tests.engine.runs import Workshop

STARTED = RunStarted(pipeline="p", kind="data", steps=tuple((name, "clean") for name in STEPS), parameters={})  # type: ignore[arg-type]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def begun(workshop: Workshop) -> Recorder:
    texts = dict.fromkeys(("parameters", "driver", "record"), "{}")
    row = {"kind": "data", "started_at": 1.0, "project": "p", "profile": "local", "steps_total": 3, "pipeline": "p"}
    run_id = workshop.records.write([("create_run", {**row, **texts})])[0][0]["run_id"]
    workshop.records.transactions.clear()
    recorder = Recorder(journal=Journal(records=workshop.records), run_id=run_id, clock=lambda: 5.0)
    recorder.record(STARTED)
    return recorder


def test_events_share_a_transaction(workshop: Workshop) -> None:
    """What is recorded waits for its flush; then events and projections are written together."""
    recorder = begun(workshop)
    for step in STEPS:
        recorder.record(StepCancelled(step=step))
    assert workshop.records.transactions == []
    assert workshop.events(recorder.run_id) == []
    recorder.record(RunFinished(outcome="cancelled"))
    recorder.flush(durable=True)
    assert workshop.records.transactions == [(5 + 3 + 1, True)]
    workshop.check_projections(recorder.run_id)


def test_nothing_to_write_is_not_written(workshop: Workshop) -> None:
    """An empty queue costs no transaction, except where durability is asked for what was written before."""
    recorder = begun(workshop)
    recorder.flush()
    recorder.flush()
    assert len(workshop.records.transactions) == 1
    assert recorder.journal.due_in_s is None
    recorder.flush(durable=True)
    assert workshop.records.transactions[1:] == [(0, True)]


def test_the_queue_waits_a_moment_at_most(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are due 20 ms after the first of them, however far the clock of the day jumps, at once when many."""
    seconds = iter([100.0, 100.005, 100.5])
    monkeypatch.setattr(journal_module, "monotonic", lambda: next(seconds))
    recorder = begun(workshop)
    recorder.clock = lambda: -1e9
    assert recorder.journal.due_in_s == pytest.approx(0.015)
    assert recorder.journal.due_in_s == 0.0
    monkeypatch.setattr(journal_module, "FLUSH_AT", 1)
    assert recorder.journal.due_in_s == 0.0


def test_an_illegal_event_leaves_no_trace(workshop: Workshop) -> None:
    """What cannot follow is neither applied nor written."""
    recorder = begun(workshop)
    with pytest.raises(IllegalTransition):
        recorder.record(RunFinished(outcome="succeeded"))
    recorder.record(RunInterrupted(reason="x"))
    recorder.flush()
    assert workshop.events(recorder.run_id) == [STARTED, RunInterrupted(reason="x")]


def test_what_could_not_be_written_is_written_later(workshop: Workshop) -> None:
    """A transaction that failed is lost neither for the run nor done twice: the next flush has all of it."""
    recorder = begun(workshop)
    recorder.record(StepStarted(step="a", attempt=1, pid=1, log=LogSpan(file="f", start=0)))
    workshop.records.refuse = StoreBusy("busy")
    for _ in range(2):
        with pytest.raises(StoreBusy):
            recorder.flush()
    workshop.records.refuse = None
    for step in STEPS:
        recorder.record(StepCancelled(step=step))
    recorder.record(RunFinished(outcome="cancelled"))
    recorder.flush()
    assert workshop.records.transactions == [(6 + 3 + 1, False)]
    workshop.check_projections(recorder.run_id)


def test_a_heart_beats(workshop: Workshop) -> None:
    """Saying that the driver lives changes the time it was last heard of, and nothing else."""
    recorder = begun(workshop)
    recorder.flush()
    before = workshop.records.read("get_run", {"run_id": recorder.run_id})[0]
    recorder.clock = lambda: 7.5
    recorder.beat()
    recorder.flush()
    after = workshop.records.read("get_run", {"run_id": recorder.run_id})[0]
    assert {name for name in before if before[name] != after[name]} == {"heartbeat_at"}
    assert after["heartbeat_at"] == 7.5


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happened=st.lists(events, max_size=12), flushes=st.sets(st.integers(0, 12)))
def test_records_are_the_fold_of_the_events(workshop: Workshop, happened: list[Event], flushes: set[int]) -> None:
    """Whatever happens in a run and whenever it is flushed, what was read back is the live state, rows and all."""
    recorder = begun(workshop)
    heard = []
    recorder.listener = lambda event, state: heard.append(event)
    for number, event in enumerate(happened):
        if event.__class__.__name__ == "RunResumed":
            continue  # it makes steps pending again, whose rows stay until they begin
        try:
            recorder.record(event)
        except IllegalTransition:
            continue
        if number in flushes:
            recorder.flush()
    recorder.flush()
    assert workshop.events(recorder.run_id) == heard
    state = RunState.fold(workshop.events(recorder.run_id))
    assert state == recorder.state
    rows = workshop.rows(recorder.run_id)
    assert {step.name: step.status for step in state.steps.values() if step.status != "pending"} == {
        name: row["state"] for name, row in rows.items()
    }
    run = workshop.records.read("get_run", {"run_id": recorder.run_id})[0]
    assert (run["state"], run["failure"]) == (state.status, state.message)
