from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.prediction_segments import SegmentLog
from filiera.errors import StoreFull
from filiera.serving.app import App
from filiera.serving.endpoint import Endpoint
from filiera.serving.feedback import Feedback
from filiera.serving.model_mount import ModelMount
from filiera.serving.problem import RequestRefused
from filiera.serving.served_model import ServedModel
from tests.serving.offers import SIGNATURE, Rule, get, talk

ID = "01M80K71PA8TV4AG8AK3KN0TK3"
MODEL = ServedModel("flows", Rule(), version=3, signature=SIGNATURE)


class FullLog(SegmentLog):
    """Takes nothing."""

    def keep(self, records: Any) -> None:
        raise StoreFull("The disk is full.")


def feedback_of(log: Any) -> Feedback:
    """Return what takes feedback of the small model at second 100."""
    return Feedback(lambda: MODEL.contract, log, clock=lambda: 100.0)


def service(log: Any) -> App:
    """Return a started service that takes feedback."""
    app = App([ModelMount(Endpoint(MODEL), feedback=feedback_of(log))])
    app.start()
    return app


def tell(app: App, *entries: Any) -> httpx.Response:
    """Return the answer to feedback."""
    return talk(app, lambda client: client.post("/v1/models/flows:feedback", json={"feedback": entries}))


def test_feedback_is_on_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    """Another process could read it at once: outcomes and actions, with when each was known."""
    app = service(SegmentLog(tmp_path))
    answer = tell(
        app,
        {"prediction": ID, "outcome": "attack", "at": "1970-01-01T01:00:10+01:00"},
        {"prediction": ID, "action": "blocked", "id": "click-1"},
    )
    assert (answer.status_code, answer.json()) == (200, {"kept": 2})
    assert list(SegmentLog(tmp_path).read()) == [
        {"id": ID, "at": 100.0, "kind": "outcome", "value": "attack", "key": "", "known_at": 10.0},
        {"id": ID, "at": 100.0, "kind": "action", "value": "blocked", "key": "click-1", "known_at": 100.0},
    ]


def test_what_cannot_be_kept_is_not_acknowledged(tmp_path: Path) -> None:
    """The caller is told to send it again."""
    answer = tell(service(FullLog(tmp_path)), {"prediction": ID, "outcome": 1})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"].endswith("not-kept")


@pytest.mark.parametrize(
    ("entry", "at", "rule"),
    [
        ({"prediction": "x", "outcome": 1}, ".prediction", "id of a prediction"),
        ({"outcome": 1}, ".prediction", "id of a prediction"),
        ({"prediction": ID}, "", "an outcome or an action"),
        ({"prediction": ID, "outcome": 1, "action": "a"}, "", "not both"),
        ({"prediction": ID, "action": ""}, ".action", "1 to 1000"),
        ({"prediction": ID, "outcome": None}, ".outcome", "text, a number"),
        ({"prediction": ID, "outcome": {"label": ["a"]}}, ".outcome", "an object of such"),
        ({"prediction": ID, "outcome": {"user": "ann"}}, ".outcome", "sensitive"),
        ({"prediction": ID, "outcome": 2**70}, ".outcome", "a number"),
        ({"prediction": ID, "outcome": 1, "at": "2026-01-31"}, ".at", "with its offset"),
        ({"prediction": ID, "outcome": 1, "who": "me"}, "", "must be an object"),
        ("secret", "", "must be an object"),
    ],
)
def test_feedback_that_is_none_is_refused_whole(tmp_path: Path, entry: Any, at: str, rule: str) -> None:
    """With place and rule, without the value; the good entry beside it is not kept either."""
    answer = tell(service(SegmentLog(tmp_path)), {"prediction": ID, "outcome": 1}, entry)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["at"] == f"feedback[1]{at}"
    assert rule in error["rule"]
    assert "secret" not in answer.text
    assert "ann" not in answer.text
    assert list(SegmentLog(tmp_path).read()) == []


NAMES = st.sampled_from(["prediction", "outcome", "at", "feedback"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner),
    max_leaves=8,
)


@given(document=JSON)
def test_any_document_is_taken_or_refused(document: Any) -> None:
    """Whatever JSON says; what is taken has its fields."""
    log: Any = None
    try:
        records = feedback_of(log).read(json.dumps(document).encode())
    except RequestRefused:
        return
    assert all(len(record["id"]) == 26 for record in records)


def test_the_contract_says_so(tmp_path: Path) -> None:
    """The path is in the OpenAPI document; without a place to keep it there is none."""
    path = "/v1/models/flows:feedback"
    assert path in get(service(SegmentLog(tmp_path)), "/openapi.json").json()["paths"]
    bare = App([ModelMount(Endpoint(MODEL))])
    bare.start()
    assert path not in get(bare, "/openapi.json").json()["paths"]
    assert tell(bare).status_code == 404
