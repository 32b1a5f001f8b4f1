"""The Open Inference Protocol over gRPC: the answers of the REST surface, with gRPC's own codes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.serving.app import App
from filiera.serving.oip_grpc import serving
from filiera.serving.oip_messages import MESSAGES, SERVICE
from filiera.serving.server import serve
from tests.serving import inference
from tests.serving.inference import binary
from tests.serving.offers import GOOD, SIGNATURE, Broken, post, service

ROWS = [GOOD, {**GOOD, "duration": 90, "rate": None}]
CONTENTS = {"INT16": "int_contents", "BYTES": "bytes_contents", "FP64": "fp64_contents", "BOOL": "bool_contents"}
Call = Callable[..., Awaitable[Any]]


def talk(app: App, act: Callable[[Call], Awaitable[Any]]) -> Any:
    """Return what *act* returns, given a function that calls a method of *app*'s service on loopback."""

    async def run() -> Any:
        async with (
            serving(app, "127.0.0.1", 0, max_message_bytes=100_000) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):

            async def call(called: str, /, metadata: Any = (), **fields: Any) -> Any:
                method = channel.unary_unary(
                    f"/{SERVICE}/{called}",
                    request_serializer=MESSAGES[f"{called}Request"].SerializeToString,
                    response_deserializer=MESSAGES[f"{called}Response"].FromString,
                )
                return await method(MESSAGES[f"{called}Request"](**fields), metadata=metadata)

            return await act(call)

    return asyncio.run(run())


def ask(app: App, method: str, /, **fields: Any) -> Any:
    return talk(app, lambda call: call(method, **fields))


def refusal(app: App, method: str, /, **fields: Any) -> tuple[str, str]:
    """Return code and text of a refused call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        ask(app, method, **fields)
    return caught.value.code().name, str(caught.value.details())


def infer_fields(rows: Any, *, is_raw: bool) -> dict[str, Any]:
    """Return the fields of a request for *rows*."""
    tensors = inference.tensors_of(SIGNATURE, rows)
    inputs = []
    for tensor in tensors:
        values = [value.encode() if isinstance(value, str) else value for value in tensor["data"]]
        contents = {} if is_raw else {"contents": {CONTENTS[tensor["datatype"]]: values}}
        inputs.append({key: tensor[key] for key in ("name", "datatype", "shape")} | contents)
    raw = [binary(tensor["datatype"], tensor["data"]) for tensor in tensors] if is_raw else []
    return {"model_name": "flows", "inputs": inputs, "raw_input_contents": raw}


@pytest.fixture(scope="module")
def app() -> App:
    return service()


@pytest.mark.parametrize("is_raw", [True, False], ids=["raw", "typed"])
def test_calls_get_the_answers_that_records_get(app: App, is_raw: bool) -> None:
    """Raw or typed values in, raw values out; the id of the request comes back."""
    records = post(app, ROWS).json()["predictions"]
    answer = ask(app, "ModelInfer", id="7", **infer_fields(ROWS, is_raw=is_raw))
    assert (answer.model_name, answer.model_version, answer.id) == ("flows", "3", "7")
    assert [(each.name, each.datatype, list(each.shape)) for each in answer.outputs] == [
        ("label", "BYTES", [2]),
        ("probabilities", "FP64", [2, 2]),
        ("id", "BYTES", [2]),
    ]
    label, probabilities, _ = answer.raw_output_contents
    assert label == binary("BYTES", [record["label"] for record in records])
    assert np.frombuffer(probabilities, "<f8").reshape(2, 2).tolist() == [
        list(record["probabilities"].values()) for record in records
    ]


def test_some_outputs_can_be_asked_for(app: App) -> None:
    """In the order asked."""
    answer = ask(app, "ModelInfer", outputs=[{"name": "label"}], **infer_fields(ROWS, is_raw=True))
    assert [each.name for each in answer.outputs] == ["label"]


def test_server_and_model_describe_themselves(app: App) -> None:
    """As over REST; a model that is not there is not ready."""
    assert ask(app, "ServerLive").live
    assert ask(app, "ServerReady").ready
    assert ask(app, "ModelReady", name="flows", version="3").ready
    assert not ask(app, "ModelReady", name="flows", version="4").ready
    assert not ask(app, "ModelReady", name="other").ready
    assert ask(app, "ServerMetadata").name == "filiera"
    metadata = ask(app, "ModelMetadata", name="flows")
    assert [(each.name, each.datatype, list(each.shape)) for each in metadata.inputs][:2] == [
        ("duration", "INT16", [-1]),
        ("protocol", "BYTES", [-1]),
    ]
    assert [list(each.shape) for each in metadata.outputs] == [[-1], [-1, 2], [-1]]


def test_refusals_have_the_codes_of_grpc(app: App) -> None:
    """And the words of the service, never the caller's values."""
    good = infer_fields(ROWS, is_raw=True)
    wrong = infer_fields([{**GOOD, "protocol": "sesame"}], is_raw=True)
    code, text = refusal(app, "ModelInfer", **wrong)
    assert (code, "instances[0].protocol must be one of" in text) == ("INVALID_ARGUMENT", True)
    assert "sesame" not in text
    assert refusal(app, "ModelInfer", **good | {"model_name": "other"})[0] == "NOT_FOUND"
    assert refusal(app, "ModelInfer", **good | {"model_version": "4"})[0] == "NOT_FOUND"
    assert refusal(app, "ModelMetadata", name="other")[0] == "NOT_FOUND"
    assert refusal(app, "ModelInfer", **infer_fields([GOOD] * 6, is_raw=True))[0] == "RESOURCE_EXHAUSTED"
    assert refusal(app, "ModelInfer", **good | {"raw_input_contents": [b"x" * 200_000]})[0] == "RESOURCE_EXHAUSTED"
    few = good | {"raw_input_contents": good["raw_input_contents"][:1]}
    assert refusal(app, "ModelInfer", **few) == (
        "INVALID_ARGUMENT",
        "raw_input_contents must have one entry per input, and contents of inputs must not be set.",
    )
    failing = infer_fields([{**GOOD, "duration": 99}], is_raw=True)
    assert refusal(service(Broken()), "ModelInfer", **failing)[0] == "INTERNAL"


