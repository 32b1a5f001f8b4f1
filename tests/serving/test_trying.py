from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest

from filiera.core.delivery import SHADOW, Tally, Trial
from filiera.core.signature import Output
from filiera.serving.agreement import compared
from filiera.serving.app import App
from filiera.serving.endpoint import Endpoint
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from filiera.serving.trying import Trying
from tests.serving.offers import GOOD, LABELS, SIGNATURE, Broken, Rule, Stuck, post, talk

TENSORS = (("duration", "INT16"), ("protocol", "BYTES"), ("rate", "FP64"), ("user", "BYTES"))


class Opposite(Rule):
    """Says the other label than ``Rule``."""

    def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        return np.where(frame["duration"].to_numpy() > 60, "normal", "attack")


def served(number: int, model: Any = None) -> ServedModel:
    """Return a version of the small model."""
    made = ServedModel("flows", model or Rule(), version=number, signature=SIGNATURE)
    made.warm_up()
    return made


class Service:
    """A service in this process whose endpoint tries a version."""

    def __init__(self, share: float, model: Any, draws: Iterator[float] | None = None) -> None:
        self.endpoint = Endpoint(served(1))
        self.app = App([ModelMount(self.endpoint)])
        self.app.start()
        trial = Trial(deployment=1, stage=0, candidate=2, share=share)
        drawn = draws or iter(lambda: 0.5, None)
        self.trying = Trying(trial, served(2, model), draw=lambda: next(drawn))
        self.endpoint.try_out(self.trying)

    def counted(self, shadowed: int = 0) -> tuple[Tally, Tally]:
        """Return what was counted once so many requests were shadowed and nothing is under way."""
        while self.trying.counted()[0].requests < shadowed:
            pass
        self.endpoint.try_out(None)
        return self.trying.counted()


def version(service: Service, headers: dict[str, str] | None = None) -> int:
    """Return which version answers a row."""
    answer = talk(
        service.app,
        lambda client: client.post("/v1/models/flows:predict", json={"instances": [GOOD]}, headers=headers or {}),
    )
    assert answer.status_code == 200
    return int(answer.json()["version"])


def test_a_share_of_requests_gets_the_candidate() -> None:
    """By chance where nobody says who asks; both are counted, each for itself."""
    service = Service(0.25, Rule(), iter([0.1, 0.3, 0.2, 0.9]))
    assert [version(service) for _ in range(4)] == [2, 1, 2, 1]
    tried, usual = service.counted()
    assert (tried.requests, usual.requests) == (2, 2)
    assert version(service) == 1


def test_a_key_gets_one_version() -> None:
    """Who names a key gets the same version each time, whatever is drawn for others."""
    service = Service(0.5, Rule(), iter([]))
    found = {key: {version(service, {"Filiera-Key": key}) for _ in range(3)} for key in map(str, range(20))}
    assert all(len(versions) == 1 for versions in found.values())
    assert {1} in found.values() and {2} in found.values()


def test_who_names_a_version_gets_it() -> None:
    """The Open Inference Protocol has a path for each: the candidate's is there once it answers; it counts nowhere."""
    body = {"inputs": [{"name": name, "shape": [1], "datatype": kind, "data": [GOOD[name]]} for name, kind in TENSORS]}
    for share, statuses in ((0.5, {1: 200, 2: 200, 3: 404}), (SHADOW, {1: 200, 2: 404})):
        service = Service(share, Rule(), iter([]))
        for number, status in statuses.items():
            path = f"/v2/models/flows/versions/{number}/infer"
            answer = talk(service.app, lambda client, path=path: client.post(path, json=body))
            assert answer.status_code == status, answer.text
            assert status == 404 or answer.json()["model_version"] == str(number)
        assert service.counted() == (Tally(), Tally())


