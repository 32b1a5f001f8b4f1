"""Bodies of the Open Inference Protocol: what they hold, and what is refused and where."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.signature import Field, Output, Signature
from filiera.serving.batch import Batch
from filiera.serving.columns import ColumnDecoder
from filiera.serving.oip_bodies import Asked, read, write
from filiera.serving.oip_tensors import TensorDecoder, input_metadata, output_metadata, tensors_of
from filiera.serving.problem import Problem, RequestRefused
from filiera.serving.records import RowDecoder
from filiera.serving.served_model import Predictions, request_body
from tests.serving import inference
from tests.serving.inference import binary_body, json_body
from tests.serving.offers import GOOD, SIGNATURE
from tests.serving.signatures import OUTPUT, rows_of, signatures

FLOWS = inference.tensors_of(SIGNATURE, [GOOD, {**GOOD, "rate": None}])


def decoder_of(signature: Signature) -> TensorDecoder:
    return TensorDecoder(ColumnDecoder(signature), signature)


def rows(signature: Signature, body: bytes, json_bytes: int | None = None) -> list[tuple[Any, ...]]:
    batch, _ = read(decoder_of(signature), body, json_bytes)
    return batch.frame().rows()


def refusal(body: bytes, json_bytes: int | None = None, signature: Signature = SIGNATURE) -> tuple[str, list[Any]]:
    """Return kind, places and rules of a refused request."""
    with pytest.raises(RequestRefused) as caught:
        read(decoder_of(signature), body, json_bytes)
    return caught.value.problem.kind, [(error.at, error.rule) for error in caught.value.problem.errors]


def flows(**changes: Any) -> list[inference.Tensor]:
    """Return good tensors with those of *changes* in place of others."""
    return [tensor | changes.get(tensor["name"], {}) for tensor in FLOWS]


@given(data=st.data())
def test_tensors_and_rows_get_the_same_verdict(data: st.DataObject) -> None:
    """For any signature, rows sent as tensors, in JSON or binary, are taken and refused as records are."""
    signature = data.draw(signatures())
    several = data.draw(st.lists(rows_of(signature), min_size=1, max_size=signature.max_rows + 1))
    names = [field.name for field in signature.inputs if all(field.name in row for row in several)]
    if not names:
        return
    several = [{name: row[name] for name in names} for row in several]
    narrow = replace(
        signature, inputs=tuple(data.draw(st.sampled_from([field, _narrower(field)])) for field in signature.inputs)
    )
    expected = _verdict(lambda: RowDecoder(narrow).decode(request_body(several)))
    tensors = inference.tensors_of(signature, several)
    decoder = decoder_of(narrow)
    assert _verdict(lambda: read(decoder, json_body(tensors), None)[0]) == expected
    if not any(field.type == "float32" for field in signature.inputs):  # which have other values in binary
        assert _verdict(lambda: read(decoder, *binary_body(tensors))[0]) == expected


def _narrower(field: Field) -> Field:
    """Return *field* so that it refuses some of what it took."""
    if field.optional or field.values is not None or field.type not in ("int64", "float64", "string"):
        return field
    if field.type == "string":
        return replace(field, max_length=1, pattern="")
    least = -1 if field.maximum is None else field.maximum - 1
    return replace(field, minimum=least)


def _verdict(act: Any) -> dict[str, list[Any]] | Problem:
    try:
        batch: Batch = act()
    except RequestRefused as refused:
        return refused.problem
    return batch.frame().to_dict(as_series=False)


def test_one_matrix_stands_for_inputs_of_one_type() -> None:
    """Rows by inputs, flat or nested, or as binary data; only where all inputs are of one type of number."""
    signature = Signature(
        task="regression",
        inputs=tuple(Field(name=f"f{place}", type="float32", maximum=5) for place in range(3)),
        outputs=(OUTPUT,),
    )
    flat = [0.5, 1.0, 2.0, 3.0, 4.0, 5.0]
    matrix = {"name": "rows", "datatype": "FP32", "shape": [2, 3], "data": flat}
    nested = matrix | {"data": [flat[:3], flat[3:]]}
    expected = [(0.5, 1.0, 2.0), (3.0, 4.0, 5.0)]
    assert rows(signature, json_body([matrix])) == expected
    assert rows(signature, json_body([nested])) == expected
    assert rows(signature, *binary_body([matrix])) == expected
    over = matrix | {"data": [0.5, 1.0, 2.0, 3.0, 9.0, 5.0]}
    for body in ((json_body([over]), None), binary_body([over])):
        assert refusal(*body, signature=signature) == ("invalid-rows", [("instances[1].f1", "must be at most 5")])
    ragged = matrix | {"data": [[0.5, 1.0, 2.0], [3.0]]}
    assert refusal(json_body([ragged]), signature=signature)[1] == [
        ("inputs.rows", "must have 3 values in each row, as its shape says")
    ]
    for changes, rule in (
        ({"shape": [3, 2]}, "must have shape [rows, 3]"),
        ({"datatype": "FP64"}, "must have datatype FP32"),
    ):
        assert refusal(json_body([matrix | changes]), signature=signature)[1] == [("inputs.rows", rule)]
    assert refusal(json_body([matrix]))[1] == [
        ("inputs.rows", "needs inputs of one type of number; send one tensor per field")
    ]


@pytest.mark.parametrize(
    ("kind", "unit", "number", "expected"),
    [
        ("date", "D", 0, dt.date(1970, 1, 1)),
        ("date", "D", -719_162, dt.date(1, 1, 1)),
        ("date", "D", -719_163, None),
        ("timestamp", "s", 1, dt.datetime(1970, 1, 1, 0, 0, 1)),
        ("timestamp", "ms", -1, dt.datetime(1969, 12, 31, 23, 59, 59, 999_000)),
        ("timestamp", "us", 253_402_300_799_999_999, dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)),
        ("timestamp", "us", 253_402_300_800_000_000, None),
        ("timestamp", "s", 2**63 - 1, None),
        ("timestamp", "ns", 1999, dt.datetime(1970, 1, 1, 0, 0, 0, 1)),
        ("timestamp", "ns", -(2**63), None),
    ],
)
def test_dates_and_times_may_be_numbers(kind: Any, unit: str, number: int, expected: Any) -> None:
    """INT64 with a unit, since 1970 in UTC; what no calendar has is refused."""
    signature = Signature(task="regression", inputs=(Field(name="at", type=kind),), outputs=(OUTPUT,))
    tensor = {"name": "at", "datatype": "INT64", "shape": [1], "data": [number], "parameters": {"unit": unit}}
    for body in ((json_body([tensor]), None), binary_body([tensor])):
        if expected is not None:
            assert rows(signature, *body) == [(expected,)]
        else:
            ((at, rule),) = refusal(*body, signature=signature)[1]
            assert (at, rule.startswith(f"must be a {kind.replace('stamp', '')}")) == ("instances[0].at", True)
    units = "D" if kind == "date" else "s, ms, us, ns"
    for parameters in ({}, {"unit": "h"}, {"unit": 3}):
        assert refusal(json_body([tensor | {"parameters": parameters}]), signature=signature)[1] == [
            ("inputs.at", f"must have datatype BYTES, or INT64 with parameters.unit one of: {units}")
        ]


@pytest.mark.parametrize(
    ("changes", "at", "rule"),
    [
        ({"duration": {"datatype": "INT32"}}, "inputs.duration", "must have datatype INT16"),
        ({"duration": {"datatype": "FP16"}}, "inputs.duration", "must have datatype INT16"),
        ({"duration": {"shape": []}}, "inputs.duration", "must have shape [rows] or [rows, 1]"),
        ({"duration": {"shape": [1, 2]}}, "inputs.duration", "must have shape [rows] or [rows, 1]"),
        ({"user": {"shape": [3]}}, "inputs.user", "must have as many rows as the first tensor"),
        ({"duration": {"data": [1]}}, "inputs.duration", "must have 2 values, as its shape says"),
        ({"duration": {"data": 7}}, "inputs.duration", "must have data: a list of its values"),
        ({"duration": {"name": "length"}}, "inputs.length", "is not a field of this model"),
        ({"duration": {"name": "user"}}, "inputs.user", "is given more than once"),
        ({"rate__valid": {"datatype": "INT8"}}, "inputs.rate__valid", "must have datatype BOOL"),
        ({"rate__valid": {"data": [1, "x"]}}, "inputs.rate__valid", "must have values that are true or false"),
        ({"user": {"data": ["a", 1]}}, "instances[1].user", "must be a string"),
        ({"duration": {"data": [3, [1]]}}, "instances[1].duration", "must be an integer"),
        ({"duration": {"parameters": {"binary_data_size": 4}}}, "inputs.duration", "must have data, or a binary"),
        ({"duration": {"name": 1}}, "inputs[0].name", "expected str, got int"),
        ({"duration": {"shape": [1.5]}}, "inputs[0].shape[0]", "expected int, got float"),
    ],
)
def test_a_wrong_tensor_is_named(changes: Any, at: str, rule: str) -> None:
    """The tensor, or the value in it, and what must hold there."""
    kind, errors = refusal(json_body(flows(**changes)))
    assert kind == "invalid-rows"
    assert errors[0][0] == at
    assert errors[0][1].startswith(rule)


def test_binary_data_must_be_as_long_as_it_says() -> None:
    """Cut off, longer, of another size than the shape, or with lengths of texts that lead elsewhere: refused."""
    body, size = binary_body(FLOWS)
    assert refusal(body[:-1], size)[0] == "wrong-length"
    assert refusal(body + b"\0", size)[0] == "wrong-length"
    assert refusal(body[: size - 1], size)[0] == "wrong-length"
    assert refusal(body, None)[0] == "not-json"
    assert refusal(body, size - 1)[0] == "not-json"
    one = flows(duration={"data": [1]})
    assert refusal(*binary_body(one))[1] == [("inputs.duration", "must have 4 bytes of binary data, 2 per value")]
    broken = body.replace(b"\3\0\0\0tcp", b"\xff\xff\xff\xfftcp", 1)
    assert refusal(broken, size)[1][0][0] == "inputs.protocol"
    not_text = body.replace(b"\3\0\0\0ann", b"\3\0\0\0\xff\xff\xff", 1)
    assert refusal(not_text, size)[1] == [("inputs.user[0]", "must be UTF-8 text")]
    negative = json.dumps({"inputs": [{**FLOWS[0], "data": None, "parameters": {"binary_data_size": -1}}]}).encode()
    assert refusal(negative, len(negative))[0] == "invalid-rows"


def test_rows_are_counted_before_values_are_read() -> None:
    """What would be too many rows is refused by the shape alone; so is none."""
    huge = [tensor | {"shape": [2**62], "data": []} for tensor in FLOWS]
    assert refusal(json_body(huge))[0] == "too-many-rows"
    assert refusal(json_body([tensor | {"shape": [0], "data": []} for tensor in FLOWS]))[0] == "invalid-rows"
    assert refusal(json_body([tensor | {"shape": [-1]} for tensor in FLOWS]))[0] == "invalid-rows"
    assert refusal(json_body([]))[1] == [("inputs", "must have one tensor per field")]


PREDICTIONS = Predictions(
    ids=("a", "b"),
    promised=(
        Output(name="label", type="string", semantics="label"),
        Output(name="probability", type="float64", semantics="probability", labels=("n", "ö")),
        Output(name="cluster", type="int8", semantics="cluster"),
    ),
    outputs=(np.array(["n", "ö"]), np.array([[0.25, 0.75], [1.0, 0.0]]), np.array([1, -1])),
)


@pytest.mark.parametrize("binary", [None, frozenset(), frozenset({"label", "cluster"})])
def test_responses_have_the_tensors_asked_for(binary: frozenset[str] | None) -> None:
    """All of them, ids too, in the order of the signature; as JSON, binary data or some of both."""
    asked = Asked(id="7", outputs=(), binary=binary)
    content, size = write({"model_name": "m"}, tensors_of(PREDICTIONS, ()), asked)
    assert (size is None) is (binary == frozenset())
    assert json.loads(content[:size])["id"] == "7"
    assert inference.outputs_of(content, size) == {
        "label": ["n", "ö"],
        "probability": [[0.25, 0.75], [1.0, 0.0]],
        "cluster": [1, -1],
        "id": ["a", "b"],
    }
    assert [tensor.name for tensor in tensors_of(PREDICTIONS, ("id", "label"))] == ["id", "label"]


def test_the_metadata_names_all_tensors() -> None:
    """Inputs with their masks; outputs, and the ids of predictions."""
    assert [(each["name"], each["datatype"]) for each in input_metadata(SIGNATURE)] == [
        ("duration", "INT16"),
        ("protocol", "BYTES"),
        ("rate", "FP64"),
        ("rate__valid", "BOOL"),
        ("user", "BYTES"),
    ]
    assert output_metadata(SIGNATURE) == [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
        {"name": "id", "datatype": "BYTES", "shape": [-1]},
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
STRANGE_TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["duration", "protocol", "rate", "rate__valid", "user", "rows", ""]) | JSON,
        "datatype": st.sampled_from(["INT16", "BYTES", "FP64", "BOOL", "INT64", "FP16"]) | JSON,
        "shape": st.lists(st.integers(-2, 3), max_size=3) | JSON,
        "data": st.lists(JSON, max_size=3) | JSON,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 20) | JSON}) | JSON,
    },
)


@given(tensors=st.lists(STRANGE_TENSORS, max_size=5), tail=st.binary(max_size=20), cut=st.integers(0, 30))
def test_nothing_but_a_refusal_comes_of_strange_tensors(tensors: Any, tail: bytes, cut: int) -> None:
    """Whatever a request holds, the decoder takes it or refuses it."""
    text = json_body(tensors)
    for body, size in ((text + tail, len(text)), (text, None), ((text + tail)[: len(text) - cut], len(text))):
        _verdict(lambda body=body, size=size: read(decoder_of(SIGNATURE), body, size)[0])  # type: ignore[misc]


@given(data=st.data())
def test_nothing_but_a_refusal_comes_of_a_damaged_request(data: st.DataObject) -> None:
    """A few bytes changed anywhere in a good request: taken or refused."""
    body, size = binary_body(FLOWS)
    damaged = bytearray(body)
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    _verdict(lambda: read(decoder_of(SIGNATURE), bytes(damaged), size)[0])
