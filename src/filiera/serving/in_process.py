"""Asks a service in this process, without a socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, TypeVar

from filiera.serving.app import App
from filiera.serving.plain_caller import Reply

T = TypeVar("T")
_JSON = {"content-type": "application/json"}


class InProcess:
    """A service that is asked from any thread: ``with InProcess(app) as service``.

    It has an event loop in a thread of its own, so that whoever asks may have one too, as notebooks and tests do.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def __enter__(self) -> InProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> InProcess:
        """Start the service, and return this. Raises FilieraError."""
        self._app.start()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="in-process", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop the service."""
        self._run(self._app.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def post(self, path: str, body: bytes, headers: Mapping[str, str] = _JSON) -> Reply:
        """Return the answer to a POST."""
        return self.ask("POST", path, body, headers)

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Return the answer to a request."""
        return self._run(ask(self._app, method, path, body, headers))

    def _run(self, asked: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()


async def ask(app: App, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Return what *app* answers to a request, from its own event loop; header names in lower case."""
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": encoded}
    sent: list[Any] = []

    coming = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not coming:
            await asyncio.Event().wait()  # who asks from here does not hang up
        return coming.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    given = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return Reply(status=sent[0]["status"], headers=given, body=content)
