"""The contract of a service, generated from the signature: JSON Schema 2020-12 and OpenAPI 3.1.

The decoder and these schemas share their rules (``domain``). One difference JSON Schema cannot state: it takes ``1.0``
for an integer, the service does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from filiera.core.signature import Field, Output, Signature
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.serving.domain import INTEGER_RANGES, Domain, domain_of, domains_of, json_value
from filiera.serving.problem import MEDIA_TYPE, TITLES

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ANSWER_KEYS: Mapping[str, str] = {
    "label": "label",
    "probability": "probabilities",
    "value": "value",
    "cluster": "cluster",
    "score": "score",
}
"""Under which key of an answer each kind of output stands."""

_PREDICT_PROBLEMS = ("not-json", "body-too-large", "not-json-type", "invalid-rows", "prediction-failed", "busy")
_FORMATS = {"date": "date", "timestamp": "date-time"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelContract:
    """One model version as a service offers it."""

    name: str  #: part of the path: letters, digits, dot, dash and underscore
    version: int
    signature: Signature

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", self.name):
            raise UsageError(
                f"{self.name!r} cannot be served under this name.",
                why="A name in a path has only letters, digits, dots, dashes and underscores.",
            )
        domains_of(self.signature)


def row_schema(signature: Signature) -> Schema:
    """Return the JSON Schema of one row."""
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": {field.name: _field_schema(field) for field in signature.inputs},
        "required": [field.name for field in signature.inputs],
        "additionalProperties": False,
    }


def request_schema(signature: Signature) -> Schema:
    """Return the JSON Schema of a request body."""
    rows = {"type": "array", "minItems": 1, "maxItems": signature.max_rows, "items": _nested(row_schema(signature))}
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": {"instances": rows},
        "required": ["instances"],
        "additionalProperties": False,
    }


def response_schema(contract: ModelContract) -> Schema:
    """Return the JSON Schema of a response body: one prediction per row, in the order of the rows."""
    answers = {ANSWER_KEYS[output.semantics]: _output_schema(output) for output in contract.signature.outputs}
    identity = {"type": "string", "pattern": "^[0-9A-HJKMNP-TV-Z]{26}$", "description": "Names this prediction."}
    prediction = {"type": "object", "properties": {"id": identity, **answers}, "required": ["id", *answers]}
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": {
            "model": {"const": contract.name},
            "version": {"type": "integer"},
            "predictions": {"type": "array", "minItems": 1, "items": prediction},
        },
        "required": ["model", "version", "predictions"],
    }


def shown_examples(signature: Signature) -> list[dict[str, Any]]:
    """Return the signature's examples as JSON rows, sensitive values replaced by a neutral one of the domain."""
    sensitive = {field.name: _neutral(domain_of(field)) for field in signature.inputs if field.sensitive}
    return [
        {name: sensitive[name] if name in sensitive else json_value(value) for name, value in row.items()}
        for row in signature.examples
    ]


def describe(contract: ModelContract) -> dict[str, Any]:
    """Return the model's card for machines: name, version and signature."""
    signature = contract.signature
    return {
        "model": contract.name,
        "version": contract.version,
        "signature": {
            "hash": signature.hash,
            "task": signature.task,
            "max_rows": signature.max_rows,
            "inputs": [asdict(field) for field in signature.inputs],
            "outputs": [asdict(output) for output in signature.outputs],
            "examples": shown_examples(signature),
        },
    }


def openapi(
    contracts: Sequence[ModelContract], *, needs_token: bool = False, local_names_only: bool = False
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a service."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Problem": _PROBLEM_SCHEMA}
    problems = [*_PREDICT_PROBLEMS]
    problems += ["unauthorized"] if needs_token else []
    problems += ["unknown-host"] if local_names_only else []
    for contract in contracts:
        schemas[f"{contract.name}.Row"] = _nested(row_schema(contract.signature))
        schemas[f"{contract.name}.Request"] = _nested(request_schema(contract.signature))
        schemas[f"{contract.name}.Request"]["properties"]["instances"]["items"] = _ref(f"{contract.name}.Row")
        schemas[f"{contract.name}.Response"] = _nested(response_schema(contract))
        paths[f"/v1/models/{contract.name}:predict"] = {"post": _predict_operation(contract, problems)}
        paths[f"/v1/models/{contract.name}"] = {"get": _get("describe." + contract.name, "Version and signature")}
    paths |= _COMMON_PATHS
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": ", ".join(contract.name for contract in contracts), "version": _versions(contracts)},
        "jsonSchemaDialect": DIALECT,
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if needs_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def label_key(label: str | int | bool) -> str:
    """Return how a label is spelled as the key of its probability.

    >>> label_key(True), label_key(3)
    ('true', '3')
    """
    return str(label).lower() if isinstance(label, bool) else str(label)


