"""The contract of a function, generated from its annotations: JSON Schema 2020-12 and its part of OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from filiera.serving.framing import EVENTS, LINES
from filiera.serving.mount import ApiPart
from filiera.serving.openapi import Schema, get_operation, refusals_of
from filiera.serving.operation import Operation

_PROBLEMS = (
    "not-json", "timeout", "too-slow", "body-too-large", "media-type", "invalid-arguments", "function-failed", "busy",
    "timed-out",
)  # fmt: skip
RAW = "application/octet-stream"
"""Of a body that is the value of the one parameter, which is of type ``bytes``."""
RAW_KINDS = ("image/", "audio/", "video/")
"""Such a body may also say that it is of one of these; no form of a web page can send them unasked."""
_ID = {"type": "string", "pattern": "^[0-9A-HJKMNP-TV-Z]{26}$", "description": "Names this call."}
ExampleOf = Callable[[Operation], Mapping[str, Any] | None]


def describe(name: str, version: str, operations: Sequence[Operation], example_of: ExampleOf) -> dict[str, Any]:
    """Return the service's card for machines: name, version, and what can be called with which arguments."""
    return {
        "function": name,
        "version": version,
        "calls": [_described(operation, example_of(operation)) for operation in operations],
    }


def api_part(name: str, operations: Sequence[Operation], example_of: ExampleOf, *, is_open: bool = False) -> ApiPart:
    """Return what a service says about its operations in its OpenAPI document; *is_open*: they need no token."""
    security: dict[str, Any] = {"security": []} if is_open else {}
    described = get_operation(f"describe.{name}", "What can be called")
    paths: dict[str, Any] = {f"/v1/functions/{name}": {"get": described | security}}
    schemas: dict[str, Any] = {}
    for operation in operations:
        prefix = f"{operation.name}."
        arguments = operation.decoder().type
        (request, answer), parts = msgspec.json.schema_components(
            (arguments, operation.answer), ref_template=f"#/components/schemas/{prefix}{{name}}"
        )
        schemas |= {f"{prefix}{part}": schema for part, schema in parts.items()}
        paths[f"/v1/functions/{operation.name}:call"] = {
            "post": _call(operation, request, answer, example_of(operation)) | security
        }
    return ApiPart(paths=paths, schemas=schemas)


def _described(operation: Operation, example: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": operation.name,
        "path": f"/v1/functions/{operation.name}:call",
        "summary": operation.summary,
        "arguments": msgspec.json.schema(operation.decoder().type),
        "item" if operation.streams else "result": msgspec.json.schema(operation.answer),
    }
    return found if example is None else {**found, "example": _shown(operation, example)}


def _call(operation: Operation, request: Schema, answer: Schema, example: Mapping[str, Any] | None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": request}
    if example is not None:
        content["example"] = _shown(operation, example)
    summary = operation.summary or f"Call {operation.name}"
    return {
        "operationId": f"call.{operation.name}",
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": content, **_raw(operation)}},
        "responses": {
            "200": {"description": "The answer", "content": _answers(operation, answer)},
            **refusals_of(_PROBLEMS),
        },
    }


def _raw(operation: Operation) -> Schema:
    if not operation.raw:
        return {}
    return {kind: {"schema": {}} for kind in (RAW, *(f"{kind}*" for kind in RAW_KINDS))}


def _answers(operation: Operation, answer: Schema) -> dict[str, Any]:
    if not operation.streams:
        head = {"id": _ID, "function": {"const": operation.name}, "version": {"type": "string"}}
        whole = {"type": "object", "properties": {**head, "result": answer}, "required": [*head, "result"]}
        return {"application/json": {"schema": whole}}
    line = {
        "description": "One of these a line; done or problem is the last.",
        "oneOf": [
            {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}
            for key, schema in (("item", answer), ("done", {"type": "object"}), ("problem", {"type": "object"}))
        ],
    }
    return {LINES.media_type: {"schema": line}, EVENTS.media_type: {"schema": {"type": "string"}}}


def _shown(operation: Operation, example: Mapping[str, Any]) -> dict[str, Any]:
    """Return an example without sensitive arguments, which examples of the real world may hold."""
    hidden = {argument.name for argument in operation.arguments if argument.is_sensitive}
    shown: dict[str, Any] = msgspec.to_builtins({key: value for key, value in example.items() if key not in hidden})
    return shown