def test_refused_and_failed_requests_are_counted_apart() -> None:
    """Rows against the signature are not the model's failure."""
    service = Service(1.0, Broken())
    assert post(service.app, [{**GOOD, "duration": 99}]).status_code == 500
    assert post(service.app, [{**GOOD, "rate": 7}]).status_code == 422
    assert post(service.app, [GOOD]).status_code == 200
    tried, _ = service.counted()
    assert (tried.requests, tried.failed, tried.refused) == (3, 1, 1)


@pytest.mark.parametrize(("model", "agreed"), [(Rule(), 2), (Opposite(), 0)], ids=["same", "opposite"])
def test_a_shadow_answers_behind_every_request(model: Any, agreed: int) -> None:
    """Nobody gets its answers; they are compared with what the caller was told."""
    service = Service(SHADOW, model)
    answer = post(service.app, [GOOD, {**GOOD, "duration": 100}]).json()
    assert (answer["version"], [one["label"] for one in answer["predictions"]]) == (1, ["normal", "attack"])
    tried, usual = service.counted(shadowed=1)
    assert (tried.requests, tried.rows, tried.agreed, usual.requests) == (1, 2, agreed, 1)


def test_a_shadow_that_fails_harms_nobody() -> None:
    """The caller has an answer; the failure is counted against the candidate."""
    service = Service(SHADOW, Broken())
    assert post(service.app, [{**GOOD, "duration": 99}]).status_code == 200
    tried, usual = service.counted(shadowed=1)
    assert (tried.failed, usual.failed) == (1, 0)


def test_nobody_waits_for_a_shadow() -> None:
    """A candidate that hangs is left out of later requests, which are counted; callers are answered meanwhile."""
    stuck = Stuck()
    service = Service(SHADOW, stuck)
    stuck.go.clear()
    stuck.began.clear()
    for _ in range(70):
        assert version(service) == 1
        stuck.began.wait()
    assert service.trying.left_out == 70 - 1 - 64
    stuck.go.set()
    service.endpoint.try_out(None)


def test_slow_is_what_the_version_before_hardly_ever_is() -> None:
    """Twice its 95th percentile, settled from a hundred answers before anything is counted as slow or not."""
    trying = Trying(Trial(deployment=1, stage=0, candidate=2, share=0.5), served(2))
    trying.note(is_candidate=True, problem="", took_s=9.0)
    for number in range(100):
        trying.note(is_candidate=False, problem="", took_s=number / 1000)
    for took_s in (0.189, 0.191, 9.0):
        trying.note(is_candidate=True, problem="", took_s=took_s)
    tried, usual = trying.counted()
    assert (tried.requests, tried.timed, tried.slow) == (4, 3, 2)
    assert (usual.requests, usual.timed) == (100, 0)


NUMBER = (Output(name="value", type="float64", semantics="value"),)
CHANCES = (
    Output(name="label", type="string", semantics="label", labels=LABELS),
    Output(name="probabilities", type="float64", semantics="probability", labels=LABELS),
)


def test_numbers_agree_within_a_hundredth() -> None:
    """The score is the number itself."""
    tally = compared(NUMBER, (np.array([100.0, 100.0]),), NUMBER, (np.array([100.9, 101.5]),))
    assert (tally.rows, tally.agreed, tally.shift) == (2, 1, pytest.approx(2.4))


def test_the_score_of_a_classifier_is_its_first_label() -> None:
    """By its name, wherever the other version has it; a version without that output agrees nowhere."""
    labels = np.array(["attack"])
    other = (CHANCES[0], Output(name="probabilities", type="float64", semantics="probability", labels=LABELS[::-1]))
    moved = compared(CHANCES, (labels, np.array([[0.7, 0.3]])), other, (labels, np.array([[0.1, 0.9]])))
    assert (moved.agreed, moved.shift) == (1, pytest.approx(0.2))
    assert compared(CHANCES, (labels, np.array([[0.7, 0.3]])), NUMBER, (np.array([1.0]),)) == Tally(rows=1)
