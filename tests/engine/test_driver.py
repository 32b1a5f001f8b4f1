"""Driving a graph to its end, with real records, blobs and executors."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filiera.core.events import StepFailed, StepStarted, StepSucceeded
from filiera.core.graph import Graph, Node, OutputRef
from filiera.core.runstate import ENDED, RunState
from filiera.engine import driver as driver_module
from filiera.engine import recorder as recorder_module
from filiera.engine.history import EarlierResult
from filiera.errors import StoreFull
from filiera.ports import Executor
from tests.engine import steps_to_run as pipelines
from tests.engine.runs import Workshop, statuses
from tests.engine.steps_to_run import CALLS, MOOD


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    MOOD.clear()
    return Workshop(tmp_path)


def test_a_run_computes_what_plain_calls_would(workshop: Workshop) -> None:
    """Values flow from step to step as in plain Python; the records are what the events say."""
    state = workshop.run(pipelines.chain, {"x": 2})
    assert state.status == "succeeded"
    assert CALLS == ["first", "parity", "last"]
    assert workshop.value(state, "last") == pipelines.chain(2)
    workshop.check_projections("chain-1")
    assert RunState.fold(workshop.events("chain-1")) == state


def test_outputs_are_taken_apart(workshop: Workshop) -> None:
    """A step may have several outputs, or none; values in containers reach the step where they lie."""
    state = workshop.run(pipelines.split, {"x": 3})
    assert [workshop.value(state, name) for name in ("add", "add-2")] == [0, 0]
    assert [len(step.outputs) for step in state.steps.values()] == [1, 2, 0, 1, 1]
    assert workshop.value(workshop.run(pipelines.containers), "many") == 3


def test_an_unchanged_run_computes_nothing(workshop: Workshop) -> None:
    """The second run is all hits, with the same values and a reason for each."""
    before = workshop.run(pipelines.chain)
    state = workshop.run(pipelines.chain)
    assert CALLS == []
    assert set(statuses(state).values()) == {"hit"}
    assert [step.outputs for step in state.steps.values()] == [step.outputs for step in before.steps.values()]
    assert set(workshop.reasons("chain-2").values()) == {"same code, parameters and inputs as in chain-1"}
    workshop.check_projections("chain-2")


def test_an_equal_result_cuts_off(workshop: Workshop) -> None:
    """A step that runs again and returns what it returned before leaves all behind it hits."""
    workshop.run(pipelines.chain, {"x": 1})
    state = workshop.run(pipelines.chain, {"x": 3})
    assert CALLS == ["first", "parity"]
    assert statuses(state) == {"first": "succeeded", "parity": "succeeded", "last": "hit"}
    assert workshop.reasons("chain-2") == {
        "first": "parameter x changed from 1 to 3",
        "parity": "input from first changed",
        "last": "same code, parameters and inputs as in chain-1",
    }
    workshop.check_projections("chain-2")


def test_a_flaky_step_is_tried_again(workshop: Workshop) -> None:
    """A failed attempt is followed by another, as often as the step allows; then its result is as good as any."""
    MOOD["failures"] = 2
    state = workshop.run(pipelines.retried)
    assert CALLS == ["flaky"] * 3 + ["last"]
    assert (state.status, state.steps["flaky"].attempt) == ("succeeded", 3)
    failed = [event for event in workshop.events("retried-1") if isinstance(event, StepFailed)]
    assert [(event.attempt, event.retry_in_s) for event in failed] == [(1, 0.0), (2, 0.0)]
    workshop.check_projections("retried-1")


def test_retries_have_an_end(workshop: Workshop) -> None:
    """After its last attempt a step has failed, and says why."""
    MOOD["failures"] = 99
    state = workshop.run(pipelines.retried)
    assert CALLS == ["flaky"] * 3
    assert statuses(state) == {"flaky": "failed", "last": "blocked"}
    assert (state.status, state.message) == ("failed", "step flaky failed: ValueError: not yet: 1")
    workshop.check_projections("retried-1")


def test_waits_between_attempts_double(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is twice the last, at most a minute; setting the clock of the day back delays nothing."""
    now = [0.0]
    monkeypatch.setattr(driver_module, "monotonic", lambda: now[0])
    MOOD["failures"] = 99

    def waits(executor: Executor, timeout_s: float | None) -> Sequence[Any]:
        now[0] += 30.0
        return former(timeout_s)

    driver = workshop.driver(pipelines.retried)
    options = pipelines.flaky.options
    slow = type(options)(retries=8, retry_delay_s=1.0)
    former = driver.executor.wait
    monkeypatch.setattr(type(driver.executor), "wait", lambda self, timeout_s: waits(self, 0))
    monkeypatch.setattr(pipelines.flaky, "options", slow)
    clock = iter(range(10_000, 0, -1))
    driver.recorder.clock = lambda: float(next(clock))
    workshop.finish(driver)
    failed = [event for event in workshop.events("retried-1") if isinstance(event, StepFailed)]
    assert [event.retry_in_s for event in failed] == [1, 2, 4, 8, 16, 32, 60, 60, None]


