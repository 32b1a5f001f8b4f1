"""The Open Inference Protocol over gRPC: each call becomes a request of its REST surface, in this process.

So limits, token, readiness, metrics, validation, log and answers are those of the service, and there is one way through
the model. Tensors stay binary; what gRPC adds is its own framing.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from filiera.errors import UsageError
from filiera.serving.app import App
from filiera.serving.http import TIMEOUT_HEADER
from filiera.serving.in_process import ask
from filiera.serving.oip_bodies import LENGTH_HEADER
from filiera.serving.oip_tensors import DTYPES
from filiera.serving.plain_caller import Reply

_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
"""Where values of a datatype stand when they are not raw."""
_CODES: Mapping[int, str] = {
    401: "UNAUTHENTICATED", 404: "NOT_FOUND", 408: "DEADLINE_EXCEEDED", 413: "RESOURCE_EXHAUSTED",
    500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
"""gRPC's name of a refusal by its HTTP status; of others, INVALID_ARGUMENT."""
_MAX_TIMEOUT_MS = 999_999_999
_PASSED = ("authorization", "traceparent", "tracestate", "x-request-id")


class Refused(Exception):
    """A call that cannot be put as a request."""


@asynccontextmanager
async def serving(app: App, host: str, port: int, *, max_message_bytes: int) -> AsyncIterator[str]:
    """Answer gRPC with *app* within the context, whose value is the address.

    Args:
        app: A started service.
        host: Name or address to listen on.
        port: 0 takes a free one.
        max_message_bytes: A larger request is refused by the library.

    Raises:
        UsageError: The address cannot be listened on.
    """
    import grpc

    from filiera.serving.oip_messages import SERVICE

    options = [("grpc.max_receive_message_length", max_message_bytes), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options)
    handler = grpc.method_handlers_generic_handler(SERVICE, _handlers(app))
    server.add_generic_rpc_handlers((handler,))
    place = f"[{host}]" if ":" in host else host
    try:
        bound = server.add_insecure_port(f"{place}:{port}")
    except RuntimeError as error:
        raise UsageError(
            f"Cannot listen on {host}, port {port}, for gRPC.",
            why="The address is taken, or none of this machine.",
            do="choose another port, or 0 for any free one",
        ) from error
    await server.start()
    try:
        yield f"{place}:{bound}"
    finally:
        # What is under way is done: the service has drained before it lets go of this.
        await asyncio.shield(server.stop(grace=0))


def _handlers(app: App) -> dict[str, Any]:
    import grpc

    from filiera.serving.oip_messages import MESSAGES

    acts: Mapping[str, Callable[..., Awaitable[Any]]] = {
        "ServerLive": partial(_probe, path=lambda _: "/v2/health/live", member="live"),
        "ServerReady": partial(_probe, path=lambda _: "/v2/health/ready", member="ready"),
        "ModelReady": partial(_probe, path=lambda call: f"{_model(call.name, call.version)}/ready", member="ready"),
        "ServerMetadata": partial(_describe, path=lambda _: "/v2"),
        "ModelMetadata": partial(_describe, path=lambda call: _model(call.name, call.version)),
        "ModelInfer": _infer,
    }
    return {
        name: grpc.unary_unary_rpc_method_handler(
            partial(act, app, MESSAGES[f"{name}Response"]),
            request_deserializer=MESSAGES[f"{name}Request"].FromString,
            response_serializer=MESSAGES[f"{name}Response"].SerializeToString,
        )
        for name, act in acts.items()
    }


async def _probe(app: App, response: Any, call: Any, context: Any, *, path: Any, member: str) -> Any:
    answered = await ask(app, "GET", path(call), b"", _headers(context))
    if answered.status in (200, 404, 503):
        return response(**{member: answered.status == 200})
    await _refuse(context, answered)
    return None


async def _describe(app: App, response: Any, call: Any, context: Any, *, path: Any) -> Any:
    answered = await ask(app, "GET", path(call), b"", _headers(context))
    if answered.status != 200:
        await _refuse(context, answered)
    return response(**json.loads(answered.body))


