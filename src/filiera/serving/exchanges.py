"""What clients of a service say and hear, without a connection: bodies, paths, and what an answer means."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any, Protocol

import msgspec

from filiera.errors import FilieraError, UsageError
from filiera.serving.plain_caller import Reply
from filiera.serving.served_model import request_body

JSON = {"Content-Type": "application/json"}


class Asked(Protocol):
    """A service that can be asked: one in this process, or a client of one."""

    def post(self, path: str, body: bytes) -> Reply:
        """Return the answer to a POST of JSON, whatever its status. Raises FilieraError when there is none."""


def checked_url(url: str) -> str:
    """Return the address of a service without what it need not end with. Raises UsageError when it is none."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is not the address of a service.", do="give one such as http://127.0.0.1:8000")
    return url.rstrip("/")


def headers_with(token: str | None) -> dict[str, str]:
    """Return what every request says."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def quoted(path: str) -> str:
    """Return a path as it is sent."""
    return urllib.parse.quote(path, safe="/:")


def chunks_of(rows: Iterable[Mapping[str, Any]], description: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the bodies of requests for *rows*, each with as many as a model with this *description* takes."""
    size, rest = description["signature"]["max_rows"], iter(rows)
    while chunk := list(islice(rest, size)):
        yield request_body(chunk)


def call_body(arguments: Mapping[str, Any]) -> bytes:
    """Return the body of a call."""
    return msgspec.json.encode(arguments)


def feedback_body(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the body that tells what became of predictions."""
    return json.dumps({"feedback": [dict(entry) for entry in entries]}).encode()


def names_of(answer: Mapping[str, Any]) -> list[str]:
    """Return the names of the models in a service's list of them."""
    return [model["name"] for model in answer["models"]]


def only_one(names: Sequence[str]) -> str:
    """Return the only model that there is. Raises UsageError."""
    if len(names) != 1:
        raise UsageError("Which model shall predict?", why=f"The service has: {', '.join(names)}.")
    return names[0]


def answer_of(url: str, status: int, content: bytes) -> dict[str, Any]:
    """Return what a service at *url* answered.

    Raises:
        UsageError: It refused the request as wrong.
        FilieraError: It failed, or it is no service of ours.
    """
    stranger = FilieraError(f"{url} answered with status {status}.", why="It is no service of Filiera.")
    try:
        answer = json.loads(content)
    except ValueError as error:
        raise stranger from error
    if not isinstance(answer, dict) or (status != HTTPStatus.OK and "title" not in answer):
        raise stranger
    if status == HTTPStatus.OK:
        return answer
    kind = UsageError if 400 <= status < 500 else FilieraError
    places = "; ".join(f"{error['at']} {error['rule']}" for error in answer.get("errors", ()))
    why = " ".join(filter(None, (str(answer.get("detail", "")), places)))
    raise kind(f"{answer['title']} (status {status}).", why=why)


def unanswered(url: str, error: Exception) -> FilieraError:
    """Return the error that says that nobody answered."""
    return FilieraError(f"No answer from {url}.", why=f"{type(error).__name__}: {error}", do="filiera serve MODEL")


class Items:
    """Reads the lines of a stream."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        self.has_ended = False

    def of(self, line: str | bytes) -> list[Any]:
        """Return the item of a line, if it has one. Raises as ``answer_of`` when it says that the stream failed."""
        found = json.loads(line)
        if "item" in found:
            return [found["item"]]
        self.has_ended = True
        if "problem" in found:
            answer_of(self._url, found["problem"]["status"], json.dumps(found["problem"]).encode())
        return []

    def require_end(self) -> None:
        """Raise FilieraError when the lines have stopped before the last."""
        if not self.has_ended:
            raise FilieraError(f"{self._name} stopped in mid-stream.", why="The connection broke.")
