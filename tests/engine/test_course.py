"""Graphs of every shape, run to their ends: what runs, what is skipped, what comes out."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from filiera.core.runstate import RunState
from tests.engine import shapes_to_run as shapes
from tests.engine import steps_to_run as pipelines
from tests.engine.runs import Workshop, statuses
from tests.engine.steps_to_run import CALLS, MOOD


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    MOOD.clear()
    return Workshop(tmp_path)


def own(state: RunState) -> dict[str, str]:
    """Return the status of each step that the graph had before the run."""
    return {name: step.status for name, step in state.steps.items() if not step.parent}


def test_a_map_calls_its_step_once_per_item(workshop: Workshop) -> None:
    """Each item is a step run of its own; what follows gets the list of results in order."""
    state = workshop.run(shapes.mapped)
    assert sorted(CALLS) == ["double 0", "double 1", "double 2", "numbers", "total"]
    assert workshop.value(state, "double") == [0, 2, 4]
    assert workshop.value(state, "total") == shapes.mapped(3)
    assert [name for name in state.steps if state.steps[name].parent] == ["double[0]", "double[1]", "double[2]"]
    workshop.check_projections("mapped-1")


def test_a_longer_list_calls_only_what_is_new(workshop: Workshop) -> None:
    """The calls of a map are cached one by one; an unchanged map is a hit as a whole."""
    workshop.run(shapes.mapped, {"count": 3})
    workshop.run(shapes.mapped, {"count": 5})
    assert sorted(CALLS) == ["double 3", "double 4", "numbers", "total"]
    state = workshop.run(shapes.mapped, {"count": 5})
    assert CALLS == []
    assert set(statuses(state).values()) == {"hit"}


@pytest.mark.parametrize(
    "pipeline", ["mapped", "mapped_twice", "of_a_list", "crossed", "planned", "planned_deeply", "planned_maps"]
)
def test_shapes_compute_what_plain_calls_would(workshop: Workshop, pipeline: str) -> None:
    """A graph that grows while it runs gives what the plain function gives, and nothing runs twice."""
    wanted = getattr(shapes, pipeline)
    state = workshop.run(wanted)
    assert state.status == "succeeded", state.message
    last = [name for name, step in state.steps.items() if not step.parent][-1]
    assert workshop.value(state, last) == wanted()
    workshop.check_projections(f"{pipeline}-1")
    state = workshop.run(wanted)
    assert [name for name in CALLS if name != "plan"] == []
    assert workshop.value(state, last) == wanted()


def test_an_empty_map_is_an_empty_list(workshop: Workshop) -> None:
    """No item, no call, and the run goes on."""
    state = workshop.run(shapes.mapped, {"count": 0})
    assert own(state) == {"numbers": "succeeded", "double": "succeeded", "total": "succeeded"}
    assert workshop.value(state, "total") == 0


def test_lists_of_different_lengths_fail_the_map(workshop: Workshop) -> None:
    """Lists that are taken item by item must be equally long: the failure says which is not."""
    state = workshop.run(shapes.uneven)
    failure = state.steps["multiply"].failure
    assert failure is not None
    assert "x has 2, y has 3" in failure.message
    assert own(state)["total"] == "blocked"


def test_a_map_fails_with_its_calls(workshop: Workshop) -> None:
    """Without a share that suffices every call must succeed; the others run all the same."""
    MOOD["bad"] = {1}
    state = workshop.run(shapes.mapped)
    assert own(state) == {"numbers": "succeeded", "double": "failed", "total": "blocked"}
    assert [state.steps[f"double[{i}]"].status for i in range(3)] == ["succeeded", "failed", "succeeded"]
    assert state.message == "step double failed: StepFailed: 1 of its 3 steps did not succeed: double[1]"
    MOOD.clear()
    assert workshop.run(shapes.mapped).status == "succeeded"
    assert sorted(CALLS) == ["double 1", "total"]


@pytest.mark.parametrize(("share", "outcome"), [(0.5, "succeeded"), (0.75, "failed"), (0.0, "succeeded")])
def test_a_share_of_successes_suffices(workshop: Workshop, share: float, outcome: str) -> None:
    """A map succeeds with the share of calls it asks for; None stands for the others."""
    MOOD["bad"] = {0, 3}
    state = workshop.run(shapes.tolerant, {"share": share})
    assert state.status == outcome
    if outcome == "succeeded":
        assert workshop.value(state, "double") == [None, 2, 4, None]
        assert workshop.value(state, "total") == 6


def test_concurrency_holds_calls_back(workshop: Workshop) -> None:
    """A map with concurrency 1 calls in order, one after the other, in processes too."""
    state = workshop.run(shapes.slowly)
    assert [call for call in CALLS if call.startswith("double")] == [f"double {i}" for i in range(5)]
    assert workshop.value(state, "total") == 20


@pytest.mark.parametrize(("x", "taken", "skipped"), [(20, "halve", "double"), (3, "double", "halve")])
def test_one_branch_is_taken(workshop: Workshop, x: int, taken: str, skipped: str) -> None:
    """The steps of the branch that is not taken are skipped, and what follows gets the value of the other."""
    state = workshop.run(shapes.branched, {"x": x})
    found = own(state)
    assert (found[taken], found[skipped], found["double-2"]) == ("succeeded", "skipped", "succeeded")
    assert workshop.value(state, "double-2") == shapes.branched(x)
    assert f"{skipped} {x}" not in CALLS
    workshop.check_projections("branched-1")


def test_a_loop_ends_when_it_is_done(workshop: Workshop) -> None:
    """Rounds after the last one are skipped; the value is that of the last round."""
    state = workshop.run(shapes.shrunk)
    assert [call for call in CALLS if call.startswith("halve")] == ["halve 100", "halve 50", "halve 25", "halve 12"]
    assert workshop.value(state, "double") == 12
    assert state.status == "succeeded"


def test_a_failure_may_be_caught(workshop: Workshop) -> None:
    """The run goes on with the value the step has for that, and succeeds; what was caught is told and not cached."""
    for _ in range(2):
        state = workshop.run(shapes.catching)
        assert (state.status, own(state)["caught"]) == ("succeeded", "caught")
        assert workshop.value(state, "double") == -2
        assert "caught" in CALLS
    failure = state.steps["caught"].failure
    assert failure is not None
    assert failure.message == "never works"
    assert "never works" in workshop.rows("catching-1")["caught"]["failure"]


@pytest.mark.parametrize(
    ("pipeline", "second"), [("finishing", {"blocked", "succeeded"}), ("stopping", {"cancelled", "succeeded"})]
)
def test_a_pipeline_says_what_follows_a_failure(workshop: Workshop, pipeline: str, second: set[str]) -> None:
    """``finish`` begins nothing new, ``stop`` not even lets go on what runs; the run has failed either way."""
    MOOD["bad"] = {5}
    state = workshop.run(getattr(shapes, pipeline))
    assert state.status == "failed"
    assert state.message.startswith("step double failed")
    found = own(state)
    assert found["double"] == "failed"
    assert {found["halve-2"], found["halve"]} <= second
    assert "halve 200" not in CALLS
    workshop.check_projections(f"{pipeline}-1")


@pytest.mark.parametrize(("kind", "attempts"), [("key", 1), ("final", 1), ("lookup", 6)])
def test_some_failures_are_not_tried_again(workshop: Workshop, kind: str, attempts: int) -> None:
    """Neither NotRetryable nor what the step names is; a base class of what it names is."""
    workshop.run(shapes.fussy, {"kind": kind})
    assert ["picky"] * attempts == CALLS


def test_what_does_not_count_changes_nothing(workshop: Workshop) -> None:
    """Ignored parameters and what a key of one's own leaves out make no difference."""
    workshop.run(shapes.cached, {"x": 1, "verbose": False})
    state = workshop.run(shapes.cached, {"x": 1, "verbose": True})
    assert CALLS == []
    workshop.run(shapes.cached, {"x": 3})
    assert CALLS == ["quiet", "multiply 3 1"]
    assert own(state)["quiet"] == "hit"


