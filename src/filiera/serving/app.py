"""The service: what answers the requests of an ASGI 3 server, around what is mounted in it."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import Sequence
from functools import lru_cache, partial

from filiera.core.value import dataclass
from filiera.serving import metrics
from filiera.serving.http import (
    Intake,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    StreamResponse,
    json_response,
    problem_response,
)
from filiera.serving.keeping import Trouble
from filiera.serving.listening import is_local
from filiera.serving.mount import Mount, Route
from filiera.serving.oip_routes import is_inference, server_routes, with_any_version
from filiera.serving.openapi import document
from filiera.serving.problem import NOT_READY, Problem, RequestRefused
from filiera.serving.trail import UNWATCHED, Trail
from filiera.serving.watch import Watch

_log = logging.getLogger("filiera.serving")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much a service takes before it refuses."""

    max_body_bytes: int = 8 * 1024 * 1024
    body_s: float = 30.0  #: how long the body of a request may take to come
    drain_s: float = 10.0  #: how long stopping waits for requests already taken


class App:
    """Serves models and functions over HTTP: an ASGI callable for requests, started and stopped by whoever made it."""

    def __init__(
        self,
        mounts: Sequence[Mount],
        *,
        token: str | None = None,
        local_names_only: bool = False,
        limits: Limits | None = None,
        watch: Watch | None = None,
    ) -> None:
        """Prepare to serve what *mounts* hold.

        Args:
            mounts: At least one; each name once per kind.
            token: If given, all but the health paths need it as Bearer token.
            local_names_only: Answer only what was sent to ``localhost`` or a loopback address. For services without a
                token: a web page whose name turns out to lead to its visitor's own machine (DNS rebinding) would else
                count as of the service's origin, and could read all and predict.
            limits: How much the service takes.
            watch: Where what is noted of requests goes.
        """
        self._mounts = list(mounts)
        self.local_names_only = local_names_only  #: callers without a token are on this machine
        self._limits = limits or Limits()
        self._token = token.encode() if token else None
        self._metrics = metrics.Metrics()
        self._watch = watch or Watch()
        self._intake = Intake(max_body_bytes=self._limits.max_body_bytes, body_s=self._limits.body_s)
        self._is_ready = False
        self.in_flight = 0  #: requests under way
        self.requests = 0  #: predictions and calls asked for: being looked at does not count
        self._is_idle = asyncio.Event()
        self._routes: dict[str, tuple[metrics.Label, Route]] = {
            path: (metrics.NO_LABEL, Route(method="GET", handler=handler))
            for path, handler in (
                ("/health/live", self._live),
                ("/health/ready", self._ready),
                ("/metrics", self._show_metrics),
                ("/openapi.json", self._show_openapi),
            )
        }
        for mount in self._mounts:
            of_kind = Route(method="GET", handler=partial(self._list, mount.kind))
            self._routes[f"/v1/{mount.kind}"] = (metrics.NO_LABEL, of_kind)
            for path, route in mount.routes().items():
                label = metrics.Label(mount.kind.removesuffix("s"), route.counted_as or mount.name)
                self._routes[path] = (label, route)
        if any(mount.kind == "models" for mount in self._mounts):
            common = server_routes(lambda: self._is_ready and self._blocking() is None)
            self._routes |= {path: (metrics.NO_LABEL, route) for path, route in common.items()}

    @property
    def max_body_bytes(self) -> int:
        """Return how large a request may be."""
        return self._limits.max_body_bytes

    def start(self) -> None:
        """Warm up: after this the service is ready. Doing it twice is harmless. Raises FilieraError."""
        if not self._is_ready:
            for mount in self._mounts:
                mount.start()
            self._is_ready = True

    async def stop(self) -> None:
        """Take no more, wait for the requests already taken, and flush the log."""
        self._is_ready = False
        if self.in_flight:
            self._is_idle.clear()
            try:
                await asyncio.wait_for(self._is_idle.wait(), self._limits.drain_s)
            except TimeoutError:
                _log.error("stopped with %d requests unanswered after %g s", self.in_flight, self._limits.drain_s)
        for mount in self._mounts:
            await mount.stop()
        await asyncio.to_thread(self._watch.close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.in_flight += 1
        started_s = time.perf_counter()
        try:
            watch = self._watch
            trail = Trail() if watch.keeps_trails else UNWATCHED
            request = Request.from_scope(scope, receive, intake=self._intake, trail=trail)
            more = watch.begin(request, self._known) if watch.keeps_trails else ()
            label, response = await self._answer(request)
            try:
                await response.send(send, receive, with_body=scope["method"] != "HEAD", more=more)
            finally:
                took_s = time.perf_counter() - started_s
                if label is not None:
                    self._metrics.count(label, status=response.status, took_s=took_s, rows=response.rows)
                if watch.keeps_trails:
                    watch.end(request, response, label, took_s=took_s)
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._is_idle.set()

    async def _answer(self, request: Request) -> tuple[metrics.Label | None, Response | StreamResponse]:
        """Return the answer, and under which label it is counted, if it is."""
        counted: metrics.Label | None = None
        response: Response | StreamResponse
        try:
            label, route = self._find(request)
            if route.counts:
                counted, self.requests = label, self.requests + 1
            if (route.counts or route.needs_ready) and not self._is_ready:
                raise RequestRefused(NOT_READY)
            response = await route.handler(request)
        except RequestRefused as refusal:
            request.trail.problem = refusal.problem.kind
            response = problem_response(refusal.problem, has_error=is_inference(request.path))
        except Exception:  # noqa: BLE001 - the caller gets an answer, the operator the traceback
            _log.exception("request failed: %s", request.method)
            problem = Problem(kind="internal-error", detail="See the service's log.")
            request.trail.problem = problem.kind
            response = problem_response(problem, has_error=is_inference(request.path))
        return counted, response

    def _find(self, request: Request) -> tuple[metrics.Label, Route]:
        if self.local_names_only and not _is_local_authority(request.headers.get("host", "")):
            detail = "Send the request to localhost, 127.0.0.1 or [::1]; a service with a token answers to any name."
            raise RequestRefused(Problem(kind="unknown-host", detail=detail))
        found = self._routes.get(request.path) or self._routes.get(with_any_version(request.path))
        if not (self._may_enter(request) or (found is not None and not found[1].needs_token)):
            detail = "Send the header Authorization: Bearer TOKEN."
            raise RequestRefused(
                Problem(kind="unauthorized", detail=detail, headers={"WWW-Authenticate": 'Bearer realm="filiera"'})
            )
        if found is None:
            raise RequestRefused(
                Problem(kind="unknown-path", detail="See paths.", extra={"paths": sorted(self._routes)})
            )
        route = found[1]
        allowed = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        if request.method not in allowed:
            allow = ", ".join(allowed)
            raise RequestRefused(
                Problem(kind="method-not-allowed", detail=f"It takes {allow}.", headers={"Allow": allow})
            )
        return found

    def _known(self, path: str) -> str:
        """Return the path of the route that a request's path leads to, or ""."""
        if path in self._routes:
            return path
        without = with_any_version(path)
        return without if without in self._routes else ""

    def _may_enter(self, request: Request) -> bool:
        if self._token is None or request.path.startswith(("/health/", "/v2/health/")):
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return hmac.compare_digest(given.strip().encode(), self._token) and scheme.lower() == "bearer"

    async def _live(self, request: Request) -> Response:
        return json_response({"status": "live"})

    async def _ready(self, request: Request) -> Response:
        if not self._is_ready:
            return problem_response(NOT_READY)
        if (blocking := self._blocking()) is not None:
            detail = f"It refuses requests: {blocking.text}."
            return problem_response(Problem(kind="not-ready", detail=detail, headers={"Retry-After": "1"}))
        troubles = [trouble.text for mount in self._mounts if (trouble := mount.trouble()) is not None]
        return json_response({"status": "ready", **({"troubles": troubles} if troubles else {})})

    def _blocking(self) -> Trouble | None:
        troubles = (mount.trouble() for mount in self._mounts)
        return next((trouble for trouble in troubles if trouble is not None and trouble.is_blocking), None)

    async def _show_metrics(self, request: Request) -> Response:
        samples = self.samples()
        shared = self._watch.shared
        text = metrics.render(shared.with_others(samples) if shared is not None else samples)
        return Response(content=text.encode(), media_type=metrics.MEDIA_TYPE)

    def samples(self) -> metrics.Samples:
        """Return what this process has counted, and what its mounts measure of themselves now."""
        return self._metrics.samples([*(mount.gauges() for mount in self._mounts), self._watch.samples()])

    async def _show_openapi(self, request: Request) -> Response:
        needs_token = self._token is not None
        found = document(self._mounts, needs_token=needs_token, local_names_only=self.local_names_only)
        if request.root:
            found["servers"] = [{"url": request.root}]
        return json_response(found)

    async def _list(self, kind: str, request: Request) -> Response:
        return json_response({kind: [mount.listed() for mount in self._mounts if mount.kind == kind]})


@lru_cache(maxsize=256)
def _is_local_authority(authority: str) -> bool:
    """Tell whether a ``Host`` header names this machine, with any port or none.

    >>> _is_local_authority("localhost:8000"), _is_local_authority("[::1]"), _is_local_authority("evil.example")
    (True, True, False)
    """
    found = re.fullmatch(r"(?:\[([^]]*)\]|([^:]*))(?::\d*)?", authority)
    return found is not None and is_local((found[1] or found[2]).lower())
