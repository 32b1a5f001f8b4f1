"""Calls a running service, over HTTP of the standard library."""

from __future__ import annotations

import http.client
import urllib.parse
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any, Protocol

from filiera.serving import exchanges
from filiera.serving.exchanges import JSON
from filiera.serving.plain_caller import Caller, Reply
from filiera.serving.tracing import outgoing

_TIMEOUT_S = 30.0


class ServiceHere(Protocol):
    """A service in this process, such as ``InProcess``."""

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Return the answer to a request."""


class ServiceClient:
    """Talks to one service, over connections that stay open; any number of threads may use it."""

    def __init__(
        self,
        service: str | ServiceHere,
        *,
        token: str | None = None,
        timeout_s: float = _TIMEOUT_S,
        patience_s: float = 0.0,
    ) -> None:
        """Remember where the service is; nothing is sent yet.

        Args:
            service: Its address, such as ``http://127.0.0.1:8000``, or one in this process.
            token: Sent as Bearer token.
            timeout_s: How long each wait for the service may take.
            patience_s: How long, in all, a request waits for a service that is busy or starting, as its Retry-After
                asks; 0: its refusal is the answer.

        Raises:
            UsageError: The address is not one of HTTP.
        """
        self._headers = exchanges.headers_with(token)
        self._timeout_s = timeout_s
        self.url = exchanges.checked_url(service) if isinstance(service, str) else "the service in this process"
        self._service: Caller | ServiceHere = (
            Caller(self.url, timeout_s=timeout_s, patience_s=patience_s) if isinstance(service, str) else service
        )
        if isinstance(self._service, Caller):
            weakref.finalize(self, self._service.close)  # who forgets to close leaves nothing open

    def __enter__(self) -> ServiceClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next request opens one again."""
        if isinstance(self._service, Caller):
            self._service.close()

    def models(self) -> list[str]:
        """Return the names of the models served. Raises FilieraError."""
        return exchanges.names_of(self._call("/v1/models"))

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
        for body in exchanges.chunks_of(rows, self.describe(name)):
            yield from self._call(f"/v1/models/{name}:predict", body)["predictions"]

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Return the result of the function *name*, or ``CLASS.METHOD``, as JSON has it.

        Raises:
            UsageError: The service refused the call as wrong.
            FilieraError: The service cannot be reached or failed, or the function did.
        """
        return self._call(f"/v1/functions/{name}:call", exchanges.call_body(arguments))["result"]

    def stream(self, name: str, /, **arguments: Any) -> Generator[Any, None, None]:
        """Yield the items of a function that streams, as they come; closing the iterator tells the service to stop.

        Raises:
            UsageError: The service refused the call as wrong.
            FilieraError: The service cannot be reached, or the stream did not come to its end.
        """
        items = exchanges.Items(self.url, name)
        with self._lines(f"/v1/functions/{name}:call", exchanges.call_body(arguments)) as lines:
            for line in lines:
                yield from items.of(line)
                if items.has_ended:
                    return
        items.require_end()

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
        body = exchanges.feedback_body(entries)
        kept: int = self._call(f"/v1/models/{model or self._only_model()}:feedback", body)["kept"]
        return kept

    def post(self, path: str, body: bytes, headers: Mapping[str, str] = JSON) -> Reply:
        """Return the answer to a POST, of JSON if nothing else is said. Raises FilieraError when there is none."""
        return self._asked(path, body, headers)

    def _only_model(self) -> str:
        return exchanges.only_one(self.models())

    def _call(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        reply = self._asked(path, body)
        return exchanges.answer_of(self.url, reply.status, reply.body)

    def _asked(self, path: str, body: bytes | None, headers: Mapping[str, str] = JSON) -> Reply:
        headers = {**self._headers, **outgoing(), **headers}
        try:
            return self._service.ask("GET" if body is None else "POST", path, body or b"", headers)
        except (OSError, http.client.HTTPException) as error:
            raise exchanges.unanswered(self.url, error) from error

    @contextmanager
    def _lines(self, path: str, body: bytes) -> Iterator[Iterable[bytes]]:
        """Give the lines of an answer, as they come; who leaves early hangs up."""
        headers = {**self._headers, **outgoing(), **JSON}
        if not isinstance(self._service, Caller):
            reply = self._service.ask("POST", path, body, headers)
            if reply.status != HTTPStatus.OK:
                exchanges.answer_of(self.url, reply.status, reply.body)
            yield reply.body.splitlines()
            return
        parts = urllib.parse.urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            with closing(kind(parts.netloc, timeout=self._timeout_s)) as connection:
                # A service that refuses a large body hangs up before it has read all of it, its answer already sent.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request("POST", exchanges.quoted(parts.path + path), body, headers)
                response = connection.getresponse()
                if response.status != HTTPStatus.OK:
                    exchanges.answer_of(self.url, response.status, response.read())
                yield response
        except (OSError, http.client.HTTPException) as error:
            raise exchanges.unanswered(self.url, error) from error
