"""What a project serves as an ASGI application: for other servers, and inside other applications.

``filiera serve`` has a server of its own. TLS, HTTP/2, a Unix socket, or a place in an application that is there
already are what others have: they take what ``application`` makes.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.errors import FilieraError, UsageError

if TYPE_CHECKING:
    from filiera.project.serving.offers import Offer
    from filiera.serving.app import App
    from filiera.serving.http import Receive, Scope, Send
    from filiera.serving.problem import Problem

_log = logging.getLogger("filiera.serving")


def application(
    *names: str,
    project: str | Path = ".",
    profile: str | None = None,
    guarded: bool = False,
    access_log: str = "",
    cache_s: float = 0.0,
) -> Application:
    """Return an ASGI application that answers as ``filiera serve`` with the same *names* does.

    Nothing is loaded yet: that happens in each process of a server when it starts the application. Errors in what is
    given here are told then, and keep the server from starting.

    Args:
        names: What is served: ``NAME@VERSION``, ``NAME@ALIAS``, ``NAME``, or ``module:function``.
        project: A folder in the project.
        profile: The profile of the project, if not its usual one.
        guarded: What is around the application lets in only who may ask. Else callers need the token in
            ``FILIERA_TOKEN``; without a token only requests are answered that were sent to this machine by a local
            name, and that came in where other machines cannot reach.
        access_log: A file that gets a line for each request, ``-`` for standard output.
        cache_s: How many seconds answers of models are kept for who asks the same.

    Raises:
        UsageError: Nothing is named, or *cache_s* is no time.

    >>> application("flow-classifier@champion", "shop.prices:price", project="shop")
    <filiera.asgi.Application of flow-classifier@champion, shop.prices:price>
    """
    if not names:
        raise UsageError("An application has to serve something.", do='Name it: application("NAME@champion").')
    if not 0 <= cache_s < float("inf"):
        raise UsageError("cache_s takes a number of seconds, 0 or more.")

    def offers() -> list[Offer]:
        from filiera.project.serving.offers import offers_of

        return offers_of(names, profile=profile, tell=_tell, cache_s=cache_s, folder=Path(project))

    return Application(lambda: _opened(offers(), access_log=access_log, guarded=guarded), name=", ".join(names))


@contextmanager
def _opened(offers: list[Offer], *, access_log: str, guarded: bool) -> Iterator[App]:
    from filiera.project.serving.apps import app_of, closing_logs
    from filiera.project.serving.offers import service_name
    from filiera.serving.watch import watch_of

    with closing_logs(offers):
        watch = watch_of(service_name(offers), access_log=access_log, tell=_tell)
        try:
            app = app_of(offers, watch=watch, is_guarded=guarded)
            app.start()
            _tell(f"serving {', '.join(offer.shown for offer in offers)}")
            yield app
        finally:
            watch.close()


class Application:
    """An ASGI 3 application; ``application`` makes it.

    It starts when its server says so, or ``lifespan`` is entered, or else, as below a path of an application that does
    not pass that on, with its first request. Only who started it can stop it in good order.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[App]], *, name: str = "a service") -> None:
        """Prepare to answer by the app that *opened* gives, started; it is entered and left in threads."""
        self._opened = opened
        self._name = name
        self._context: AbstractContextManager[App] | None = None
        self._app: App | None = None
        self._is_managed = False  #: somebody starts and stops it
        self._starting: asyncio.Task[App | None] | None = None
        self._has_warned = False

    def __repr__(self) -> str:
        return f"<filiera.asgi.Application of {self._name}>"

    @asynccontextmanager
    async def lifespan(self, host: object = None) -> AsyncIterator[None]:
        """For the block, serve; behind it requests taken are answered and the logs are closed.

        For applications in which this one is mounted, which do not start what is mounted in them:
        ``FastAPI(lifespan=model.lifespan)``, or ``async with model.lifespan():`` in a lifespan of their own. *host* is
        the application that it is given to, and nothing is done with it.

        Raises:
            FilieraError: It cannot start.
        """
        self._is_managed = True
        self._app = await self._start()
        try:
            yield
        finally:
            try:
                await self._app.stop()
            finally:
                self._app = None
                await asyncio.to_thread(self._leave)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI says. Raises ValueError for what is none of its protocols."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live_and_die(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            raise ValueError(f"cannot serve {scope['type']!r} connections")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app or await self._begun()
        if app is None:
            from filiera.serving.problem import NOT_READY

            await _refuse(NOT_READY, receive, send)
        elif app.local_names_only and not _came_in_here(scope):
            await _refuse(self._came_from_elsewhere(), receive, send)
        else:
            await app(scope, receive, send)

    async def _live_and_die(self, receive: Receive, send: Send) -> None:
        await receive()
        has_started = False
        try:
            async with self.lifespan():
                has_started = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:  # noqa: BLE001 - a server that does not hear of it would go on without
            if not isinstance(error, FilieraError):
                _log.exception("%s: failed to %s", self._name, "stop" if has_started else "start")
            await send({"type": f"lifespan.{'shutdown' if has_started else 'startup'}.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _begun(self) -> App | None:
        """Start with the first request, unless somebody else sees to that; None if it could not, now or before."""
        if self._is_managed:
            return None
        if self._starting is None:
            self._starting = asyncio.create_task(self._start_alone())
        self._app = await asyncio.shield(self._starting)
        return self._app

    async def _start_alone(self) -> App | None:
        try:
            return await self._start()
        except FilieraError as error:
            _tell(f"{self._name} could not start, and is not tried again. {error}")
        except Exception:  # noqa: BLE001 - callers get an answer, the operator the traceback
            _log.exception("%s could not start, and is not tried again", self._name)
        return None

    async def _start(self) -> App:
        return await asyncio.to_thread(self._enter)

    def _enter(self) -> App:
        context = self._opened()
        app = context.__enter__()
        self._context = context
        atexit.register(self._leave)
        return app

    def _leave(self) -> None:
        atexit.unregister(self._leave)
        context, self._context = self._context, None
        if context is not None:
            context.__exit__(None, None, None)

    def _came_from_elsewhere(self) -> Problem:
        from filiera.project.serving.token import TOKEN_VARIABLE
        from filiera.serving.problem import Problem

        if not self._has_warned:
            self._has_warned = True
            _tell(f"requests that other machines could have sent are refused: set {TOKEN_VARIABLE}")
        return Problem(kind="unknown-host", detail="It came in where other machines reach; that needs a token.")


def _came_in_here(scope: Scope) -> bool:
    """Tell whether only this machine reaches the address that a request came in at.

    >>> _came_in_here({"server": ("127.0.0.1", 80)}), _came_in_here({"server": ("/run/it.sock", None)})
    (True, True)
    >>> _came_in_here({"server": ("0.0.0.0", 80)}), _came_in_here({"server": None})
    (False, False)
    """
    from filiera.serving.listening import is_local

    host, _ = scope.get("server") or ("", None)
    return host.startswith("/") or is_local(host)


async def _refuse(problem: Problem, receive: Receive, send: Send) -> None:
    from filiera.serving.http import problem_response

    await problem_response(problem).send(send, receive)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
