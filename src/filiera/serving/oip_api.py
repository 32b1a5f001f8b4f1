"""What a service says in its OpenAPI document of the Open Inference Protocol's paths of a model.

The specification's own document takes tensors of any name and type; this one names those of the signature.
"""

from __future__ import annotations

from typing import Any

from filiera.core.signature import Field, Output, Signature
from filiera.serving.contract import ModelContract, field_schema
from filiera.serving.mount import ApiPart
from filiera.serving.oip_tensors import DATATYPES, IDS, UNITS, VALID, has_mask, input_metadata, output_names
from filiera.serving.openapi import Schema, get_operation, reference, refusals_of

_PROBLEMS = (
    "not-json", "too-slow", "body-too-large", "media-type", "invalid-rows", "prediction-failed",
    "busy",
)  # fmt: skip
_VERSION = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
_OPEN: dict[str, Any] = {"security": []}
_SERVER_PATHS: dict[str, Any] = {
    "/v2": {"get": get_operation("server", "Name and version of the server, and extensions of the protocol")},
    "/v2/health/live": {"get": get_operation("server.live", "The process answers") | _OPEN},
    "/v2/health/ready": {"get": get_operation("server.ready", "It answers") | _OPEN},
}


def inference_api(contract: ModelContract) -> ApiPart:
    """Return the protocol's paths and bodies for one model."""
    path, name = f"/v2/models/{contract.address}", contract.address
    paths: dict[str, Any] = dict(_SERVER_PATHS)
    for place, suffix in (("", ""), ("/versions/{version}", ".version")):
        operations = {
            "": ("get", get_operation(f"metadata.{name}{suffix}", "Tensors that the model takes and gives")),
            "/ready": ("get", get_operation(f"ready.{name}{suffix}", "The model answers")),
            "/infer": ("post", _infer(contract, suffix)),
        }
        for end, (method, operation) in operations.items():
            if suffix:
                operation["parameters"] = [_VERSION]
                operation["responses"] |= refusals_of(["unknown-version"])
            paths[f"{path}{place}{end}"] = {method: operation}
    return ApiPart(
        paths=paths,
        schemas={
            f"{name}.InferenceRequest": request_schema(contract.signature),
            f"{name}.InferenceResponse": response_schema(contract),
        },
    )


def request_schema(signature: Signature) -> Schema:
    """Return the JSON Schema of a request in JSON: one flat tensor per field."""
    names = {field.name for field in signature.inputs}
    tensors = [_input(field, signature.max_rows) for field in signature.inputs]
    tensors += [
        _tensor(field.name + VALID, {"const": "BOOL"}, {"type": "boolean"}, signature.max_rows)
        for field in signature.inputs
        if has_mask(field, names)
    ]
    required = sum(not field.optional for field in signature.inputs)
    outputs = {
        "type": "object",
        "properties": {"name": {"enum": output_names(signature.outputs)}},
        "required": ["name"],
    }
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {
                "type": "array",
                "minItems": max(1, required),
                "maxItems": len(input_metadata(signature)),
                "items": {"anyOf": tensors},
            },
            "outputs": {"type": "array", "items": outputs},
        },
        "required": ["inputs"],
    }


def response_schema(contract: ModelContract) -> Schema:
    """Return the JSON Schema of a response in JSON."""
    tensors = [_output(output) for output in contract.signature.outputs]
    tensors.append(_tensor(IDS, {"const": "BYTES"}, {"type": "string"}, None))
    return {
        "type": "object",
        "properties": {
            "model_name": {"const": contract.address},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"anyOf": tensors}},
        },
        "required": ["model_name", "model_version", "outputs"],
    }


def _infer(contract: ModelContract, suffix: str) -> dict[str, Any]:
    name = contract.address
    answer = {"schema": reference(f"{name}.InferenceResponse")}
    return {
        "operationId": f"infer.{name}{suffix}",
        "summary": f"Predict with {name} by the Open Inference Protocol, version 2",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": reference(f"{name}.InferenceRequest")}},
        },
        "responses": {
            "200": {"description": "One tensor per output", "content": {"application/json": answer}},
            **refusals_of(_PROBLEMS),
        },
    }


def _input(field: Field, max_rows: int) -> Schema:
    kind = DATATYPES[field.type]
    datatype: Schema = {"enum": [kind, "INT64"]} if field.type in UNITS else {"const": kind}
    values = field_schema(field)
    if field.nullable:
        # Null is no value of a tensor: what is missing is told beside it.
        values = {key: value for key, value in values.items() if key != "enum"} | {"type": values["type"][0]}
    if field.type in UNITS:
        values = {"type": ["string", "integer"], "description": values.get("description", "")}
    return _tensor(field.name, datatype, values, max_rows)


def _output(output: Output) -> Schema:
    values: Schema = {"type": {"BYTES": "string", "BOOL": "boolean"}.get(DATATYPES[output.type], "number")}
    return _tensor(output.name, {"const": DATATYPES[output.type]}, values, None)


def _tensor(name: str, datatype: Schema, values: Schema, max_rows: int | None) -> Schema:
    data: Schema = {"type": "array", "minItems": 1, "items": values}
    shape: Schema = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 2}
    return {
        "type": "object",
        "properties": {
            "name": {"const": name},
            "datatype": datatype,
            "shape": shape,
            "parameters": {"type": "object"},
            "data": data | ({"maxItems": max_rows} if max_rows is not None else {}),
        },
        "required": ["name", "datatype", "shape", "data"],
    }
