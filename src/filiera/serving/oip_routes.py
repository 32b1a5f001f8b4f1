"""The paths of the Open Inference Protocol, version 2, over HTTP.

Source: github.com/kserve/open-inference-protocol, ``specification/protocol/inference_rest.md``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from filiera.serving import oip_bodies
from filiera.serving.contract import ModelContract
from filiera.serving.endpoint import Asking
from filiera.serving.http import Request, Response, json_response, problem_response
from filiera.serving.mount import Route
from filiera.serving.oip_bodies import LENGTH_HEADER, Asked
from filiera.serving.oip_tensors import check_outputs, input_metadata, output_metadata, tensors_of
from filiera.serving.problem import NOT_READY, Problem, RequestRefused
from filiera.serving.served_model import Predictions, Question, ServedModel

SERVER = "filiera"
EXTENSIONS = ("binary_tensor_data",)
_ANY_VERSION = "/versions/{version}"
_BINARY = "application/octet-stream"


class Answer(Protocol):
    """Has a question answered; see ``ModelMount.answer``."""

    def __call__(self, read: Callable[[ServedModel], Question[Response]], asking: Asking) -> Awaitable[Response]: ...


def is_inference(path: str) -> bool:
    """Tell whether *path* is one of the protocol's, whose problems carry its member ``error`` too."""
    return path == "/v2" or path.startswith("/v2/")


def with_any_version(path: str) -> str:
    """Return *path* with ``{version}`` for the version of a model that it names.

    >>> with_any_version("/v2/models/flows/versions/3/infer")
    '/v2/models/flows/versions/{version}/infer'
    """
    return re.sub(r"^(/v2/models/[^/]+)/versions/[^/]+", rf"\1{_ANY_VERSION}", path, count=1)


def server_routes(is_ready: Callable[[], bool]) -> Mapping[str, Route]:
    """Return what the protocol asks of a whole server."""

    async def metadata(request: Request) -> Response:
        from importlib.metadata import version

        return json_response({"name": SERVER, "version": version(SERVER), "extensions": EXTENSIONS})

    async def live(request: Request) -> Response:
        return json_response({"live": True})

    async def ready(request: Request) -> Response:
        return json_response({"ready": True}) if is_ready() else problem_response(NOT_READY, has_error=True)

    handlers = {"/v2": metadata, "/v2/health/live": live, "/v2/health/ready": ready}
    return {path: Route(method="GET", handler=handler) for path, handler in handlers.items()}


def inference_routes(name: str, contract: Callable[[], ModelContract], answer: Answer) -> Mapping[str, Route]:
    """Return what the protocol asks of the model *name*, each path also with a version.

    Args:
        name: Of the model.
        contract: Returns that of the version that answers now.
        answer: Has a question answered.
    """

    async def metadata(request: Request) -> Response:
        check_version(contract(), _version_in(request.path))
        return json_response(model_metadata(contract()))

    async def ready(request: Request) -> Response:
        check_version(contract(), _version_in(request.path))
        return json_response({"name": name, "ready": True})

    async def infer(request: Request) -> Response:
        json_bytes = _json_bytes(request.headers)
        body = await request.body("application/json", _BINARY, "")
        version = _version_in(request.path)
        question = partial(_question, body, json_bytes, version)
        return await answer(question, Asking.of(request, size_bytes=len(body), version=version))

    path = f"/v2/models/{name}"
    routes = {
        "": Route(method="GET", handler=metadata),
        "/ready": Route(method="GET", handler=ready, needs_ready=True),
        "/infer": Route(method="POST", handler=infer, counts=True),
    }
    return {f"{path}{version}{end}": route for version in ("", _ANY_VERSION) for end, route in routes.items()}


def model_metadata(contract: ModelContract) -> dict[str, Any]:
    """Return what the protocol says of a model."""
    signature = contract.signature
    return {
        "name": contract.address,
        "versions": [str(contract.version)],
        "platform": SERVER,
        "inputs": input_metadata(signature),
        "outputs": output_metadata(signature),
    }


def check_version(contract: ModelContract, version: str) -> None:
    """Raise RequestRefused if *version* is named and is another than the one that answers."""
    if version not in ("", str(contract.version)):
        detail = f"Version {contract.version} of {contract.address} answers; ask for it, or for none."
        raise RequestRefused(Problem(kind="unknown-version", detail=detail))


def _version_in(path: str) -> str:
    parts = path.split("/")
    return parts[5] if parts[4:5] == ["versions"] else ""


def _json_bytes(headers: Mapping[str, str]) -> int | None:
    told = headers.get(LENGTH_HEADER)
    if told is None:
        return None
    if not (told.isascii() and told.isdecimal() and len(told) < 20):
        detail = "The header Inference-Header-Content-Length must be a whole number of bytes."
        raise RequestRefused(Problem(kind="wrong-length", detail=detail))
    return int(told)


def _question(body: bytes, json_bytes: int | None, version: str, model: ServedModel) -> Question[Response]:
    check_version(model.contract, version)
    batch, asked = oip_bodies.read(model.tensors, body, json_bytes)
    check_outputs(model.contract.signature.outputs, asked.outputs)
    return batch, partial(_response, model.contract, asked)


def _response(contract: ModelContract, asked: Asked, predictions: Predictions) -> Response:
    head = {"model_name": contract.address, "model_version": str(contract.version)}
    content, json_bytes = oip_bodies.write(head, tensors_of(predictions, asked.outputs), asked)
    if json_bytes is None:
        return Response(content=content, rows=len(predictions.ids))
    headers = {"Inference-Header-Content-Length": str(json_bytes)}
    return Response(content=content, rows=len(predictions.ids), media_type=_BINARY, headers=headers)
