"""What a service says when it cannot answer: RFC 9457 problem details, never with the caller's data in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from filiera.core.value import dataclass
from filiera.errors import FilieraError

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
_SHOWN_NAME = 64  #: signs
_PREFIX = "urn:filiera:problem:"

TITLES: Mapping[str, tuple[int, str]] = {
    "not-json": (400, "The body is not JSON"),
    "timeout": (400, "The timeout is not a number of milliseconds"),
    "not-arrow": (400, "The body is not a stream of Arrow tables"),
    "cut-short": (400, "The body ended before its end"),
    "wrong-length": (400, "The body is not as long as it says"),
    "unauthorized": (401, "A valid token is needed"),
    "unknown-path": (404, "Nothing is served at this path"),
    "unknown-version": (404, "The service has no such version"),
    "method-not-allowed": (405, "This path does not take this method"),
    "too-slow": (408, "The body did not come in time"),
    "body-too-large": (413, "The body is too large"),
    "too-many-rows": (413, "The request has too many rows"),
    "media-type": (415, "This path does not take this content type"),
    "encoded-body": (415, "The body is compressed"),
    "unknown-host": (421, "The service does not answer to this host name"),
    "invalid-feedback": (422, "The feedback is not what can be kept"),
    "invalid-rows": (422, "The request does not follow the signature"),
    "invalid-arguments": (422, "The arguments do not follow the signature"),
    "refused": (422, "The function refuses this request"),
    "prediction-failed": (500, "The model failed on this request"),
    "function-failed": (500, "The function failed on this request"),
    "internal-error": (500, "The service failed on this request"),
    "busy": (503, "The service is busy"),
    "too-late": (504, "The request waited longer than its caller does"),
    "not-logged": (503, "What the service answers could not be logged"),
    "node-died": (502, "A part of the service has ended on this request"),
    "node-down": (503, "A part of the service is not there"),
    "not-kept": (503, "The feedback could not be kept"),
    "not-ready": (503, "The service is not ready"),
    "timed-out": (504, "The function did not answer in time"),
}
"""Every kind of problem with its status and title."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowError:
    """One rule that the request breaks."""

    at: str  #: place, such as ``instances[3].duration``
    rule: str  #: what must hold there, in words


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One refusal. *kind* is a key of TITLES."""

    kind: str
    detail: str  #: what happened and what to do, for this request
    errors: tuple[RowError, ...] = ()  #: at most MAX_ERRORS
    headers: Mapping[str, str] = field(default_factory=dict)  #: HTTP headers that belong to it
    extra: Mapping[str, Any] = field(default_factory=dict)  #: further members, such as the paths that exist

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return TITLES[self.kind][0]

    def as_json(self) -> dict[str, Any]:
        """Return the members of the problem document.

        >>> Problem(kind="busy", detail="Try again.").as_json()["status"]
        503
        """
        status, title = TITLES[self.kind]
        document = {"type": _PREFIX + self.kind, "title": title, "status": status, "detail": self.detail}
        if self.errors:
            document["errors"] = [{"at": error.at, "rule": error.rule} for error in self.errors]
        return {**document, **self.extra}


NOT_READY = Problem(kind="not-ready", detail="It is starting or stopping.", headers={"Retry-After": "1"})


class RequestRefused(FilieraError):
    """A request that the service does not answer with predictions; carries the problem."""

    exit_code = 2  # as the client of a service that answers with this problem ends

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        places = "; ".join(f"{error.at} {error.rule}" for error in problem.errors)
        super().__init__(TITLES[problem.kind][1] + ".", why=" ".join(filter(None, (problem.detail, places))))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem,)


def invalid_rows(errors: Sequence[RowError]) -> RequestRefused:
    """Return the refusal of rows that break these rules; of more than MAX_ERRORS the first are told."""
    count = f"At least {MAX_ERRORS}" if len(errors) >= MAX_ERRORS else str(len(errors))
    detail = f"{count} {'value breaks' if len(errors) == 1 else 'values break'} a rule."
    return RequestRefused(Problem(kind="invalid-rows", detail=detail, errors=tuple(errors[:MAX_ERRORS])))


def too_many_rows(count: int, max_rows: int) -> RequestRefused:
    """Return the refusal of *count* rows where *max_rows* are taken."""
    detail = f"It has {count} rows, at most {max_rows} are taken; send them in several requests."
    return RequestRefused(Problem(kind="too-many-rows", detail=detail))


def place_of(row: str, name: str) -> str:
    """Return the place of the value *name* in a row.

    >>> place_of("instances[3]", "duration"), place_of("instances[3]", "a b")
    ('instances[3].duration', 'instances[3]["a b"]')
    """
    told = shown(name)
    return f"{row}.{told}" if told.isidentifier() else f"{row}[{json.dumps(told, ensure_ascii=False)}]"


def shown(name: str) -> str:
    """Return *name* so that it can be shown: valid Unicode and short, for an unknown name is the caller's text."""
    valid = name.encode("utf-8", "backslashreplace").decode()
    return valid if len(valid) <= _SHOWN_NAME else valid[:_SHOWN_NAME] + "…"
