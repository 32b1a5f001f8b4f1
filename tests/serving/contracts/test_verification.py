"""A model is held to its contract before it answers anybody: each part finds what it is there for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from filiera.core.signature import Conversion, Field, Output, Signature, Slo
from filiera.serving.app import App
from filiera.serving.contracts.approval import Approval
from filiera.serving.contracts.differ import diff
from filiera.serving.contracts.fuzz import check_fuzz
from filiera.serving.contracts.pact import Interaction, Recorded, rules_of
from filiera.serving.contracts.shift import check_shift
from filiera.serving.contracts.speed import check_speed
from filiera.serving.contracts.verification import Known, Verification, verify
from filiera.serving.endpoint import Endpoint
from filiera.serving.in_process import InProcess
from filiera.serving.model_mount import ModelMount
from filiera.serving.plain_caller import Reply
from filiera.serving.served_model import ServedModel
from tests.serving.offers import GOOD, LABELS, SIGNATURE, Rule

PARTS = ["diff", "consumers", "start", "replay", "fuzzing", "runtime", "meaning", "shift", "speed"]
REGRESSION = replace(
    SIGNATURE,
    task="regression",
    outputs=(Output(name="value", type="float64", semantics="value", minimum=0, maximum=100),),
    max_rows=80,
)


def served(model: Any = None, signature: Signature = SIGNATURE, version: int = 2) -> ServedModel:
    return ServedModel("flows", model or Rule(), version=version, signature=signature)


def answered_by(model: ServedModel, **more: Any) -> Known:
    return Known(deployed=model.contract, answering=model, **more)


def states(found: Verification) -> dict[str, str]:
    return {part.name: part.state for part in found.parts}


class Numbers:
    """Predicts the duration, between 0 and 100, after a change of the whole answer."""

    def __init__(self, change: Callable[[np.ndarray[Any, Any]], Any] = lambda values: values) -> None:
        self.change = change

    def predict(self, frame: pl.DataFrame) -> Any:
        return self.change(np.clip(frame["duration"].to_numpy().astype(float), 0, 100))


class Random(Rule):
    """Never says the same twice."""

    def __init__(self) -> None:
        self.asked = 0

    def predict_proba(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        self.asked += 1
        return np.tile([1 / (1 + self.asked), 1 - 1 / (1 + self.asked)], (frame.height, 1))


def test_a_model_that_keeps_its_contract_passes() -> None:
    """All parts are there, in order; what has nothing to look at says so."""
    found = verify(served(), answered_by(served(version=1)))
    assert [part.name for part in found.parts] == PARTS
    assert not found.blocks
    assert states(found) == {
        "diff": "passed", "consumers": "skipped", "start": "passed", "replay": "skipped", "fuzzing": "passed",
        "runtime": "skipped", "meaning": "passed", "shift": "passed", "speed": "skipped",
    }  # fmt: skip
    assert (found.candidate, found.deployed) == ("flows@2", "flows@1")
    assert states(verify(served(), Known()))["diff"] == "skipped"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values - values.mean() * (len(values) > 1) * 0.01, "order|among others|range|at least"),
        (lambda values: np.sort(values), "in another order"),
        (lambda values: values / max(1.0, values.sum()), "order|among others|twice"),
        (lambda values: values + 1_000, "at most 100"),
        (lambda values: values - 1_000, "at least 0"),
        (lambda values: np.where(np.arange(len(values)) == 1, 0.5, values), "order|among others|twice"),
    ],
)
def test_answers_that_depend_on_other_rows_are_found(change: Callable[[Any], Any], said: str) -> None:
    """Each row is answered as if it were alone, and within what is promised."""
    found = verify(served(Numbers(change), REGRESSION), Known())
    part = next(part for part in found.parts if part.name == "meaning")
    assert part.state == "failed"
    import re

    assert re.search(said, "; ".join([part.reason, *part.details]))


def test_a_model_that_changes_its_mind_is_found_unless_it_says_so() -> None:
    """The same row gets the same answer, where the contract says so."""
    found = verify(served(Random()), Known())
    assert "asked again" in next(part for part in found.parts if part.name == "meaning").reason
    open_about_it = replace(SIGNATURE, deterministic=False)
    assert states(verify(served(Random(), open_about_it), Known()))["meaning"] == "passed"


def test_a_version_that_cannot_be_loaded_does_not_stand_in_the_way() -> None:
    """Its contract counts; how far answers moved is not known then, and it is said."""
    found = verify(served(), Known(deployed=served(version=1).contract))
    shift = next(part for part in found.parts if part.name == "shift")
    assert (found.blocks, shift.state, shift.reason) == (False, "skipped", "flows@1 cannot be loaded")


def test_probabilities_must_sum_to_one() -> None:
    """What is called a probability is one."""

    class Half(Rule):
        def predict_proba(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
            return super().predict_proba(frame) / 2

    found = verify(served(Half()), Known())
    assert states(found)["meaning"] == states(found)["fuzzing"] == "failed"


def test_a_break_blocks_and_an_approved_one_is_told() -> None:
    """The fingerprint is in the report, so that it can be approved."""
    narrow = replace(SIGNATURE, inputs=(replace(SIGNATURE.inputs[0], maximum=100), *SIGNATURE.inputs[1:]))
    old = served(version=1)
    found = verify(served(signature=narrow), answered_by(old))
    (change,) = diff(SIGNATURE, narrow)
    part = found.parts[0]
    assert (part.state, found.blocks) == ("failed", True)
    assert part.details[0].startswith(change.fingerprint)
    until = dt.date(2026, 6, 30)
    approved = Approval(model="flows", fingerprint=change.fingerprint, reason="agreed", until=until)
    for today, state in ((until, "warned"), (until + dt.timedelta(days=1), "failed")):
        known = answered_by(old, approvals=[approved], today=today)
        assert states(verify(served(signature=narrow), known))["diff"] == state


def recorded(request: Any = None, path: str = "/v1/models/flows:predict", **more: Any) -> Recorded:
    reads = ("predictions", "predictions[*].label")
    one = Interaction(
        path=path,
        request=request or {"instances": [GOOD]},
        status=200,
        response={"predictions": [{"label": "normal"}]},
        rules=rules_of(SIGNATURE, reads),
    )
    return Recorded(consumer="shop", consumer_version="1.4", model="flows", interactions=(one,), reads=reads, **more)


def replay_of(model: ServedModel, *contracts: Recorded) -> list[str]:
    found = verify(model, Known(recorded=contracts))
    part = next(part for part in found.parts if part.name == "replay")
    return [part.state, part.reason, *part.details]


def test_what_applications_recorded_is_asked_again() -> None:
    """It passes while each gets what it read; the report says whose request is answered otherwise, and where."""
    assert replay_of(served(), recorded())[:2] == ["passed", "all that was recorded is answered: shop@1.4 (1)"]
    more = replace(SIGNATURE, inputs=(*SIGNATURE.inputs, Field(name="new", type="bool")), examples=())
    assert replay_of(served(signature=more), recorded())[:2] == [
        "failed",
        "shop@1.4: was answered with 200, is answered with 422: instances[*].new is missing",
    ]
    others = ("attack", "other")

    class Renamed(Rule):
        classes_ = np.array(others)

        def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
            return np.full(frame.height, "other")

    named = tuple(replace(output, labels=others) for output in SIGNATURE.outputs)
    said = replay_of(served(Renamed(), replace(SIGNATURE, outputs=named)), recorded())
    assert said[1] == "shop@1.4: predictions[*].label is not one that matches ^(attack|normal)$"
    second = replay_of(served(signature=replace(SIGNATURE, major=2)), recorded())
    assert second[1] == "shop@1.4: asks /v1/models/flows:predict, and the model is called flows.v2"


def test_what_nobody_read_may_go() -> None:
    """An application that reads labels does not need the probabilities."""
    only_labels = replace(SIGNATURE, outputs=SIGNATURE.outputs[:1])
    assert replay_of(served(signature=only_labels), recorded())[0] == "passed"


def test_an_output_that_nobody_reads_is_no_break() -> None:
    """Where all applications are known, and none of them reads it."""
    old, new = served(version=1), served(signature=replace(SIGNATURE, outputs=SIGNATURE.outputs[:1]))
    assert states(verify(new, answered_by(old, recorded=[recorded()])))["diff"] == "failed"
    assert states(verify(new, answered_by(old, recorded=[recorded()], are_all=True)))["diff"] == "warned"


def test_a_deployed_application_without_a_contract_blocks() -> None:
    """Nobody knows what it needs."""
    found = verify(served(), Known(missing=["shop@1.4"]))
    assert found.blocks
    assert states(found)["consumers"] == "failed"


def test_domains_that_promise_too_much_are_told() -> None:
    """A model that fails on large numbers that its contract takes is a warning; one that fails on usual rows is not."""

    class Weak(Rule):
        def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
            if (frame["duration"] > 30_000).any():
                raise ValueError("too long")
            return super().predict(frame)

    assert states(verify(served(Weak()), Known()))["fuzzing"] == "warned"

    class Failing(Rule):
        def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
            if frame.height > 2:
                raise ValueError("two at a time")
            return super().predict(frame)

    found = states(verify(served(Failing()), Known()))
    assert (found["fuzzing"], found["meaning"]) == ("failed", "failed")


class Careless:
    """Stands for a service that says other things than its contract."""

    def __init__(self, inside: InProcess, change: Callable[[Reply], Reply]) -> None:
        self.inside, self.change = inside, change

    def post(self, path: str, body: bytes) -> Reply:
        return self.change(self.inside.post(path, body))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one._replace(status=500) if one.status == 422 else one, "status 500, not 422"),
        (lambda one: one._replace(body=one.body + b"zq-a-value-of-the-caller-7391"), "repeats values of the caller"),
        (lambda one: one._replace(headers={}), "is no problem document"),
        (lambda one: one._replace(body=b"{}") if one.status == 422 else one, "does not name it"),
        (lambda one: one._replace(status=200), "status 200, not"),
    ],
)
def test_refusals_must_be_right(change: Callable[[Reply], Reply], said: str) -> None:
    """A wrong request is refused with the right status, as a problem document that names the field and no value."""
    model = served()
    with InProcess(App([ModelMount(Endpoint(model))])) as inside:
        careless: Any = Careless(inside, change)

        def answer(path: str, body: bytes) -> Reply:
            good: Reply = inside.post(path, body)
            return good if good.status == 200 else change(good)

        careless.post = answer
        part = check_fuzz(careless, model.contract, model.contract.predict_path)
    assert part.state == "failed"
    assert said in "; ".join([part.reason, *part.details])


@pytest.mark.parametrize(
    ("took_ms", "state", "said"),
    [
        (19, "passed", "p95 of 40 requests with 3 rows: 19 ms, promised 20 ms"),
        (21, "failed", "3 of 3 requests with 3 rows took longer than 20 ms"),
    ],
)
def test_time_is_held_to_what_is_promised(took_ms: float, state: str, said: str) -> None:
    """95 of 100 requests; the first ones, which warm up, do not count, and three that are slow are enough."""
    model = served(signature=replace(SIGNATURE, slo=Slo(p95_ms=20, rows=3)))
    ticks: list[float] = []

    def clock() -> float:
        request, is_end = divmod(len(ticks), 2)
        began = ticks[-1] if ticks else 0.0
        slow = 1.0 if request < 5 or request >= 43 else took_ms / 1000
        ticks.append(began + slow if is_end else began)
        return ticks[-1]

    with InProcess(App([ModelMount(Endpoint(model))])) as inside:
        part = check_speed(inside, model.contract, model.contract.predict_path, clock=clock)
    assert (part.state, part.reason) == (state, said)
    assert len(ticks) == 2 * (45 if state == "passed" else 8)


def test_a_time_for_more_rows_than_are_taken_is_no_promise() -> None:
    """The contract contradicts itself."""
    found = verify(served(signature=replace(SIGNATURE, slo=Slo(p95_ms=20, rows=50))), Known())
    assert states(found)["speed"] == "failed"


def answers(*values: float) -> Sequence[dict[str, Any]]:
    return [{"label": LABELS[value > 0.5], "probabilities": {"attack": value}} for value in values]


def test_a_shift_is_told_and_blocks_where_somebody_decides_by_it() -> None:
    """Scores that moved are a warning; across the threshold of an application they are a failure."""
    old, new = answers(*[0.1] * 8, 0.9, 0.95), answers(*[0.4] * 8, 0.9, 0.95)
    assert check_shift(old, old, {"probabilities.attack": 0.5}).state == "passed"
    assert check_shift(old, new, {}).state == "warned"
    assert check_shift(old, new, {"probabilities.attack": 0.5}).state == "warned"
    crossed = check_shift(old, new, {"probabilities.attack": 0.3})
    assert (crossed.state, crossed.reason) == (
        "failed",
        "probabilities.attack is on the other side of 0.3 for 80% of the rows",
    )


def test_another_runtime_must_give_the_same_answers() -> None:
    """What is served by another library answers as the one that was trained."""
    assert states(verify(served(), Known(trained=served())))["runtime"] == "passed"

    class Other(Rule):
        def predict_proba(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
            return super().predict_proba(frame)[:, ::-1]

    assert states(verify(served(), Known(trained=served(Other()))))["runtime"] == "failed"


def test_applications_of_the_major_before_are_asked_for() -> None:
    """A version that converts for them answers what they recorded; one that cannot keep their contract is refused."""
    before = served(version=1).contract
    new = replace(SIGNATURE, major=2, conversion=Conversion())
    found = verify(served(signature=new), Known(before=before, recorded=[recorded()]))
    parts = {part.name: part for part in found.parts}
    assert [part.name for part in found.parts] == [*PARTS[:3], "conversion", *PARTS[3:]] and not found.blocks
    assert parts["conversion"].reason == "applications of major 1 get at flows what flows@1 promised"
    assert parts["replay"].state == "passed"
    milliseconds = (replace(SIGNATURE.inputs[0], unit="ms"), *SIGNATURE.inputs[1:])
    found = verify(served(signature=replace(new, inputs=milliseconds)), Known(before=before, recorded=[recorded()]))
    parts = {part.name: part for part in found.parts}
    assert (parts["conversion"].state, parts["replay"].state) == ("failed", "failed")
    assert parts["conversion"].details == ("input duration was in s and is in ms: Conversion(factors=…)",)