def test_what_cannot_be_stored_is_not_tried_again(workshop: Workshop) -> None:
    """A value that no codec takes will not become storable: one attempt is all."""
    state = workshop.run(pipelines.stores_nothing)
    assert CALLS == ["unstorable"]
    failure = state.steps["unstorable"].failure
    assert failure is not None
    assert failure.kind == "codec"


def test_a_failure_blocks_only_what_needs_it(workshop: Workshop) -> None:
    """Independent work is finished; what depends on the failure, however far, is blocked and says by what."""
    state = workshop.run(pipelines.forked)
    assert statuses(state) == {
        "first": "succeeded",
        "broken": "failed",
        "parity": "blocked",
        "last": "blocked",
        "first-2": "succeeded",
        "parity-2": "succeeded",
        "last-2": "succeeded",
    }
    assert workshop.reasons("forked-1")["parity"] == "broken did not succeed"
    assert workshop.reasons("forked-1")["last"] == "parity did not succeed"
    assert state.message == "step broken failed: ValueError: broken:"
    workshop.check_projections("forked-1")


def test_a_verdict_stops_what_depends_on_it(workshop: Workshop) -> None:
    """A verdict that blocks rejects the run, from the cache too; other branches are finished."""
    for calls in (["first", "check", "parity"], []):
        state = workshop.run(pipelines.checked, {"x": 20})
        assert calls == CALLS
        assert (state.status, state.message) == ("rejected", "check: 3 checks failed")
        found = statuses(state)
        assert (found["check"], found["publish"], found["last"]) == ("rejected", "blocked", "blocked")
        assert found["parity"] in ("succeeded", "hit")
    workshop.check_projections("checked-1")
    workshop.check_projections("checked-2")
    assert workshop.reasons("checked-2")["check"] == "3 checks failed"
    assert workshop.run(pipelines.checked, {"x": 5}).status == "succeeded"


def test_a_verdict_may_say_anything(workshop: Workshop) -> None:
    """Words that are no proper text do not harm the records."""
    for _ in range(2):
        assert workshop.run(pipelines.oddly_checked).message == r"check_oddly: a lone \udcff"
    workshop.check_projections("oddly_checked-2")


def test_uncached_steps_run_every_time(workshop: Workshop) -> None:
    """A step with cache=False runs in every run; when its value stays the same, what is behind it does not."""
    workshop.run(pipelines.uncached)
    workshop.run(pipelines.uncached)
    assert CALLS == ["now"]
    MOOD["now"] = 77
    workshop.run(pipelines.uncached)
    assert CALLS == ["now", "last"]


def test_fresh_steps_run_although_cached(workshop: Workshop) -> None:
    """A step that is asked for runs, and only it when its value is the same."""
    workshop.run(pipelines.chain)
    state = workshop.run(pipelines.chain, fresh=["parity"])
    assert CALLS == ["parity"]
    assert statuses(state) == {"first": "hit", "parity": "succeeded", "last": "hit"}


def test_lost_bytes_are_made_again(workshop: Workshop) -> None:
    """A result that is gone from the store is made again, to the same digest; nothing behind it runs."""
    before = workshop.run(pipelines.with_blob)
    workshop.blobs.delete(before.steps["big"].outputs[0].digest)
    state = workshop.run(pipelines.with_blob)
    assert CALLS == ["big"]
    assert statuses(state) == {"big": "succeeded", "size": "hit"}
    assert state.steps["big"].outputs == before.steps["big"].outputs
    assert workshop.reasons("with_blob-2")["big"] == "its stored result is gone"


def test_earlier_results_of_the_run_are_taken(workshop: Workshop) -> None:
    """What the resumed run had finished is a hit, uncached steps too, while its key is the same and its bytes there."""
    state = workshop.run(pipelines.uncached)
    rows = workshop.rows("uncached-1")

    def resumed(change: dict[str, str], **options: Any) -> list[str]:
        CALLS.clear()
        driver = workshop.driver(pipelines.uncached, **options)
        driver.course.earlier = {
            name: EarlierResult(change.get(name, row["key"]), state.steps[name].outputs) for name, row in rows.items()
        }
        workshop.finish(driver)
        return list(CALLS)

    assert resumed({}) == []
    assert workshop.reasons("uncached-2")["now"] == "finished before the run was resumed"
    assert resumed({"now": "another key"}) == ["now"]
    assert resumed({}, fresh=["now"]) == ["now"]