async def _infer(app: App, response: Any, call: Any, context: Any) -> Any:
    import grpc

    try:
        body, json_bytes = _body(call)
    except Refused as refused:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(refused))
    headers = _headers(context) | {"content-type": "application/octet-stream", LENGTH_HEADER: str(json_bytes)}
    answered = await ask(app, "POST", f"{_model(call.model_name, call.model_version)}/infer", body, headers)
    if answered.status != 200:
        await _refuse(context, answered)
    return _response(response, answered)


async def _refuse(context: Any, answered: Reply) -> None:
    import grpc

    retry = answered.headers.get("retry-after")
    if retry is not None:
        context.set_trailing_metadata((("retry-after", retry),))
    code = _CODES.get(answered.status, "INVALID_ARGUMENT")
    await context.abort(getattr(grpc.StatusCode, code), json.loads(answered.body)["error"])


def _model(name: str, version: str) -> str:
    return f"/v2/models/{name}/versions/{version}" if version else f"/v2/models/{name}"


def _headers(context: Any) -> dict[str, str]:
    """Return the headers of the request: no web page speaks gRPC, so that the name it was sent to says nothing."""
    headers = {"host": "localhost"}
    for name, value in context.invocation_metadata() or ():
        if name in _PASSED and isinstance(value, str):
            headers[name] = value
    left_s = context.time_remaining()
    if left_s is not None and math.isfinite(left_s):
        headers[TIMEOUT_HEADER] = str(min(max(math.ceil(left_s * 1000), 0), _MAX_TIMEOUT_MS))
    return headers


def _body(call: Any) -> tuple[bytes, int]:
    """Return the call as a body of the REST surface, and how much of it is JSON. Raises Refused."""
    raw = list(call.raw_input_contents)
    if raw and (len(raw) != len(call.inputs) or any(each.HasField("contents") for each in call.inputs)):
        raise Refused("raw_input_contents must have one entry per input, and contents of inputs must not be set.")
    inputs, blobs = [], []
    for place, tensor in enumerate(call.inputs):
        head: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        parameters = _parameters(tensor.parameters)
        found = raw[place] if raw else _contents(tensor)
        if isinstance(found, bytes):
            blobs.append(found)
            parameters["binary_data_size"] = len(found)
        else:
            head["data"] = found
        inputs.append(head | {"parameters": parameters})
    request = {
        "id": call.id,
        "parameters": {"binary_data_output": True},
        "inputs": inputs,
        "outputs": [{"name": output.name} for output in call.outputs],
    }
    text = msgspec.json.encode(request)
    return b"".join([text, *blobs]), len(text)


def _parameters(given: Any) -> dict[str, Any]:
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in given.items()}
    return {
        name: getattr(given[name], choice)
        for name, choice in chosen.items()
        if choice is not None and name != "binary_data_size"
    }


def _contents(tensor: Any) -> bytes | Sequence[Any]:
    """Return the values of a tensor that are not raw: floats as binary data, for JSON lacks some; else a list."""
    name = _CONTENTS.get(tensor.datatype)
    values = [] if name is None else list(getattr(tensor.contents, name))
    if tensor.datatype.startswith("FP") and name is not None:
        import numpy as np

        return np.array(values, dtype=DTYPES[tensor.datatype]).tobytes()
    if tensor.datatype != "BYTES":
        return values
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError:
        raise Refused(f"inputs[{tensor.name[:64]!r}] must be UTF-8 text.") from None


def _response(response: Any, answered: Reply) -> Any:
    json_bytes = int(answered.headers[LENGTH_HEADER])
    document = json.loads(answered.body[:json_bytes])
    blobs, begin = [], json_bytes
    for output in document["outputs"]:
        size = output.pop("parameters")["binary_data_size"]
        blobs.append(answered.body[begin : begin + size])
        begin += size
    return response(**document, raw_output_contents=blobs)
