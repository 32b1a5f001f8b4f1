"""What a service does is compared by operations, statuses and types of bodies."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filiera.serving.contracts.operations import diff_operations, read_document
from tests.serving.offers import get, service

GOLDEN = Path(__file__).with_name("surface.json")
PATH = "/v1/models/flows:predict"
Change = Callable[[dict[str, Any]], object]
CHANGES: list[tuple[Change, str, str]] = [
    (lambda paths: paths.pop(PATH), "operation-removed", "ERR"),
    (lambda paths: paths.update(new={"post": {}}), "operation-added", "INFO"),
    (lambda paths: paths[PATH]["post"]["responses"].pop("200"), "status-removed", "ERR"),
    (lambda paths: paths[PATH]["post"]["responses"].pop("413"), "status-removed", "INFO"),
    (lambda paths: paths[PATH]["post"]["responses"].update({"418": {}}), "status-added", "INFO"),
    (
        lambda paths: paths[PATH]["post"]["requestBody"]["content"].pop("application/json"),
        "request-type-removed",
        "ERR",
    ),
    (lambda paths: paths[PATH]["post"]["requestBody"]["content"].update({"x/y": {}}), "request-type-added", "INFO"),
    (lambda paths: paths[PATH]["post"]["responses"]["200"].pop("content"), "response-type-removed", "ERR"),
    (
        lambda paths: paths[PATH]["post"]["responses"]["200"]["content"].update({"x/y": {}}),
        "response-type-added",
        "INFO",
    ),
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return what a service says of itself."""
    found: dict[str, Any] = get(service(), "/openapi.json").json()
    return found


@pytest.mark.parametrize(("change", "rule", "level"), CHANGES)
def test_each_change_has_its_rule(document: dict[str, Any], change: Change, rule: str, level: str) -> None:
    """What is gone breaks, what is added does not; nor does a refusal that cannot come any more."""
    changed = copy.deepcopy(document)
    change(changed["paths"])
    found = diff_operations(document, changed)
    assert {(one.rule, one.level) for one in found} == {(rule, level)}
    assert diff_operations(document, document) == ()


def test_what_a_service_does_is_kept(document: dict[str, Any]) -> None:
    """No release takes back what the golden document says. FILIERA_RENEW=1 renews it, when more is meant."""
    if os.environ.get("FILIERA_RENEW"):
        GOLDEN.write_text(json.dumps(bare(document), indent=1, sort_keys=True) + "\n")
    golden = read_document(GOLDEN)
    assert golden is not None
    assert [one for one in diff_operations(golden, document) if one.level == "ERR"] == []


def bare(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document with nothing but what is compared."""
    paths: dict[str, Any] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            answers = operation["responses"].items()
            told: dict[str, Any] = {
                "responses": {status: {"content": dict.fromkeys(each.get("content", ()))} for status, each in answers}
            }
            if "requestBody" in operation:
                told["requestBody"] = {"content": dict.fromkeys(operation["requestBody"]["content"])}
            paths.setdefault(path, {})[method] = told
    return {"openapi": document["openapi"], "info": document["info"], "paths": paths}


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"openapi": "3.1.0", "paths": []}'])
def test_other_files_are_no_documents(tmp_path: Path, content: str) -> None:
    """They may be contracts of a model."""
    (tmp_path / "x.json").write_text(content)
    assert read_document(tmp_path / "x.json") is None
