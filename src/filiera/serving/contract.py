"""The contract of a model, generated from its signature: JSON Schema 2020-12 and its part of OpenAPI 3.1.

The decoder and these schemas share their rules (``domain``): what the one takes, the other does.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from filiera.core.signature import Field, Output, Signature
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.domain import INTEGER_RANGES, Domain, domain_of, domains_of, json_value, output_domain
from filiera.serving.http import TIMEOUT_HEADER
from filiera.serving.mount import ApiPart
from filiera.serving.openapi import DIALECT, Schema, get_operation, reference, refusals_of

_PREDICT_PROBLEMS = (
    "not-json",
    "timeout",
    "too-slow",
    "body-too-large",
    "media-type",
    "invalid-rows",
    "prediction-failed",
    "busy",
    "node-died",
    "node-down",
    "too-late",
)
_TIMEOUT = {
    "name": TIMEOUT_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    "description": "Milliseconds after which an answer is of no use: what cannot be begun by then is refused.",
}
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

    @property
    def address(self) -> str:
        """Return under which name it is served: a second major stands beside the first as ``NAME.v2``."""
        return self.name if self.signature.major == 1 else f"{self.name}.v{self.signature.major}"

    @property
    def predict_path(self) -> str:
        """Return the path that takes rows."""
        return f"/v1/models/{self.address}:predict"


def row_schema(signature: Signature) -> Schema:
    """Return the JSON Schema of one row."""
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": {field.name: field_schema(field) for field in signature.inputs},
        "required": [field.name for field in signature.inputs if not field.optional],
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
            "major": signature.major,
            "max_rows": signature.max_rows,
            "deterministic": signature.deterministic,
            "slo": asdict(signature.slo) if signature.slo else None,
            "inputs": [asdict(field) for field in signature.inputs],
            "outputs": [asdict(output) for output in signature.outputs],
            "examples": shown_examples(signature),
        },
    }


def api_part(contract: ModelContract) -> ApiPart:
    """Return what a service says about a model in its OpenAPI document."""
    row = _nested(row_schema(contract.signature))
    request = _nested(request_schema(contract.signature))
    request["properties"]["instances"]["items"] = reference(f"{contract.address}.Row")
    described = get_operation("describe." + contract.address, "Version and signature")
    return ApiPart(
        paths={
            contract.predict_path: {"post": _predict_operation(contract)},
            f"/v1/models/{contract.address}": {"get": described},
        },
        schemas={
            f"{contract.address}.Row": row,
            f"{contract.address}.Request": request,
            f"{contract.address}.Response": _nested(response_schema(contract)),
        },
    )


def field_schema(field: Field) -> Schema:
    """Return the JSON Schema of one value."""
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
    if field.max_length is not None:
        schema["maxLength"] = field.max_length
    if domain.pattern:
        schema["pattern"] = domain.pattern
    if field.optional:
        schema["default"] = field.default
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
            "additionalProperties": each if output.extensible else False,
            "description": "One probability per label; they sum to 1.",
        }
    domain = output_domain(output)
    schema: Schema = {"type": _json_type(output.type)}
    if domain.lower is not None:
        schema["minimum"] = domain.lower
    if domain.upper is not None:
        schema["maximum"] = domain.upper
    if domain.values is not None:
        schema["enum"] = list(domain.values)
    return schema | ({"description": f"Unit: {output.unit}."} if output.unit else {})


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


def _predict_operation(contract: ModelContract) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": reference(f"{contract.address}.Request")}
    examples = shown_examples(contract.signature)[: contract.signature.max_rows]
    if examples:
        body["example"] = {"instances": examples}
    answer = {"schema": reference(f"{contract.address}.Response")}
    return {
        "operationId": f"predict.{contract.address}",
        "summary": f"Predict with {contract.name}, version {contract.version}",
        "parameters": [_TIMEOUT],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {"description": "One prediction per row", "content": {"application/json": answer}},
            **refusals_of(_PREDICT_PROBLEMS),
        },
    }


def _nested(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "$schema"}
