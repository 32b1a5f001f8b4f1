"""What an application's tests ask of a mock, and what they read of its answers, is what it needs."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.core.signature import Signature
from filiera.errors import UsageError
from filiera.serving.app import App
from filiera.serving.contract import ModelContract
from filiera.serving.contracts.mock import mock_app
from filiera.serving.contracts.mock_server import MockServer
from filiera.serving.contracts.pact import read_pact, read_pacts, write_pact
from filiera.serving.contracts.promised import faults_of
from filiera.serving.contracts.recorder import Recorder
from filiera.serving.contracts.replay import faults_in
from filiera.serving.contracts.watched import watched
from filiera.serving.endpoint import Endpoint
from filiera.serving.in_process import InProcess
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel, request_body
from tests.serving.contracts.mutations import contracts
from tests.serving.offers import GOOD, LABELS, SIGNATURE, Rule
from tests.serving.signatures import rows_of

CONTRACT = ModelContract(name="flows", version=3, signature=SIGNATURE)
PATH = "/v1/models/flows:predict"


def like_estimators(signature: Signature) -> Signature:
    """Return a signature that a model can have: one kind of answer, and probabilities of the same labels."""
    first = next((output for output in signature.outputs if output.semantics != "probability"), signature.outputs[0])
    shares = [output for output in signature.outputs if output.semantics == "probability" and first.labels]
    kept = [first, *(replace(one, labels=first.labels) for one in shares if one is not first)]
    return replace(signature, outputs=tuple(kept))


@settings(max_examples=25)
@given(data=st.data())
def test_a_mock_keeps_any_contract(data: st.DataObject) -> None:
    """It answers any row that is taken with what is promised, and the same row alike; it refuses others."""
    signature = like_estimators(data.draw(contracts()))
    rows = data.draw(st.lists(rows_of(signature), min_size=1, max_size=2))
    contract = ModelContract(name="m", version=1, signature=signature)
    with InProcess(mock_app(contract)) as mock:
        first, second = (mock.post(contract.predict_path, request_body(rows)) for _ in range(2))
        assert (first.status, mock.post(contract.predict_path, b"{}").status) == (200, 422)
    answers, again = (json.loads(each.body)["predictions"] for each in (first, second))
    assert len(answers) == len(rows)
    for one, other in zip(answers, again, strict=True):
        assert list(faults_of(signature.outputs, one)) == []
        assert {**one, "id": ""} == {**other, "id": ""}


def test_a_mock_gives_different_answers() -> None:
    """Tests of an application see more than one label."""
    with Recorder(CONTRACT, "shop@1") as recorder:
        answers = recorder.predict([{**GOOD, "duration": i} for i in range(5)])
    assert {answer["label"] for answer in answers} == set(LABELS)


READS: list[tuple[Callable[[Any], Any], set[str]]] = [
    (lambda answer: answer["a"], {"a"}),
    (lambda answer: answer.get("b", 0), {"b"}),
    (lambda answer: "c" in answer, {"c"}),
    (lambda answer: answer["list"][0]["x"], {"list", "list[*].x"}),
    (lambda answer: [item["y"] for item in answer["list"]], {"list", "list[*].y"}),
    (lambda answer: list(answer), {"a", "list"}),
    (lambda answer: dict(answer), {"a", "list"}),
    (lambda answer: {**answer}, {"a", "list"}),
    (lambda answer: json.dumps(answer), {"a", "a.deep", "list", "list[*].x", "list[*].y"}),
    (lambda answer: answer == {}, {"a", "list"}),
    (lambda answer: list(answer.items()), {"a", "list"}),
    (lambda answer: answer["a"]["deep"], {"a", "a.deep"}),
    (lambda answer: len(answer), set()),
]


@pytest.mark.parametrize(("read", "places"), READS)
def test_what_is_read_is_noted(read: Callable[[Any], Any], places: set[str]) -> None:
    """However a field of an answer is read; what is only counted is not read."""
    reads: set[str] = set()
    read(watched({"a": {"deep": 1}, "list": [{"x": 1, "y": 2}]}, "", reads))
    assert reads == places


def recorded_by_httpx(act: Callable[[httpx.Client], object]) -> Recorder:
    with Recorder(CONTRACT, "shop@1.4", thresholds={"probabilities.attack": 0.8}) as recorder:
        with httpx.Client(transport=recorder.httpx_transport(), base_url="http://service") as client:
            act(client)
        return recorder


def test_an_httpx_client_is_recorded(tmp_path: Path) -> None:
    """The file is a Pact document with the request, and of the answer what was read, each with its matcher."""

    def act(client: httpx.Client) -> None:
        answer = client.post(PATH, json={"instances": [GOOD]}).json()
        assert answer["predictions"][0]["label"] in LABELS

    path = recorded_by_httpx(act).write(tmp_path / "contracts")
    assert path.name == "shop@1.4.json"
    document = json.loads(path.read_text())
    (interaction,) = document["interactions"]
    assert interaction["request"]["body"]["content"] == {"instances": [GOOD]}
    assert interaction["response"]["body"]["content"].keys() == {"predictions"}
    assert interaction["response"]["matchingRules"]["body"] == {
        "$.predictions": {"combine": "AND", "matchers": [{"match": "type", "min": 1}]},
        "$.predictions[*].label": {"combine": "AND", "matchers": [{"match": "regex", "regex": "^(attack|normal)$"}]},
    }
    assert document["metadata"]["pactSpecification"] == {"version": "4.0"}
    assert document["metadata"]["filiera"]["reads"] == ["predictions", "predictions[*].label"]
    assert read_pact(path).thresholds == {"probabilities.attack": 0.8}


def test_a_contract_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Writing and reading it changes nothing; those of other models are left alone."""
    with Recorder(CONTRACT, "shop@1.4") as recorder:
        assert recorder.predict([GOOD])[0]["probabilities"]["attack"] <= 1
        with pytest.raises(UsageError, match="does not follow the signature"):
            recorder.predict([{}])
    recorded = recorder.recorded()
    assert [one.status for one in recorded.interactions] == [200, 422]
    path = write_pact(recorded, tmp_path)
    assert read_pact(path) == recorded
    assert read_pacts(tmp_path, "flows") == [recorded]
    assert read_pacts(tmp_path, "other") == []
    other = write_pact(replace(recorded, model="other"), tmp_path)
    assert other != path and read_pacts(tmp_path, "flows") == [recorded]