def test_a_service_with_a_token_wants_it_here_too() -> None:
    """In the metadata; health is open."""
    app = service(token="t")
    good = infer_fields(ROWS, is_raw=True)
    assert refusal(app, "ModelInfer", **good)[0] == "UNAUTHENTICATED"
    assert ask(app, "ServerReady").ready
    assert ask(app, "ModelInfer", metadata=(("authorization", "Bearer t"),), **good).model_name == "flows"


def test_a_service_that_stops_takes_no_more() -> None:
    """With the code that tells clients to try elsewhere, and when."""
    app = service()
    app._is_ready = False
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        ask(app, "ModelInfer", **infer_fields(ROWS, is_raw=True))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert ("retry-after", "1") in [tuple(each) for each in caught.value.trailing_metadata() or ()]
    assert not ask(app, "ServerReady").ready


def test_an_address_that_is_taken_is_told() -> None:
    """Before anything is loaded."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match="Cannot listen"):
            serve(_never, host="127.0.0.1", port=0, grpc_port=port, on_ready=print)
        with pytest.raises(UsageError, match="for gRPC"):
            asyncio.run(_enter(service(), port))


def _never() -> App:
    raise AssertionError("loaded")


async def _enter(app: App, port: int) -> None:
    async with serving(app, "127.0.0.1", port, max_message_bytes=1000):
        raise AssertionError("serving")


def test_parameters_of_tensors_are_passed_on() -> None:
    """A date as a number of days."""
    from filiera.core.signature import Field, Signature
    from tests.serving.signatures import OUTPUT

    class Days:
        def predict(self, frame: Any) -> Any:
            return np.array([float(day.toordinal()) for day in frame["at"].to_list()])

    signature = Signature(task="regression", inputs=(Field(name="at", type="date"),), outputs=(OUTPUT,))
    tensor = {
        "name": "at",
        "datatype": "INT64",
        "shape": [1],
        "parameters": {"unit": {"string_param": "D"}},
        "contents": {"int64_contents": [1]},
    }
    answer = ask(service(Days(), signature=signature), "ModelInfer", model_name="flows", inputs=[tensor])
    assert np.frombuffer(answer.raw_output_contents[0], "<f8").tolist() == [719_164.0]


STRANGE = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["duration", "protocol", "rate", "user", "rows", ""]),
        "datatype": st.sampled_from(["INT16", "BYTES", "FP64", "BOOL", "FP16", "", "INT64"]),
        "shape": st.lists(st.integers(-2, 3), max_size=3),
    },
    optional={
        "contents": st.fixed_dictionaries(
            {},
            optional={
                "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
                "fp64_contents": st.lists(st.floats(), max_size=3),
                "bytes_contents": st.lists(st.binary(max_size=3), max_size=3),
            },
        ),
        "parameters": st.just({"binary_data_size": {"int64_param": 5}, "unit": {"bool_param": True}}) | st.just({}),
    },
)


@given(
    calls=st.lists(st.tuples(st.lists(STRANGE, max_size=4), st.lists(st.binary(max_size=9), max_size=4)), max_size=5)
)
def test_nothing_but_a_refusal_comes_of_strange_calls(calls: Any) -> None:
    """Whatever a call holds, it is answered or refused as the caller's fault."""

    async def act(call: Call) -> None:
        for inputs, raw in calls:
            try:
                await call("ModelInfer", model_name="flows", inputs=inputs, raw_input_contents=raw)
            except grpc.aio.AioRpcError as error:
                assert error.code().name in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")

    talk(service(), act)


def test_the_messages_are_the_protocols() -> None:
    """Names and numbers of fields, spot-checked on the wire: a name is field 1, raw contents field 7."""
    call = MESSAGES["ModelInferRequest"](model_name="m", raw_input_contents=[b"x"])
    assert call.SerializeToString() == b"\x0a\x01m\x3a\x01x"
    answer = MESSAGES["ModelInferResponse"](raw_output_contents=[b"x"], parameters={"a": {"int64_param": 1}})
    assert answer.SerializeToString() == b"\x22\x07\x0a\x01a\x12\x02\x10\x01\x32\x01x"
