"""The generated contract: valid documents that say exactly what the service does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from filiera.core.signature import Field, Output, Signature
from filiera.errors import UsageError
from filiera.serving import openapi
from filiera.serving.answers import label_key
from filiera.serving.contract import (
    ModelContract,
    describe,
    request_schema,
    response_schema,
    row_schema,
    shown_examples,
)
from filiera.serving.domain import INTEGER_RANGES, try_temporal
from filiera.serving.endpoint import Endpoint
from filiera.serving.model_mount import ModelMount
from filiera.serving.problem import RequestRefused
from filiera.serving.records import RowDecoder
from filiera.serving.served_model import ServedModel
from tests.serving.offers import GOOD, SIGNATURE, Rule, post, service
from tests.serving.signatures import rows_of, signatures

CONTRACT = ModelContract(name="flows", version=3, signature=SIGNATURE)
FORMATS = FormatChecker(formats=())
FORMATS.checks("date")(lambda value: not isinstance(value, str) or try_temporal("date", value) is not None)
FORMATS.checks("date-time")(lambda value: not isinstance(value, str) or try_temporal("timestamp", value) is not None)

WRONG = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.just([])
    | st.just({})
)


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FORMATS)


def accepts(signature: Signature, request: Any) -> bool:
    try:
        RowDecoder(signature).decode(json.dumps(request).encode())
    except RequestRefused as refused:
        assert refused.problem.status in (413, 422)
        return False
    return True


@given(data=st.data())
def test_the_schema_and_the_service_take_the_same_rows(data: st.DataObject) -> None:
    """For any signature: valid rows pass both, and a wrong value, a missing or an extra field fails in both or neither.

    Left out is what JSON Schema cannot tell from an integer: 1.0.
    """
    signature = data.draw(signatures())
    rows = data.draw(st.lists(rows_of(signature), min_size=1, max_size=signature.max_rows))
    check = validator(request_schema(signature))
    assert check.is_valid({"instances": rows})
    assert accepts(signature, {"instances": rows})

    row, field = data.draw(st.sampled_from(rows)), data.draw(st.sampled_from(signature.inputs))
    change = data.draw(st.sampled_from(["wrong", "missing", "extra", "no row", "envelope"]))
    request: dict[str, Any] = {"instances": rows}
    if change == "wrong":
        row[field.name] = data.draw(WRONG)
        assume(not (field.type in INTEGER_RANGES and isinstance(row[field.name], float)))
    elif change == "missing":
        row.pop(field.name, None)
    elif change == "extra":
        row[data.draw(st.text(max_size=3))] = data.draw(WRONG)
        assume(not any(isinstance(row.get(f.name), float) and f.type in INTEGER_RANGES for f in signature.inputs))
    elif change == "no row":
        rows[:] = data.draw(st.sampled_from([[], [1], [None], rows * 5]))
    else:
        request["more"] = 1
    assert accepts(signature, request) == check.is_valid(request)


def test_the_example_follows_the_schema_and_hides_secrets() -> None:
    """Examples are valid, NaN is shown as null, and sensitive values of the training data as neutral ones."""
    shown = shown_examples(SIGNATURE)
    assert shown == [{**GOOD, "user": ""}, {**GOOD, "rate": None, "user": ""}]
    assert validator(request_schema(SIGNATURE)).is_valid({"instances": shown})


@pytest.mark.parametrize(
    "field",
    [
        Field(name="x", type="int8", minimum=3, sensitive=True),
        Field(name="x", type="float32", maximum=-1, sensitive=True),
        Field(name="x", type="string", values=("a",), sensitive=True),
        Field(name="x", type="timestamp", sensitive=True),
        Field(name="x", type="date", nullable=True, sensitive=True),
        Field(name="x", type="bool", sensitive=True),
    ],
)
def test_a_neutral_value_is_of_the_domain(field: Field) -> None:
    """What stands for a secret is a value that the field takes."""
    signature = Signature(task="regression", inputs=(field,), outputs=(), examples=({"x": "secret"},))
    assert validator(row_schema(signature)).is_valid(shown_examples(signature)[0])


def test_a_real_answer_follows_the_response_schema() -> None:
    """What the service answers is what its contract says."""
    answer = post(service(), [GOOD, {**GOOD, "duration": 100}]).json()
    validator(response_schema(CONTRACT)).validate(answer)
    wrong = {**answer, "predictions": [{**answer["predictions"][0], "label": "other"}]}
    assert not validator(response_schema(CONTRACT)).is_valid(wrong)


def test_the_document_is_openapi_3_1() -> None:
    """The document has the paths, statuses and schemas of the service, and every reference leads somewhere."""
    model = ServedModel("flows", Rule(), version=3, signature=SIGNATURE)
    document = openapi.document([ModelMount(Endpoint(model))], needs_token=True, local_names_only=True)
    operation = document["paths"]["/v1/models/flows:predict"]["post"]
    assert set(operation["responses"]) == {
        "200",
        "400",
        "401",
        "408",
        "413",
        "415",
        "421",
        "422",
        "500",
        "502",
        "503",
        "504",
    }
    assert operation["requestBody"]["content"]["application/json"]["example"]["instances"][0]["duration"] == 3
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for name in references(document):
        assert name.removeprefix("#/components/schemas/") in document["components"]["schemas"]
    ids = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(ids) == len(set(ids))


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [node["$ref"]] if "$ref" in node else [name for each in node.values() for name in references(each)]
    return [name for each in node for name in references(each)] if isinstance(node, list) else []


def test_the_card_is_json() -> None:
    """The description holds nothing that JSON cannot say."""
    assert json.loads(json.dumps(describe(CONTRACT), allow_nan=False))["signature"]["inputs"][0]["unit"] == "s"


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a:predict", "ü"])
def test_a_name_must_fit_into_a_path(name: str) -> None:
    """Names that would need escaping are refused."""
    with pytest.raises(UsageError, match="name"):
        ModelContract(name=name, version=1, signature=SIGNATURE)


def test_labels_of_any_type_have_a_key() -> None:
    """Keys of JSON objects are text; labels that are not become what JSON prints for them."""
    assert [label_key(label) for label in (True, 0, "a")] == ["true", "0", "a"]
    output = Output(name="p", type="float64", semantics="probability", labels=(False, True))
    signature = Signature(task="classification", inputs=SIGNATURE.inputs, outputs=(output,))
    schema = response_schema(ModelContract(name="m", version=1, signature=signature))
    answers = schema["properties"]["predictions"]["items"]["properties"]
    assert answers["probabilities"]["required"] == ["false", "true"]
