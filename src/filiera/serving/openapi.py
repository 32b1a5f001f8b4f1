"""The OpenAPI 3.1 document of a service, put together from what is mounted in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from filiera.serving.mount import ApiPart, Mount
from filiera.serving.problem import MEDIA_TYPE, TITLES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def document(mounts: Sequence[Mount], *, needs_token: bool = False, local_names_only: bool = False) -> dict[str, Any]:
    """Return the document of a service with *mounts*, as they are now.

    Args:
        mounts: What it serves.
        needs_token: All but the health paths need a Bearer token.
        local_names_only: Requests sent to another host name than this machine's are refused.
    """
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Problem": _PROBLEM_SCHEMA}
    for mount in mounts:
        part: ApiPart = mount.api()
        paths |= part.paths
        schemas |= part.schemas
    refusals = [kind for kind, is_on in (("unauthorized", needs_token), ("unknown-host", local_names_only)) if is_on]
    paths = {path: _with_refusals(item, refusals) for path, item in paths.items()}
    for kind in sorted({mount.kind for mount in mounts}):
        paths[f"/v1/{kind}"] = {"get": get_operation(kind, f"Names and versions of the {kind}")}
    listed = [mount.listed() for mount in mounts]
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": ", ".join(str(line["name"]) for line in listed),
            "version": ", ".join(str(line["version"]) for line in listed),
        },
        "jsonSchemaDialect": DIALECT,
        "paths": paths | _COMMON_PATHS,
        "components": {"schemas": schemas},
    }
    if needs_token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


def get_operation(operation: str, summary: str, media_type: str = "application/json") -> dict[str, Any]:
    """Return an operation that takes nothing."""
    answer = {"description": summary, "content": {media_type: {}}}
    return {"operationId": operation, "summary": summary, "responses": {"200": answer}}


def refusals_of(kinds: Sequence[str]) -> dict[str, Any]:
    """Return the responses of an operation that may refuse with these *kinds* of problem."""
    return {
        str(TITLES[kind][0]): {
            "description": TITLES[kind][1],
            "content": {MEDIA_TYPE: {"schema": reference("Problem")}},
        }
        for kind in kinds
    }


def reference(name: str) -> Schema:
    """Return a reference to the schema *name*."""
    return {"$ref": f"#/components/schemas/{name}"}


def _with_refusals(item: Mapping[str, Any], kinds: Sequence[str]) -> dict[str, Any]:
    """Add what the whole service may refuse to the operations that change or compute something."""
    return {
        method: operation | {"responses": operation["responses"] | refusals_of(kinds)} if method != "get" else operation
        for method, operation in item.items()
    }


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
    "/health/live": {"get": get_operation("live", "The process answers") | _OPEN},
    "/health/ready": {"get": get_operation("ready", "All that is served has answered a first request") | _OPEN},
    "/metrics": {"get": get_operation("metrics", "Counters for Prometheus", "text/plain")},
    "/openapi.json": {"get": get_operation("openapi", "This document")},
}
_COMMON_PATHS["/health/ready"]["get"]["responses"] |= refusals_of(["not-ready"])
