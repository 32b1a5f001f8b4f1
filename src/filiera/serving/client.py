"""Calls a running service, over HTTP of the standard library."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from itertools import islice
from typing import Any

import msgspec

from filiera.errors import FilieraError, UsageError
from filiera.serving.answered import Answered
from filiera.serving.served_model import request_body
from filiera.serving.tracing import outgoing

_TIMEOUT_S = 30.0


class ServiceClient:
    """Talks to the service at one address."""

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = _TIMEOUT_S) -> None:
        """Remember where the service is; nothing is sent yet. Raises UsageError for an address that is not HTTP."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r} is not the address of a service.", do="give one such as http://127.0.0.1:8000")
        self.url = url.rstrip("/")
        self._connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._path = parts.netloc, parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_s = timeout_s

    def models(self) -> list[str]:
        """Return the names of the models served. Raises FilieraError."""
        return [model["name"] for model in self._call("/v1/models")["models"]]

    def describe(self, model: str) -> dict[str, Any]:
        """Return version and signature of *model*. Raises FilieraError."""
        return self._call(f"/v1/models/{model}")

    def predict(self, rows: Iterable[Mapping[str, Any]], *, model: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield one prediction per row, in order; several requests when there are more rows than one may have.

        Args:
            rows: One mapping per row; dates and NaN are sent as JSON spells them.
            model: May be left out when the service has one.

        Raises:
            UsageError: The service refused a request as wrong.
            FilieraError: The service cannot be reached or failed.
        """
        name = model or self._only_model()
        size = self.describe(name)["signature"]["max_rows"]
        rest = iter(rows)
        while chunk := list(islice(rest, size)):
            yield from self._call(f"/v1/models/{name}:predict", request_body(chunk))["predictions"]

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Return the result of the function *name*, or ``CLASS.METHOD``, as JSON has it.

        Raises:
            UsageError: The service refused the call as wrong.
            FilieraError: The service cannot be reached or failed, or the function did.
        """
        return self._call(f"/v1/functions/{name}:call", msgspec.json.encode(arguments))["result"]

    def stream(self, name: str, /, **arguments: Any) -> Generator[Any, None, None]:
        """Yield the items of a function that streams, as they come; closing the iterator tells the service to stop.

        Raises:
            UsageError: The service refused the call as wrong.
            FilieraError: The service cannot be reached, or the stream did not come to its end.
        """
        path = f"/v1/functions/{name}:call"
        with self._asked(path, msgspec.json.encode(arguments)) as response:
            if response.status != HTTPStatus.OK:
                self._answer(response.status, response.read())
            for line in response:
                found = json.loads(line)
                if "item" not in found:
                    break
                yield found["item"]
            else:
                raise FilieraError(f"{name} stopped in mid-stream.", why="The connection broke.")
        if "problem" in found:
            self._answer(found["problem"]["status"], json.dumps(found["problem"]).encode())

    def feedback(self, entries: Iterable[Mapping[str, Any]], *, model: str | None = None) -> int:
        """Tell what became of predictions; it is on disk when this comes back. Sending it again is harmless.

        Args:
            entries: Each with the id of a ``prediction``, and its ``outcome`` or an ``action``; perhaps ``at``, when
                that was known, and an ``id`` of its own.
            model: May be left out when the service has one.

        Returns:
            How many were kept.

        Raises:
            UsageError: The service refused them as wrong; nothing was kept.
            FilieraError: The service cannot be reached or failed.
        """
        body = json.dumps({"feedback": [dict(entry) for entry in entries]}).encode()
        kept: int = self._call(f"/v1/models/{model or self._only_model()}:feedback", body)["kept"]
        return kept

    def post(self, path: str, body: bytes) -> Answered:
        """Return the answer to a POST of JSON, whatever its status. Raises FilieraError when there is none."""
        with self._asked(path, body) as response:
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answered(status=response.status, headers=headers, body=response.read())

    def _only_model(self) -> str:
        names = self.models()
        if len(names) != 1:
            raise UsageError("Which model shall predict?", why=f"The service has: {', '.join(names)}.")
        return names[0]

    def _call(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        with self._asked(path, body) as response:
            status, content = response.status, response.read()
        return self._answer(status, content)

    @contextmanager
    def _asked(self, path: str, body: bytes | None) -> Iterator[http.client.HTTPResponse]:
        """Give the response to a request, whose body is not read yet; what breaks while it is read is told."""
        method = "GET" if body is None else "POST"
        headers = {**self._headers, **outgoing(), "Content-Type": "application/json"}
        place = urllib.parse.quote(self._path + path, safe="/:")
        try:
            with closing(self._connection(self._host, timeout=self._timeout_s)) as connection:
                # A service that refuses a large body hangs up before it has read all of it, its answer already sent.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, place, body, headers)
                yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            why = f"{type(error).__name__}: {error}"
            raise FilieraError(f"No answer from {self.url}.", why=why, do="filiera serve MODEL") from error

    def _answer(self, status: int, content: bytes) -> dict[str, Any]:
        stranger = FilieraError(f"{self.url} answered with status {status}.", why="It is no service of Filiera.")
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
