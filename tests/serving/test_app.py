"""The service over HTTP, in this process: answers, refusals, health, limits, tokens."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.prediction_segments import SegmentLog
from filiera.errors import FilieraError
from filiera.serving.app import App, Limits
from filiera.serving.course import NodeDied, NodeDown
from filiera.serving.endpoint import Endpoint
from filiera.serving.http import Intake
from filiera.serving.listening import must_have_token
from filiera.serving.model_mount import ModelMount
from filiera.serving.predictor import Predictor
from filiera.serving.problem import RequestRefused
from filiera.serving.served_model import ServedModel
from filiera.serving.waiting import Bounds
from tests.serving.offers import GOOD, SIGNATURE, Broken, Rule, Stuck, get, post, post_bytes, service, talk

PREDICT = "/v1/models/flows:predict"
JSON = {"content-type": "application/json"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SegmentLog]:
    log = SegmentLog(tmp_path / "log")
    yield log
    log.close()


@pytest.fixture(scope="module")
def app() -> App:
    return service()


def test_a_request_gets_one_prediction_per_row_in_order(app: App) -> None:
    """Answers stand in the order of the rows, with label and probabilities, under fresh ids that sort by time."""
    answer = post(app, [GOOD, {**GOOD, "duration": 90}, {**GOOD, "rate": None}])
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["version"]) == ("flows", 3)
    assert [p["label"] for p in body["predictions"]] == ["normal", "attack", "normal"]
    assert body["predictions"][1]["probabilities"] == {"attack": 0.75, "normal": 0.25}
    ids = [p["id"] for p in body["predictions"]]
    assert ids == sorted(set(ids))
    assert {len(each) for each in ids} == {26}


def test_predictions_are_logged_without_sensitive_fields(log: SegmentLog) -> None:
    """The log has inputs and outputs of every answered row under its id, and no value of a sensitive field."""
    answer = post(service(log=log), [GOOD, {**GOOD, "rate": None}]).json()
    log.flush()
    records = list(log.read())
    assert [record["id"] for record in records] == [p["id"] for p in answer["predictions"]]
    assert records[0]["inputs"] == {"duration": 3, "protocol": "tcp", "rate": 0.5}
    assert records[1]["inputs"]["rate"] is None
    assert records[0]["outputs"] == {"label": "normal", "probabilities": {"attack": 0.25, "normal": 0.75}}
    assert (records[0]["model"], records[0]["version"], records[0]["signature"]) == ("flows", 3, SIGNATURE.hash)


def test_neither_warm_up_nor_refusals_are_logged(log: SegmentLog) -> None:
    """Only answers to callers are predictions."""
    app = service(log=log)
    assert post(app, [{**GOOD, "duration": -1}]).status_code == 422
    log.flush()
    assert list(log.read()) == []


@pytest.mark.parametrize(
    ("body", "content_type", "status", "kind"),
    [
        (b"not json", "application/json", 400, "not-json"),
        (b"", "application/json", 400, "not-json"),
        (b"[" * 100_000, "application/json", 400, "not-json"),
        (b"\xff\xfe{}", "application/json", 400, "not-json"),
        (b"{}", "text/plain", 415, "media-type"),
        (b"{}", "", 415, "media-type"),
        (b"{}", "application/json; charset=utf-8", 422, "invalid-rows"),
        (b'{"instances": []}', "application/json", 422, "invalid-rows"),
        (json.dumps({"instances": [GOOD] * 6}).encode(), "application/json", 413, "too-many-rows"),
        (b"[" + b" " * 10_000_000 + b"]", "application/json", 413, "body-too-large"),
    ],
)
def test_a_wrong_body_gets_its_problem(app: App, body: bytes, content_type: str, status: int, kind: str) -> None:
    """Each way of being wrong has a status and a kind, as application/problem+json."""
    answer = post_bytes(app, body, content_type)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:filiera:problem:{kind}"
    assert answer.json()["status"] == status


def test_a_body_is_limited_whatever_its_length_says(app: App) -> None:
    """A stream without a length is cut off at the limit."""

    async def stream() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1_000_000

    answer = talk(app, lambda client: client.post(PREDICT, content=stream(), headers=JSON))
    assert answer.status_code == 413


def test_a_length_that_lies_is_not_believed() -> None:
    """A small announced length does not let a larger body in."""
    app = service(limits=Limits(max_body_bytes=100))
    answer = talk(app, lambda client: client.post(PREDICT, content=b" " * 101, headers={**JSON, "content-length": "5"}))
    assert answer.status_code == 413


def test_bodies_on_their_way_are_bounded_together() -> None:
    """Of callers who send all but the end of their bodies, those too many are refused, and none afterwards."""

    async def scene() -> tuple[list[object], bytes]:
        intake, is_over = Intake(max_body_bytes=10, body_s=60.0), asyncio.Event()

        async def body(*parts: bytes) -> bytes:
            coming = iter(parts)

            async def receive() -> dict[str, object]:
                part = next(coming, None)
                if part is None:
                    await is_over.wait()
                return {"type": "http.request", "body": part or b"", "more_body": part is not None}

            return await intake.whole(receive)

        found = [asyncio.create_task(body(b"0123456789")) for _ in range(40)]
        while sum(each.done() for each in found) < 8:
            await asyncio.sleep(0)
        is_over.set()
        return await asyncio.gather(*found, return_exceptions=True), await body(b"01234", b"56789")

    found, last = asyncio.run(scene())
    assert found[:32] == [b"0123456789"] * 32
    assert {each.problem.kind for each in found[32:] if isinstance(each, RequestRefused)} == {"busy"}
    assert (len(found), last) == (40, b"0123456789")


def test_a_refusal_names_the_place_and_never_the_value(app: App) -> None:
    """Places and rules are said; what the caller sent is not sent back."""
    answer = post(app, [GOOD, {**GOOD, "duration": -1, "protocol": "s3cret", "user": 4711}])
    assert answer.json()["errors"] == [
        {"at": "instances[1].duration", "rule": "must be at least 0"},
        {"at": "instances[1].protocol", "rule": "must be one of: icmp, tcp, udp"},
        {"at": "instances[1].user", "rule": "must be a string"},
    ]
    assert "s3cret" not in answer.text
    assert "4711" not in answer.text


def test_what_does_not_exist_is_answered_with_what_does(app: App) -> None:
    """404 lists the paths."""
    answer = get(app, "/v1/models/flow")
    assert answer.status_code == 404
    assert PREDICT in answer.json()["paths"]


@pytest.mark.parametrize(("path", "allow"), [(PREDICT, "POST"), ("/v1/models/flows", "GET, HEAD")])
def test_a_wrong_method_is_told_the_right_one(app: App, path: str, allow: str) -> None:
    """405 comes with Allow."""
    answer = get(app, path, "DELETE")
    assert answer.status_code == 405
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/openapi.json", "/v1/models", "/v1/models/flows"])
def test_head_is_get_without_the_body(app: App, path: str) -> None:
    """HEAD has GET's status and headers."""
    whole, head = get(app, path), get(app, path, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == whole.headers


def test_the_model_describes_itself_without_its_secrets(app: App) -> None:
    """Version, signature and examples are there, sensitive values of the training data are not."""
    answer = get(app, "/v1/models/flows")
    card = answer.json()
    assert (card["version"], card["signature"]["hash"], card["signature"]["max_rows"]) == (3, SIGNATURE.hash, 5)
    assert card["signature"]["inputs"][1]["values"] == ["icmp", "tcp", "udp"]
    assert card["signature"]["examples"][0] == {**GOOD, "user": ""}
    assert "secret" not in answer.text
    assert "secret" not in get(app, "/openapi.json").text


def test_nothing_is_predicted_before_the_warm_up() -> None:
    """Alive at once, ready after the examples were answered."""
    app = App([ModelMount(Endpoint(ServedModel("flows", Rule(), version=3, signature=SIGNATURE)))])
    assert get(app, "/health/live").status_code == 200
    assert get(app, "/health/ready").status_code == 503
    assert post(app, [GOOD]).status_code == 503
    app.start()
    assert get(app, "/health/ready").status_code == 200
    assert post(app, [GOOD]).status_code == 200


def test_a_model_that_fails_its_examples_does_not_start() -> None:
    """Warm-up errors end the start, they are not served."""

    class Failing(Rule):
        def predict(self, frame: Any) -> Any:
            raise ZeroDivisionError

    with pytest.raises(FilieraError, match="failed to predict"):
        service(Failing())


@pytest.mark.parametrize(("kind", "status"), [(NodeDown, 503), (NodeDied, 502)])
def test_it_tells_a_part_that_is_away_from_one_that_ended(
    kind: type[NodeDown], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not asked can be asked again; what was asked may be why it ended."""
    app = service()

    def predict(*_: object) -> None:
        raise kind("scaler", "Its process has ended.")

    monkeypatch.setattr(Predictor, "predict", predict)
    answer = post(app, [GOOD])
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "1")
    assert "'scaler'" in answer.json()["detail"]


def test_a_failing_model_is_logged_and_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    """500 without the data; the log has where it failed, without the message when fields are sensitive."""
    with caplog.at_level(logging.ERROR, "filiera.serving"):
        answer = post(service(Broken()), [{**GOOD, "duration": 99, "user": "hush"}])
    assert answer.status_code == 500
    assert answer.json()["type"].endswith("prediction-failed")
    assert "offers.py" in caplog.text
    assert "hush" not in answer.text + caplog.text


def test_health_answers_while_a_prediction_runs() -> None:
    """A busy model blocks neither health nor the refusal of what cannot wait any more."""
    model = Stuck()
    app = service(model, bounds=Bounds(waiting_rows=1))
    model.go.clear()
    model.began.clear()

    async def act(client: httpx.AsyncClient) -> tuple[int, list[int], httpx.Response]:
        def predict() -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(client.post(PREDICT, json={"instances": [GOOD]}))

        first = predict()
        await asyncio.to_thread(model.began.wait)
        others = [predict() for _ in range(2)]
        refused, pending = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        live = await client.get("/health/live")
        model.go.set()
        answered = [(await task).status_code for task in (first, *pending)]
        return live.status_code, answered, refused.pop().result()

    live, answered, refused = talk(app, act)
    assert live == 200
    assert answered == [200, 200]
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert 'status="503"} 1' in get(app, "/metrics").text


def test_metrics_count_what_happened(log: SegmentLog) -> None:
    """Requests by status, rows, times and losses are counted."""
    app = service(log=log)
    post(app, [GOOD, GOOD])
    post(app, [])
    text = get(app, "/metrics").text
    assert 'filiera_requests_total{model="flows",status="200"} 1' in text
    assert 'filiera_requests_total{model="flows",status="422"} 1' in text
    assert 'filiera_rows_total{model="flows"} 2' in text
    assert 'filiera_request_seconds_count{model="flows"} 2' in text
    assert 'filiera_request_seconds_bucket{model="flows",le="+Inf"} 2' in text
    assert "filiera_log_dropped_total 0" in text


def test_with_a_token_only_health_is_open() -> None:
    """401 with WWW-Authenticate for a missing, wrong or differently spelled token; health needs none."""
    app = service(token="t0p")
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic t0p"}, {"authorization": "t0p"}):
        for path in ("/v1/models/flows", PREDICT, "/metrics", "/openapi.json", "/nothing"):
            answer = get(app, path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert get(app, "/health/ready").status_code == 200
    assert get(app, "/metrics", headers={"authorization": "bearer t0p"}).status_code == 200
    assert get(app, "/openapi.json", headers={"authorization": "Bearer t0p"}).json()["security"] == [{"token": []}]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *[(host, 200) for host in ("localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000")],
        *[(host, 421) for host in ("rebound.example", "rebound.example:8000", "localhost.rebound.example:8000")],
        *[(host, 421) for host in ("", ":8000", "::1", "[::1", "[::1]x", "192.0.2.1", "0.0.0.0", "127.0.0.1.example")],
    ],
)
def test_a_service_may_answer_to_local_names_only(host: str, status: int) -> None:
    """A page whose name an attacker lets lead to 127.0.0.1 gets no word out of a service that needs no token."""
    app = service(local_names_only=True)
    for path in ("/health/live", "/health/ready", "/v1/models", "/openapi.json", "/metrics"):
        answer = get(app, path, headers={"host": host})
        assert answer.status_code == status
        if status == 421:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"] == "urn:filiera:problem:unknown-host"
    headers = {**JSON, "host": host}
    body = json.dumps({"instances": [GOOD]}).encode()
    assert talk(app, lambda client: client.post(PREDICT, content=body, headers=headers)).status_code == status


def test_a_request_without_a_host_is_refused_where_names_count() -> None:
    """Browsers always send one, and who does not cannot be told apart."""

    async def ask() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/health/live", "headers": []}
        await service(local_names_only=True)(scope, receive=send, send=send)  # type: ignore[arg-type]
        return sent

    assert asyncio.run(ask())[0]["status"] == 421


def test_a_service_answers_to_any_name_if_not_told_otherwise() -> None:
    """Behind a token, names are the network's affair."""
    assert get(service(), "/health/live", headers={"host": "models.example"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "must"),
    [
        *[(host, False) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")],
        *[(host, True) for host in ("0.0.0.0", "::", "192.168.0.1", "example.org", "")],
    ],
)
def test_only_loopback_goes_without_token(host: str, must: bool) -> None:
    """What other machines can reach needs a token."""
    assert must_have_token(host) is must


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("identity", 200), ("Identity", 200), ("br", 415)])
def test_compressed_bodies_are_not_taken(app: App, coding: str, status: int) -> None:
    """Said at once, before the body is read as something else."""
    headers = {"content-type": "application/json", "content-encoding": coding}
    body = json.dumps({"instances": [GOOD]}).encode()
    assert talk(app, lambda client: client.post(PREDICT, content=body, headers=headers)).status_code == status


def test_a_caller_that_hangs_up_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """A request cut off in its body is answered, should anybody listen still, and is nothing for the log."""
    sent: list[Any] = []

    async def run() -> None:
        messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": PREDICT, "headers": headers}

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message)

        await service()(scope, receive, send)

    asyncio.run(run())
    assert [message.get("status") for message in sent] == [400, None]
    assert b"cut-short" in sent[1]["body"]
    assert caplog.text == ""


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["instances", *GOOD]) | st.text(), inner),
    max_leaves=20,
)


@given(body=st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_body_makes_the_service_fail(app: App, body: bytes) -> None:
    """Whatever is posted, the answer is a prediction or a refusal, never a 5xx."""
    assert post_bytes(app, body).status_code in (200, 400, 413, 422)


@given(row=st.fixed_dictionaries({name: JSON_VALUES | st.just(value) for name, value in GOOD.items()}))
def test_no_value_makes_the_service_fail(app: App, row: dict[str, Any]) -> None:
    """Whatever stands in a known field, the answer is a prediction or a 422."""
    answer = post(app, [row])
    assert answer.status_code in (200, 422)
