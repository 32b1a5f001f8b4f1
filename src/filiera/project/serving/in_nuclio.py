"""A service inside a function of Nuclio: it answers events as it would answer requests."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from filiera.errors import UsageError
from filiera.project.serving.offers import offers_of
from filiera.project.serving.token import TOKEN_VARIABLE, token_given

_CALL = "filiera-call"
"""The header that says where an event without a path is to go: that of a clock."""


class Event(Protocol):
    """What Nuclio gives a handler."""

    body: Any  #: bytes, or what it has made of them: a text, or the values of a JSON body
    method: Any  #: this and all that follows: texts or bytes, as the version of its processor has it
    path: Any
    headers: Mapping[Any, Any]
    trigger: Any  #: its ``kind`` is "http", "cron", …


class Events:
    """Answers the events of one worker of Nuclio."""

    def __init__(self, root: Path, served: Sequence[str]) -> None:
        """Start to serve *served*, as ``filiera serve`` takes it, of the project in *root*.

        Raises:
            UsageError: There is no token: others than this machine reach a function.
            FilieraError: It does not start.
        """
        from filiera.serving.app import App
        from filiera.serving.in_process import InProcess

        self._token = token_given() or ""
        if not self._token:
            raise UsageError("A function of Nuclio needs a token.", do=f"Make the secret that {TOKEN_VARIABLE} names.")
        os.chdir(root)
        offers = offers_of(served, profile=None, tell=lambda line: print(line, flush=True))
        self._service = InProcess(App([offer.mount() for offer in offers], token=self._token)).start()

    def close(self) -> None:
        """Stop to serve."""
        self._service.close()

    def answer(self, event: Event) -> dict[str, Any]:
        """Return the arguments of ``context.Response`` for an event."""
        headers = {_text(name).lower(): _text(value) for name, value in event.headers.items()}
        method, path = _text(event.method) or "GET", _text(event.path).partition("?")[0] or "/"
        if _text(event.trigger.kind) == "cron" and _CALL in headers:  # the function's own clock, which knows no token
            method, path = "POST", headers[_CALL]
            headers["authorization"] = f"Bearer {self._token}"
        answered = self._service.ask(method, path, _bytes(event.body), headers)
        kind = answered.headers.get("content-type", "application/octet-stream")
        others = {name: value for name, value in answered.headers.items() if not name.startswith("content-")}
        return {"body": answered.body, "headers": others, "content_type": kind, "status_code": answered.status}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _bytes(body: Any) -> bytes:
    import json

    if body is None:
        return b""
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    return (body if isinstance(body, str) else json.dumps(body)).encode()
