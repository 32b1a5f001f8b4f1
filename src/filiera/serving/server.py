"""Runs an app in this process: a socket, signals, the loop; and the end of it."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress

from filiera.errors import UsageError
from filiera.serving.accepting import Door
from filiera.serving.app import App
from filiera.serving.connection import Callers
from filiera.serving.leaving import Running, Served, leave
from filiera.serving.listening import listen, url_of

_LOOK_S = 1.0


def serve(
    build_app: Callable[[], App],
    *,
    host: str,
    port: int,
    grpc_port: int | None = None,
    on_ready: Callable[[Sequence[str]], None],
) -> None:
    """Serve until SIGINT or SIGTERM; come back when requests taken are answered and the log is flushed.

    Call it from the main thread. The address is taken before *build_app* loads anything, so that a taken port is told
    at once.

    Args:
        build_app: Makes the app; its errors and those of its warm-up travel to the caller.
        host: Name or address to listen on.
        port: 0 takes a free one.
        grpc_port: Answer gRPC there too; 0 takes a free one.
        on_ready: Called once with the service's URL, and the address for gRPC if any, when it answers predictions.

    Raises:
        UsageError: An address cannot be listened on, or grpcio is not installed.
    """
    if grpc_port is not None:
        _check_grpc(host, grpc_port)
    with closing(listen(host, port)) as listener:
        url = url_of(listener)
        app = build_app()
        app.start()

        async def announce(running: Running) -> None:
            if grpc_port is None:
                on_ready([url])
                return
            from filiera.serving.oip_grpc import serving

            async with serving(app, host, grpc_port, max_message_bytes=app.max_body_bytes) as address:
                on_ready([url, address])
                await asyncio.Event().wait()

        serve_on(listener.detach(), app, beside=announce)


def _check_grpc(host: str, port: int) -> None:
    """Raise UsageError before anything is loaded."""
    if importlib.util.find_spec("grpc") is None or importlib.util.find_spec("google.protobuf") is None:
        raise UsageError("gRPC needs grpcio, which is not installed.", do="pip install 'filiera[grpc]'")
    listen(host, port).close()


def serve_on(listener: int, app: Served, *, beside: Callable[[Running], Awaitable[None]]) -> None:
    """Serve a started *app* on the file descriptor *listener*, which is closed; come back as ``serve`` does.

    Args:
        listener: Of a socket that listens; other processes may take requests from it too, and go on when this one ends.
        app: Answers.
        beside: Begun when requests are answered, with what tells how busy it is and ends it; its errors end it. It may
            run on as long as the service does.
    """
    asyncio.run(_run(app, listener, beside))


def serve_beside(listener: int, app: Served) -> None:
    """Serve a started *app* on the file descriptor *listener* from a thread, as long as this process lives."""

    async def serve_on_and_on() -> None:
        callers = Callers(app)
        Door(socket.socket(fileno=listener), callers).open()
        await _look_after(callers)

    threading.Thread(target=lambda: asyncio.run(serve_on_and_on()), name="serve-beside", daemon=True).start()


async def _run(app: Served, listener: int, beside: Callable[[Running], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    running, callers = Running(app), Callers(app)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.stop)
    door = Door(socket.socket(fileno=listener), callers)
    door.open()
    going_on = [asyncio.create_task(_beside(running, beside)), asyncio.create_task(_look_after(callers))]
    await leave(running, app, door, callers)
    for task in going_on:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _look_after(callers: Callers) -> None:
    while True:
        await asyncio.sleep(_LOOK_S)
        callers.look(asyncio.get_running_loop().time())


async def _beside(running: Running, beside: Callable[[Running], Awaitable[None]]) -> None:
    try:
        await beside(running)
    except BaseException:
        running.stop()
        raise