def test_what_was_recorded_holds_for_the_mock_and_the_model() -> None:
    """What was just recorded is kept by what it was recorded with, and by a model that keeps the contract."""
    with Recorder(CONTRACT, "shop@1.4") as recorder:
        for answer in recorder.predict([{**GOOD, "duration": i} for i in range(4)]):
            assert answer["label"] and answer["id"] and answer["probabilities"].items()
    real = ServedModel("flows", Rule(), version=7, signature=SIGNATURE)
    for app in (mock_app(CONTRACT), App([ModelMount(Endpoint(real))])):
        with InProcess(app) as service:
            for one in recorder.recorded().interactions:
                assert list(faults_in(service, one, "flows")) == []


def test_of_a_stranger_all_or_what_it_says_is_read() -> None:
    """Who is recorded at an address, from another process, is not seen reading."""
    with Recorder(CONTRACT, "shop@1.4") as recorder, MockServer(recorder.answer) as server:
        address = server.url.removeprefix("http://")
        with closing(http.client.HTTPConnection(address)) as connection:
            connection.request("GET", "/v1/models")
            assert json.load(connection.getresponse())["models"][0]["name"] == "flows"
            body = json.dumps({"instances": [GOOD]})
            connection.request("POST", PATH, body, {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200
    everything = recorder.recorded()
    assert "predictions[*].probabilities.normal" in everything.reads and "model" in everything.reads
    some = recorder.recorded(only=["label", "probabilities.attack"])
    assert some.reads == (
        "predictions", "predictions[*].label", "predictions[*].probabilities", "predictions[*].probabilities.attack",
    )  # fmt: skip
    assert some.interactions[0].response["predictions"][0].keys() == {"label", "probabilities"}


def test_an_application_that_asks_nothing_has_no_contract(tmp_path: Path) -> None:
    """Else it would be kept by anything."""
    with Recorder(CONTRACT, "shop@1.4") as recorder:
        pass
    with pytest.raises(UsageError, match="has asked the mock of flows nothing"):
        recorder.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("consumer", ["shop", "shop@", "@1", "../x@1", "shop@1/2", "a b@1"])
def test_an_application_is_named_with_its_version(consumer: str) -> None:
    """The name becomes that of a file."""
    with pytest.raises(UsageError, match="names no version"):
        Recorder(CONTRACT, consumer)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no contract"),
        ("[]", "no contract"),
        ("{}", "It has no 'metadata'"),
        (
            '{"consumer": {"name": "a"}, "provider": {"name": "flows"}, "interactions": [{}], "metadata": {}}',
            "'request'",
        ),
        (
            '{"consumer": {"name": "a"}, "provider": {"name": "m"}, "metadata": {}, "interactions": '
            '[{"request": {"method": "GET", "path": "/"}, "response": {"status": 200}}]}',
            "asks for no prediction",
        ),
    ],
)
def test_what_is_no_contract_is_told(tmp_path: Path, content: str, said: str) -> None:
    """A damaged file is not passed over: who recorded it counts on it."""
    path = tmp_path / "shop@1.json"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        read_pacts(tmp_path, "flows")
    assert said in str(caught.value) and "shop@1.json" in str(caught.value)