def test_results_get_too_old(workshop: Workshop) -> None:
    """A result older than the step allows is made again, and the reason says how old it was."""
    now = [1000.0]
    workshop.clock = lambda: now[0]
    for seconds, calls in ((0.0, 1), (59.0, 0), (2.0, 1), (1.0, 0)):
        now[0] += seconds
        workshop.run(shapes.expiring)
        assert len(CALLS) == calls
    assert workshop.reasons("expiring-3")["short_lived"] == "the result of expiring-1 is 61 s old, it may be 60 s"


def answer(workshop: Workshop, state: RunState, *, is_approved: bool) -> None:
    rows = [event for event in workshop.events("asking-1") if type(event).__name__ == "StepWaiting"]
    row = {"pipeline": "asking", "step": "approve", "subject": rows[0].subject, "run_id": "asking-1"}
    row |= {"is_approved": int(is_approved), "by": "ann", "at": 1.0, "why": "looks odd"}
    workshop.records.write([("put_approval", row)])


def test_a_run_waits_for_an_answer(workshop: Workshop) -> None:
    """Until somebody answers, the run waits; the answer is for these bytes, and counts in later runs too."""
    state = workshop.run(shapes.asking)
    assert (state.status, state.message) == ("waiting", "approve waits for an answer: Is it good?")
    assert own(state) == {"double": "succeeded", "approve": "waiting", "halve": "pending"}
    answer(workshop, state, is_approved=True)
    for _ in range(2):
        state = workshop.run(shapes.asking)
        assert state.status == "succeeded"
        assert workshop.value(state, "halve") == 4
    assert workshop.run(shapes.asking, {"x": 5}).status == "waiting"


def test_a_refusal_rejects_the_run(workshop: Workshop) -> None:
    """Whoever says no is named with the reason, and what depends on it is blocked."""
    answer(workshop, workshop.run(shapes.asking), is_approved=False)
    state = workshop.run(shapes.asking)
    assert (state.status, state.message) == ("rejected", "approve: refused by ann: looks odd")
    assert own(state)["halve"] == "blocked"


