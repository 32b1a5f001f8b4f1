"""Calls a running service from an event loop, with httpx."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any

from filiera.errors import UsageError
from filiera.serving import exchanges
from filiera.serving.exchanges import JSON
from filiera.serving.tracing import outgoing

try:
    import httpx
except ModuleNotFoundError as error:
    raise UsageError("The asynchronous client needs httpx, which is not installed.", do="pip install httpx") from error

if TYPE_CHECKING:
    from filiera.serving.app import App

_TIMEOUT_S = 30.0
_IN_PROCESS = "http://localhost"


class AsyncServiceClient:
    """Talks to one service as ``ServiceClient`` does, from one event loop: ``async with AsyncServiceClient(url)``."""

    def __init__(self, service: str | App, *, token: str | None = None, timeout_s: float = _TIMEOUT_S) -> None:
        """Remember where the service is; nothing is sent yet.

        Args:
            service: Its address, such as ``http://127.0.0.1:8000``, or a started one in this process.
            token: Sent as Bearer token.
            timeout_s: How long each wait for the service may take.

        Raises:
            UsageError: The address is not one of HTTP, or httpx is not installed.
        """
        is_remote = isinstance(service, str)
        self.url = exchanges.checked_url(service) if isinstance(service, str) else "the service in this process"
        self._http = httpx.AsyncClient(
            base_url=self.url if is_remote else _IN_PROCESS,
            headers=exchanges.headers_with(token),
            timeout=timeout_s,
            transport=None if isinstance(service, str) else httpx.ASGITransport(service),
        )

    async def __aenter__(self) -> AsyncServiceClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; nothing can be asked any more."""
        await self._http.aclose()

    async def models(self) -> list[str]:
        """Return the names of the models served. Raises FilieraError."""
        return exchanges.names_of(await self._call("/v1/models"))

    async def describe(self, model: str) -> dict[str, Any]:
        """Return version and signature of *model*. Raises FilieraError."""
        return await self._call(f"/v1/models/{model}")

    async def predict(
        self, rows: Iterable[Mapping[str, Any]], *, model: str | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield one prediction per row, as ``ServiceClient.predict``. Raises UsageError, FilieraError."""
        name = model or await self._only_model()
        for body in exchanges.chunks_of(rows, await self.describe(name)):
            for prediction in (await self._call(f"/v1/models/{name}:predict", body))["predictions"]:
                yield prediction

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Return the result of the function *name*, as ``ServiceClient.call``. Raises UsageError, FilieraError."""
        return (await self._call(f"/v1/functions/{name}:call", exchanges.call_body(arguments)))["result"]

    async def stream(self, name: str, /, **arguments: Any) -> AsyncGenerator[Any, None]:
        """Yield the items of a function that streams, as ``ServiceClient.stream``. Raises UsageError, FilieraError."""
        items = exchanges.Items(self.url, name)
        async with self._response(f"/v1/functions/{name}:call", exchanges.call_body(arguments)) as response:
            if response.status_code != HTTPStatus.OK:
                exchanges.answer_of(self.url, response.status_code, await response.aread())
            async with aclosing(_lines_of(response)) as lines:
                async for line in lines:
                    for item in items.of(line):
                        yield item
                    if items.has_ended:
                        return
        items.require_end()

    async def feedback(self, entries: Iterable[Mapping[str, Any]], *, model: str | None = None) -> int:
        """Tell what became of predictions, as ``ServiceClient.feedback``. Raises UsageError, FilieraError."""
        body = exchanges.feedback_body(entries)
        kept: int = (await self._call(f"/v1/models/{model or await self._only_model()}:feedback", body))["kept"]
        return kept

    async def _only_model(self) -> str:
        return exchanges.only_one(await self.models())

    async def _call(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        async with self._response(path, body) as response:
            return exchanges.answer_of(self.url, response.status_code, await response.aread())

    @asynccontextmanager
    async def _response(self, path: str, body: bytes | None) -> AsyncIterator[httpx.Response]:
        method = "GET" if body is None else "POST"
        headers = {**outgoing(), **JSON}
        try:
            async with self._http.stream(method, exchanges.quoted(path), content=body, headers=headers) as response:
                yield response
        except httpx.TransportError as error:
            raise exchanges.unanswered(self.url, error) from error


async def _lines_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a body as they come; httpx would also end them at signs that JSON has within texts."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