def test_matchers_of_other_tools_are_understood() -> None:
    """A place without a matcher must be equal; integers are not decimals; what is unknown must be equal."""
    contract = replace(CONTRACT, version=7)
    with Recorder(contract, "shop@1") as recorder:
        recorder.predict([GOOD])
    base = recorder.recorded(only=["id"]).interactions[0]

    def faults(response: Any, rules: Any) -> list[str]:
        with InProcess(mock_app(contract)) as service:
            return list(faults_in(service, replace(base, response=response, rules=rules), "flows"))

    assert faults({"version": 7}, {}) == []
    assert faults({"version": 8}, {}) == ["version is another value"]
    matched = [
        ("integer", []),
        ("decimal", ["version is not a decimal"]),
        ("number", []),
        ("boolean", ["version is not a boolean"]),
    ]
    for kind, said in [*matched, ("type", []), ("date", ["version is not the value recorded"])]:
        assert faults({"version": 1}, {"$.version": {"matchers": [{"match": kind}]}}) == said
    least = {"$.predictions": {"matchers": [{"match": "type", "min": 2}]}}
    assert faults({"predictions": [{}]}, least) == ["predictions is not of type list"]
    assert faults({"predictions": [{"score": 1}]}, {}) == ["predictions[*].score is missing"]
    assert faults({"model": {"a": 1}}, {}) == ["model is no object"]


def test_other_protocols_are_recorded_and_asked_again() -> None:
    """An application that sends tensors is one too; its answers are compared by their types."""
    fields = SIGNATURE.inputs[:1]
    contract = replace(CONTRACT, signature=replace(SIGNATURE, inputs=fields, examples=()))
    tensors = {"inputs": [{"name": "duration", "shape": [2, 1], "datatype": "INT16", "data": [1, 2]}]}
    with Recorder(contract, "shop@1.4") as recorder:
        headers = {"content-type": "application/json"}
        answered = recorder.answer("POST", "/v2/models/flows/infer", json.dumps(tensors).encode(), headers)
        assert answered.status == 200, answered.body
    recorded = recorder.recorded()
    assert recorded.asks("flows") and not recorded.asks("flow") and not recorded.asks("flows.v2")
    real = ServedModel("flows", Rule(), version=7, signature=contract.signature)
    fewer = ServedModel(
        "flows", Rule(), version=7, signature=replace(contract.signature, outputs=SIGNATURE.outputs[:1])
    )
    for model, is_kept in ((real, True), (fewer, False)):
        with InProcess(App([ModelMount(Endpoint(model))])) as service:
            assert (list(faults_in(service, recorded.interactions[0], "flows")) == []) == is_kept