@pytest.mark.parametrize("pipeline", ["streamed", "streamed_and_mapped"])
def test_parts_are_stored_as_they_come(workshop: Workshop, pipeline: str) -> None:
    """A step may yield; its parts can be read one by one, or mapped over."""
    state = workshop.run(getattr(shapes, pipeline))
    assert state.status == "succeeded", state.message
    last = [name for name, step in state.steps.items() if not step.parent][-1]
    assert workshop.value(state, last) == {"streamed": 3, "streamed_and_mapped": 6}[pipeline]


def test_equal_calls_compute_once(workshop: Workshop) -> None:
    """Of calls with one key in one run, the first computes and the others take its result."""
    state = workshop.run(shapes.twins)
    assert CALLS == ["double 7"]
    assert sorted(statuses(state).values()) == ["hit"] * 4 + ["succeeded"]


def test_equal_failures_are_each_their_own(workshop: Workshop) -> None:
    """When the call that computes fails, the next one tries."""
    MOOD["bad"] = {7}
    state = workshop.run(shapes.twins)
    assert CALLS == ["double 7"] * 5
    assert set(statuses(state).values()) == {"failed"}


def test_urgent_steps_begin_first(workshop: Workshop) -> None:
    """Of what could begin, a higher priority does."""
    workshop.run(shapes.hurried)
    assert CALLS == ["urgent 3", "double 1", "double 2"]


class Licences:
    """A limit of so many places, which counts how many were taken at once."""

    def __init__(self, places: int) -> None:
        self.free = places
        self.taken: list[str] = []

    def try_take(self, name: str) -> str | None:
        assert name == "licence"
        if not self.free:
            return None
        self.free -= 1
        self.taken.append(name)
        return name

    def release(self, token: str) -> None:
        self.free += 1


def test_limits_hold_steps_back(workshop: Workshop) -> None:
    """No more steps run at once than their limit has places, and all of them run in the end."""
    licences = Licences(1)
    driver = workshop.driver(shapes.limited, limits=licences)
    state = workshop.finish(driver)
    assert state.status == "succeeded"
    assert (len(licences.taken), licences.free) == (4, 1)


class Others:
    """Another process, which computes a key until it has been asked about it often enough."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.mine: set[str] = set()

    def try_take(self, key: str) -> bool:
        self.refusals -= 1
        if self.refusals >= 0:
            return False
        self.mine.add(key)
        return True

    def release(self, key: str) -> None:
        self.mine.discard(key)


def test_somebody_else_computes(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process computes a key this one waits; afterwards nothing is held."""
    monkeypatch.setattr("filiera.engine.admission.ASKED_AGAIN_AFTER_S", 0.0)
    others = Others(3)
    state = workshop.finish(workshop.driver(shapes.mapped, flights=others))
    assert state.status == "succeeded"
    assert others.refusals < 0
    assert others.mine == set()


def test_lost_bytes_are_made_again_in_the_same_run(workshop: Workshop) -> None:
    """When the input of a step cannot be read, the step that made it runs again, and then that one."""
    workshop.run(pipelines.with_blob)
    lost = workshop.rows("with_blob-1")["big"]["outputs"].split(" ")[0]
    file = next(path for path in (workshop.folder / "blobs").rglob("*") if path.name in lost and path.is_file())

    def heal(refs: Any) -> list[Any]:
        workshop.blobs.delete(lost)
        return list(refs)

    file.chmod(0o600)
    file.write_bytes(b"damaged")
    state = workshop.finish(workshop.driver(pipelines.with_blob, fresh=["size"], heal=heal))
    assert (state.status, own(state)) == ("succeeded", {"big": "succeeded", "size": "succeeded"})
    assert workshop.value(state, "size") == 10_000
    assert RunState.fold(workshop.events("with_blob-2")) == state


def test_a_run_may_take_too_long(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is over its time is ended, and has failed."""
    seconds = itertools.count(step=30)
    monkeypatch.setattr("filiera.engine.driver.monotonic", lambda: float(next(seconds)))
    state = workshop.run(shapes.hasty)
    assert (state.status, state.message) == ("failed", "it ran longer than its timeout of 100 s")
    assert set(own(state).values()) <= {"succeeded", "cancelled"}


def test_many_runs_share_a_driver(workshop: Workshop) -> None:
    """Runs driven together each come to their own end; equal steps among them compute once."""
    driver: Any = workshop.driver(shapes.mapped, {"count": 4})
    others = [workshop.driver(shapes.mapped, {"count": 4}, journal=driver.journal) for _ in range(20)]
    bad = workshop.driver(shapes.catching, journal=driver.journal)
    for other in [*others, bad]:
        driver.add(other.course)
    CALLS.clear()
    ended = []
    driver.on_over = ended.append
    workshop.finish(driver)
    assert len(ended) == 22
    assert sorted(call for call in CALLS if call != "caught") == sorted(
        ["numbers", "total", "double -1", *(f"double {i}" for i in range(4))]
    )
    ends = [own(other.course.state)["total"] for other in [driver, *others]]
    assert sorted(ends) == ["hit"] * 20 + ["succeeded"]
