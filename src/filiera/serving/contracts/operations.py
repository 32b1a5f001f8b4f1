"""What changed between two OpenAPI documents of a service: operations, and in which types of bodies they speak.

Signatures say what a model takes and gives, this what a service does with it: it changes with what is served, and with
the release of what serves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from filiera.errors import UsageError
from filiera.serving.contracts.finding import LEVELS, Finding, Level

_METHODS = ("get", "put", "post", "delete", "patch")


def read_document(path: Path) -> dict[str, Any] | None:
    """Return the OpenAPI document in a file, or None when it holds something else. Raises UsageError."""
    try:
        document = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read.", why=error.strerror or str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(document, dict) or "openapi" not in document or not isinstance(document.get("paths"), dict):
        return None
    return document


def diff_operations(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return what changed, breaks first."""
    before, after = _operations(old), _operations(new)
    found = [_finding("operation-removed", "ERR", at, "nothing answers there any more") for at in before.keys() - after]
    found += [_finding("operation-added", "INFO", at, "it answers, too") for at in after.keys() - before]
    for at in before.keys() & after.keys():
        found += _changes(at, before[at], after[at])
    return tuple(sorted(found, key=lambda finding: (LEVELS.index(finding.level), finding.at, finding.rule)))


def _operations(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the operations of a document, by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    }


def _changes(at: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Finding]:
    sent, taken = (set(each.get("requestBody", {}).get("content", {})) for each in (old, new))
    yield from _gone_and_new("request-type", at, sent, taken)
    before, after = (each.get("responses", {}) for each in (old, new))
    for status in sorted(before.keys() | after.keys()):
        if status not in after:
            # A refusal that cannot come any more breaks nobody; an answer that was counted on does.
            level: Level = "ERR" if status.startswith("2") else "INFO"
            yield _finding("status-removed", level, at, f"status {status} is not answered any more")
        elif status not in before:
            yield _finding("status-added", "INFO", at, f"status {status} may be answered")
        else:
            was, now = (set(each[status].get("content", {})) for each in (before, after))
            yield from _gone_and_new("response-type", at, was, now)


def _gone_and_new(what: str, at: str, old: set[str], new: set[str]) -> Iterator[Finding]:
    for kind in sorted(old - new):
        yield _finding(f"{what}-removed", "ERR", at, f"bodies of type {kind} are gone")
    for kind in sorted(new - old):
        yield _finding(f"{what}-added", "INFO", at, f"bodies of type {kind}")


def _finding(rule: str, level: Level, at: str, text: str) -> Finding:
    return Finding(rule=rule, level=level, at=at, text=text)
