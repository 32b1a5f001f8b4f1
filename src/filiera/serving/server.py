"""Runs an app under granian, in this process: one place that knows that server."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

from filiera.errors import UsageError
from filiera.serving.app import App
from filiera.serving.http import Message, Receive, Scope, Send

_BACKLOG = 1024
_LAST_PORT = 65_535


def serve(build_app: Callable[[], App], *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; come back when requests taken are answered and the log is flushed.

    Call it from the main thread. The address is taken before *build_app* loads anything, so that a taken port is told
    at once.

    Args:
        build_app: Makes the app; its errors and those of its warm-up travel to the caller.
        host: Name or address to listen on.
        port: 0 takes a free one.
        on_ready: Called once with the service's URL when it answers predictions.

    Raises:
        UsageError: The address cannot be listened on.
    """
    with closing(_listen(host, port)) as listener:
        url = _url(listener)
        app = build_app()
        app.start()
        asyncio.run(_run(app, listener.detach(), lambda: on_ready(url)))


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _LAST_PORT:
        raise _unusable(host, port, f"ports end at {_LAST_PORT}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _unusable(host, port, error) from error
    try:
        # Without SO_REUSEPORT, which granian would set: two services on one port would share its callers.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _unusable(host, port, error) from error
    return listener


def _unusable(host: str, port: int, error: Exception | str) -> UsageError:
    return UsageError(
        f"Cannot listen on {host}, port {port}.",
        why=getattr(error, "strerror", None) or str(error),
        do="choose another port, or 0 for any free one",
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _run(app: App, listener: int, started: Callable[[], None]) -> None:
    from granian.constants import Interfaces

    is_up = asyncio.Event()

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_note(message: Message) -> None:
            await send(message)
            is_up.set()

        await app(scope, receive, send_and_note if scope["type"] == "lifespan" else send)

    server = _server_class(listener)(
        watched, interface=Interfaces.ASGI, websockets=False, log_enabled=False, backlog=_BACKLOG
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    serving = asyncio.create_task(server.serve())
    coming_up = asyncio.create_task(is_up.wait())
    await asyncio.wait((serving, coming_up), return_when=asyncio.FIRST_COMPLETED)
    coming_up.cancel()
    try:
        if is_up.is_set():
            started()
    except BaseException:
        server.stop()
        raise
    finally:
        await serving


def _server_class(listener: int) -> Any:
    """Return granian's server class, to run on the file descriptor *listener*, which it then closes."""
    from granian import _granian
    from granian.server.embed import Server

    holder: Any = _granian.SocketHolder  # its stub does not know the arguments

    class OnListener(Server):
        """Takes a socket that is already listening, for which granian has no public way."""

        def _init_shared_socket(self) -> None:
            self._shd: Any = holder(listener, False, _BACKLOG)

    return OnListener
