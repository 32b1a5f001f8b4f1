"""The paths of the Open Inference Protocol, in this process."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from filiera.serving.app import App
from tests.serving import inference
from tests.serving.inference import binary_body, json_body, outputs_of, tensors_of
from tests.serving.offers import GOOD, SIGNATURE, Broken, get, post, service, talk

INFER = "/v2/models/flows/infer"
ROWS = [GOOD, {**GOOD, "duration": 90, "rate": None}]
TENSORS = tensors_of(SIGNATURE, ROWS)


@pytest.fixture(scope="module")
def app() -> App:
    return service()


def infer(app: App, body: bytes, path: str = INFER, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return talk(app, lambda client: client.post(path, content=body, headers=named))


def values(answer: httpx.Response) -> dict[str, Any]:
    size = answer.headers.get("inference-header-content-length")
    return outputs_of(answer.content, None if size is None else int(size))


def test_tensors_get_the_answers_that_records_get(app: App) -> None:
    """The same labels and probabilities, whether in JSON or binary; ids name the predictions."""
    records = post(app, ROWS).json()["predictions"]
    expected = {
        "label": [record["label"] for record in records],
        "probabilities": [list(record["probabilities"].values()) for record in records],
    }
    body, size = binary_body(TENSORS, parameters={"binary_data_output": True}, id="7")
    plain = infer(app, json_body(TENSORS), content_type="application/json")
    binary = infer(app, body, inference_header_content_length=str(size))
    for answer in (plain, binary):
        assert answer.status_code == 200
        found = values(answer)
        assert [len(each) for each in found.pop("id")] == [26, 26]
        assert found == expected
    assert plain.headers["content-type"] == "application/json"
    assert binary.headers["content-type"] == "application/octet-stream"
    document = json.loads(binary.content[: int(binary.headers["inference-header-content-length"])])
    assert (document["model_name"], document["model_version"], document["id"]) == ("flows", "3", "7")


def test_some_outputs_can_be_asked_for(app: App) -> None:
    """Each as JSON or as binary data."""
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "label"}]
    answer = infer(app, json_body(TENSORS, outputs=wanted), content_type="application/json")
    assert values(answer) == {"probabilities": [[0.25, 0.75], [0.75, 0.25]], "label": ["normal", "attack"]}


@pytest.mark.parametrize(
    ("members", "at", "rule"),
    [
        ({"outputs": [{"name": "colour"}]}, "outputs.colour", "is not an output of this model; those are: label, "),
        ({"outputs": [{"name": "label"}] * 2}, "outputs.label", "is asked for more than once"),
        ({"outputs": [{}]}, "outputs[0]", "object missing required field name"),
    ],
)
def test_outputs_that_are_not_there_are_refused(app: App, members: Any, at: str, rule: str) -> None:
    """By name; and the protocol's member ``error`` says all that the problem document says."""
    answer = infer(app, json_body(TENSORS, **members), content_type="application/json")
    problem = answer.json()
    assert answer.status_code == problem["status"] == 422
    assert problem["errors"][0]["at"] == at
    assert problem["errors"][0]["rule"].startswith(rule)
    assert at in problem["error"]


def test_refusals_never_repeat_values(app: App) -> None:
    """A value that is refused is told by its place."""
    secret = [tensor | {"data": ["sesame", "sesame"]} for tensor in TENSORS if tensor["datatype"] == "BYTES"]
    answer = infer(app, json_body(secret), content_type="application/json")
    assert answer.status_code == 422
    assert "instances[0].protocol" in answer.text
    assert "sesame" not in answer.text


def test_a_version_can_be_named(app: App) -> None:
    """The one that answers; another is not there."""
    for path in ("", "/versions/3"):
        assert get(app, f"/v2/models/flows{path}").json()["versions"] == ["3"]
        assert get(app, f"/v2/models/flows{path}/ready").json() == {"name": "flows", "ready": True}
        answer = infer(app, json_body(TENSORS), f"/v2/models/flows{path}/infer", content_type="application/json")
        assert answer.status_code == 200
    for path in ("/v2/models/flows/versions/4", "/v2/models/flows/versions/4/ready", "/v2/models/flows/versions/x"):
        assert get(app, path).status_code == 404
    other = infer(app, json_body(TENSORS), "/v2/models/flows/versions/4/infer", content_type="application/json")
    assert (other.status_code, other.json()["type"]) == (404, "urn:filiera:problem:unknown-version")
    unknown = get(app, "/v2/models/other")
    assert (unknown.status_code, "Nothing is served" in unknown.json()["error"]) == (404, True)


def test_the_server_describes_itself() -> None:
    """Name, version, extensions, health; of these only health without the token."""
    app = service(token="t")
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert get(app, path).status_code == 200
    assert get(app, "/v2").status_code == 401
    described = get(app, "/v2", headers={"authorization": "Bearer t"}).json()
    assert (described["name"], described["extensions"]) == ("filiera", ["binary_tensor_data"])


def test_a_service_that_is_not_ready_says_so() -> None:
    """Before it has warmed up, or while it stops."""
    app = service()
    app._is_ready = False
    for path in ("/v2/health/ready", "/v2/models/flows/ready"):
        assert get(app, path).status_code == 503
    assert get(app, "/v2/health/live").status_code == 200
    assert infer(app, json_body(TENSORS), content_type="application/json").status_code == 503


def test_a_body_without_a_type_comes_from_no_web_page(app: App) -> None:
    """Clients of the protocol may leave the type out; what a page can send without asking is refused."""
    assert infer(app, json_body(TENSORS)).status_code == 200
    assert infer(app, json_body(TENSORS), origin="https://evil.example").status_code == 415
    assert infer(app, json_body(TENSORS), content_type="text/plain").status_code == 415


@pytest.mark.parametrize("size", ["-1", "x", "9" * 40, "٣", ""])
def test_the_length_of_the_json_is_a_number(app: App, size: str) -> None:
    """Anything else in that header is refused."""
    body, _ = binary_body(TENSORS)
    answer = talk(
        app,
        lambda client: client.post(INFER, content=body, headers=[(b"inference-header-content-length", size.encode())]),
    )
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:filiera:problem:wrong-length")


def test_a_model_that_fails_is_told_as_such() -> None:
    """With the status of a failure, and the protocol's member."""
    tensors = tensors_of(SIGNATURE, [{**GOOD, "duration": 99}])
    answer = infer(service(Broken()), json_body(tensors), content_type="application/json")
    assert answer.status_code == 500
    assert answer.json()["error"].startswith("The model failed on this request")


def test_what_is_sent_and_answered_follows_the_document(app: App) -> None:
    """The OpenAPI document has the protocol's paths, with the tensors of this model."""
    document = get(app, "/openapi.json").json()
    components = document["components"]["schemas"]
    request = json.loads(json_body(TENSORS))
    answer = infer(app, json_body(TENSORS), content_type="application/json").json()
    Draft202012Validator(components["flows.InferenceRequest"]).validate(request)
    Draft202012Validator(components["flows.InferenceResponse"]).validate(answer)
    renamed = {"inputs": [request["inputs"][0] | {"name": "length"}, *request["inputs"][1:]]}
    assert not Draft202012Validator(components["flows.InferenceRequest"]).is_valid(renamed)
    infers = [path for path in document["paths"] if path.endswith("/infer")]
    assert infers == [INFER, "/v2/models/flows/versions/{version}/infer"]
    assert inference.DATATYPES["bool"] == "BOOL"