def _field_schema(field: Field) -> Schema:
    domain = domain_of(field)
    json_type = _json_type(field.type)
    schema: Schema = {"type": [json_type, "null"] if field.nullable else json_type}
    if domain.lower is not None:
        schema["minimum"] = domain.lower
    if domain.upper is not None:
        schema["maximum"] = domain.upper
    if domain.values is not None:
        schema["enum"] = [*domain.values, *([None] if field.nullable else [])]
    if field.type in _FORMATS:
        schema["format"] = _FORMATS[field.type]
    notes = [f"Unit: {field.unit}."] if field.unit else []
    notes += ["Sensitive: never logged."] if field.sensitive else []
    return schema | ({"description": " ".join(notes)} if notes else {})


def _output_schema(output: Output) -> Schema:
    if output.semantics == "probability":
        each = {"type": "number", "minimum": 0, "maximum": 1}
        keys = [label_key(label) for label in output.labels]
        return {
            "type": "object",
            "properties": dict.fromkeys(keys, each),
            "required": keys,
            "additionalProperties": False,
            "description": "One probability per label; they sum to 1.",
        }
    schema: Schema = {"type": _json_type(output.type)}
    return schema | ({"enum": list(output.labels)} if output.labels else {})


def _json_type(kind: str) -> str:
    if kind in INTEGER_RANGES:
        return "integer"
    return {"bool": "boolean", "float32": "number", "float64": "number"}.get(kind, "string")


def _neutral(domain: Domain) -> Any:
    if domain.field.nullable:
        return None
    if domain.values is not None:
        return domain.values[0]
    if domain.field.type in _FORMATS:
        return {"date": "2000-01-01", "timestamp": "2000-01-01T00:00:00Z"}[domain.field.type]
    if domain.field.type in ("bool", "string"):
        return False if domain.field.type == "bool" else ""
    least = 0 if domain.lower is None else max(0, domain.lower)
    return least if domain.upper is None else min(least, domain.upper)


def _predict_operation(contract: ModelContract, problems: Sequence[str]) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": _ref(f"{contract.name}.Request")}
    examples = shown_examples(contract.signature)[: contract.signature.max_rows]
    if examples:
        body["example"] = {"instances": examples}
    answer = {"schema": _ref(f"{contract.name}.Response")}
    refusals = {str(TITLES[kind][0]): _refusal(TITLES[kind][1]) for kind in problems}
    return {
        "operationId": f"predict.{contract.name}",
        "summary": f"Predict with {contract.name}, version {contract.version}",
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {"description": "One prediction per row", "content": {"application/json": answer}},
            **refusals,
        },
    }


def _refusal(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}


def _get(operation: str, summary: str, media_type: str = "application/json") -> dict[str, Any]:
    answer = {"description": summary, "content": {media_type: {}}}
    return {"operationId": operation, "summary": summary, "responses": {"200": answer}}


def _nested(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "$schema"}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _versions(contracts: Sequence[ModelContract]) -> str:
    return ", ".join(str(contract.version) for contract in contracts)


_PROBLEM_SCHEMA: Schema = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"at": {"type": "string"}, "rule": {"type": "string"}},
                "required": ["at", "rule"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}
_OPEN: dict[str, Any] = {"security": []}
_COMMON_PATHS: dict[str, Any] = {
    "/v1/models": {"get": _get("models", "Names and versions of the models")},
    "/health/live": {"get": _get("live", "The process answers") | _OPEN},
    "/health/ready": {"get": _get("ready", "The models have answered a first prediction") | _OPEN},
    "/metrics": {"get": _get("metrics", "Counters for Prometheus", "text/plain")},
    "/openapi.json": {"get": _get("openapi", "This document")},
}
_COMMON_PATHS["/health/ready"]["get"]["responses"]["503"] = _refusal("Not ready yet")