def test_many_steps_share_few_transactions(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that end within a moment are committed together, and the end of the run durably."""
    monkeypatch.setattr(driver_module, "HEARTBEAT_S", 1e9)
    workshop.run(pipelines.fan)
    assert len(CALLS) == 301
    ran = workshop.records.transactions
    assert len(ran) < 100
    assert [durable for _, durable in ran].count(True) == 1
    assert ran[-1][1]
    workshop.records.transactions.clear()
    workshop.run(pipelines.fan)
    assert len(workshop.records.transactions) <= 4
    workshop.check_projections("fan-2")


def test_the_heart_beats_while_steps_run(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver says regularly that it lives, and commits what it has by then."""
    monkeypatch.setattr(driver_module, "HEARTBEAT_S", 0.0)
    beats = []
    monkeypatch.setattr(recorder_module.Recorder, "beat", lambda self: beats.append(self.clock()))
    workshop.run(pipelines.chain)
    assert len(beats) >= 3


@pytest.mark.usefixtures("told_at_once")
def test_a_run_that_is_stopped_ends(workshop: Workshop) -> None:
    """When it is asked to stop, what has finished stays, the rest is cancelled, and the next run goes on from there."""
    driver = workshop.driver(pipelines.chain)

    def stop(event: Any, state: RunState) -> None:
        driver.stop_asked = isinstance(event, StepSucceeded) and event.step == "first"

    driver.recorder.listener = stop
    CALLS.clear()
    state = workshop.finish(driver)
    assert (state.status, state.message) == ("cancelled", "stopped by the user")
    assert statuses(state) == {"first": "succeeded", "parity": "cancelled", "last": "cancelled"}
    workshop.check_projections("chain-1")
    workshop.run(pipelines.chain)
    assert CALLS == ["parity", "last"]


@pytest.mark.parametrize("moment", [StepStarted, StepSucceeded])
@pytest.mark.usefixtures("told_at_once")
def test_a_step_that_was_told_to_start_is_cancelled(workshop: Workshop, moment: type) -> None:
    """Stopping right when a step has begun in a process, or has not said so yet, cancels it and ends the run."""
    driver = workshop.driver(pipelines.accidents, executor=workshop.processes())

    def stop(event: Any, state: RunState) -> None:
        driver.stop_asked = driver.stop_asked or isinstance(event, moment)

    driver.recorder.listener = stop
    state = workshop.finish(driver)
    assert state.status in ("cancelled", "failed")
    assert state.steps["hang"].status in ("cancelled", "failed")
    workshop.check_projections("accidents-1")


def test_ctrl_c_in_a_step_of_this_process_cancels_the_run(workshop: Workshop) -> None:
    """KeyboardInterrupt out of a step that runs inline ends the step as cancelled, and the run with all its records."""
    state = workshop.run(pipelines.stopped)
    assert CALLS == ["first", "parity", "interrupted"]
    assert state.status == "cancelled"
    assert statuses(state) == {
        "first": "succeeded",
        "interrupted": "cancelled",
        "last": "cancelled",
        "parity": "succeeded",
    }
    workshop.check_projections("stopped-1")
    workshop.run(pipelines.stopped)
    assert CALLS == ["interrupted"]


def test_an_interrupted_executor_cannot_hang_the_driver(workshop: Workshop) -> None:
    """When Ctrl-C swallowed the news of a task, cancelling does not wait for it for ever."""

    class Swallows:
        slots = 1
        follows = False

        def __init__(self) -> None:
            self.has_told = False

        def submit(self, task: Any) -> None: ...
        def cancel(self, task_ids: Any) -> None: ...
        def close(self) -> None: ...

        def wait(self, timeout_s: float | None) -> Sequence[Any]:
            if not self.has_told:
                self.has_told = True
                raise KeyboardInterrupt
            return ()

    state = workshop.run(pipelines.chain, executor=Swallows())
    assert set(statuses(state).values()) == {"cancelled"}


def test_a_full_disk_stops_the_run_between_events(workshop: Workshop) -> None:
    """When the records cannot be written, the error comes out; what was written before is consistent."""
    driver = workshop.driver(pipelines.chain)
    driver.recorder.flush()
    workshop.records.refuse = StoreFull("No space.")
    with pytest.raises(StoreFull):
        workshop.finish(driver)
    workshop.records.refuse = None
    assert RunState.fold(workshop.events("chain-1")).status == "running"


def test_accidents_are_failures_of_their_step(workshop: Workshop) -> None:
    """A step that hangs is killed in time, one that dies is tried again, and neither harms another one."""
    state = workshop.run(pipelines.accidents, executor=workshop.processes())
    found = statuses(state)
    assert (found["hang"], found["last"], found["killed"], found["last-2"]) == (
        "failed",
        "blocked",
        "failed",
        "blocked",
    )
    assert (found["wide"], found["last-3"]) == ("succeeded", "succeeded")
    failures = {name: step.failure for name, step in state.steps.items() if step.failure}
    assert {name: (failure.kind, failure.error) for name, failure in failures.items()} == {
        "hang": ("timeout", "TimeoutError"),
        "killed": ("crashed", "SIGKILL"),
    }
    assert state.steps["killed"].attempt == 2
    workshop.check_projections("accidents-1")


def test_processes_compute_what_this_process_does(workshop: Workshop, tmp_path: Path) -> None:
    """The executor makes no difference to digests, and the listener hears every event in order."""
    outputs = []
    for name, executor in (("inline", "inline"), ("processes", "processes")):
        other = Workshop(tmp_path / name)
        state = other.run(pipelines.split, executor=getattr(other, executor)())
        assert state.status == "succeeded"
        assert other.heard == other.events("split-1")
        outputs.append([step.outputs for step in state.steps.values()])
    assert outputs[0] == outputs[1]


MANNERS = ("ok", "ok", "ok", "flaky", "fail", "reject", "anew")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Return a random graph of steps that behave in any manner."""
    nodes = []
    for i in range(draw(st.integers(1, 9))):
        upstream = draw(st.sets(st.integers(0, i - 1), max_size=3)) if i else set()
        manner = draw(st.sampled_from(MANNERS))
        step = pipelines.behave_anew if manner == "anew" else pipelines.behave
        arguments = {"name": f"n{i}", "manner": manner, "inputs": [OutputRef(f"n{up}", 0) for up in sorted(upstream)]}
        nodes.append(Node(name=f"n{i}", step=step, stage="clean", arguments=arguments))
    return Graph(pipeline="random", kind="data", nodes=tuple(draw(st.permutations(nodes))))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=graphs(), stop_at=st.integers(0, 20))
@pytest.mark.usefixtures("told_at_once")
def test_any_graph_is_driven_to_its_end(tmp_path: Path, graph: Graph, stop_at: int) -> None:
    """Whatever steps do and however they hang together: each runs as often as it should, and all of them end.

    A step is blocked exactly when something it waits for did not succeed. A run that is stopped at any event, and then
    one that resumes it, end too; together they run no finished step twice, and come to what one run comes to.
    """
    manners = {node.name: node.arguments["manner"] for node in graph.nodes}
    ends = {"ok": "succeeded", "anew": "succeeded", "flaky": "succeeded", "fail": "failed", "reject": "rejected"}
    expected: dict[str, str] = {}
    for node in graph.nodes:
        is_free = all(expected[up] == "succeeded" for up in node.upstream)
        expected[node.name] = ends[manners[node.name]] if is_free else "blocked"
    tries = {"fail": 2, "flaky": 2}
    calls = {name: tries.get(manners[name], 1) for name, status in expected.items() if status != "blocked"}

    whole = Workshop(Path(tempfile.mkdtemp(dir=tmp_path)))
    state = whole.run(graph)
    assert statuses(state) == expected
    assert Counter(CALLS) == calls
    whole.check_projections("random-1")
    state = whole.run(graph)
    hit = {
        name: "hit" if status == "succeeded" and manners[name] != "anew" else status
        for name, status in expected.items()
    }
    assert statuses(state) == hit
    again = [name for name in calls if manners[name] in ("anew", "fail")]
    assert Counter(CALLS) == {name: calls[name] for name in again}

    halves = Workshop(Path(tempfile.mkdtemp(dir=tmp_path)))
    driver = halves.driver(graph)
    heard = itertools.count()

    def stop(event: Any, live: RunState) -> None:
        driver.stop_asked = driver.stop_asked or next(heard) > stop_at

    driver.recorder.listener = stop
    CALLS.clear()
    first = halves.finish(driver)
    halves.check_projections("random-1")
    assert first.count(*ENDED) == len(expected)
    finished = {name for name, status in statuses(first).items() if status == "succeeded"}
    rows = halves.rows("random-1")
    before = Counter(CALLS)
    driver = halves.driver(graph)
    driver.course.earlier = {name: EarlierResult(rows[name]["key"], first.steps[name].outputs) for name in finished}
    CALLS.clear()
    CALLS.extend(name for name in before.elements() if manners[name] == "flaky" and name not in finished)
    known = Counter(CALLS)
    second = halves.finish(driver)
    done = {name: "succeeded" if status == "hit" else status for name, status in statuses(second).items()}
    assert done == expected
    assert not finished.intersection(Counter(CALLS) - known)
