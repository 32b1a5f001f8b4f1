"""The service: a plain ASGI 3 application around served models."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from filiera.core.value import dataclass
from filiera.serving import metrics
from filiera.serving.contract import describe, openapi
from filiera.serving.http import (
    ClientGone,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    json_response,
    problem_response,
)
from filiera.serving.predictor import PredictionFailed
from filiera.serving.problem import Problem, RequestRefused
from filiera.serving.served_model import ServedModel
from filiera.serving.worker import Busy, Worker

_log = logging.getLogger("filiera.serving")
_Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much a service takes before it refuses."""

    max_body_bytes: int = 8 * 1024 * 1024
    max_waiting: int = 64  #: requests that may wait for the predicting thread; more get 503
    drain_s: float = 10.0  #: how long stopping waits for requests already taken


class App:
    """Serves models over HTTP; an ASGI callable.

    Predictions run in one thread, so that health is answered meanwhile.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        *,
        token: str | None = None,
        local_names_only: bool = False,
        limits: Limits | None = None,
    ) -> None:
        """Prepare to serve *models*.

        Args:
            models: At least one.
            token: If given, all but the health paths need it as Bearer token.
            local_names_only: Answer only what was sent to ``localhost`` or a loopback address. For services without a
                token: a web page whose name turns out to lead to its visitor's own machine (DNS rebinding) would else
                count as of the service's origin, and could read all and predict.
            limits: How much the service takes.
        """
        self._models = list(models)
        self._local_names_only = local_names_only
        self._limits = limits or Limits()
        self._token = token.encode() if token else None
        self._metrics = metrics.Metrics()
        self._worker = Worker(max_waiting=self._limits.max_waiting)
        self._is_ready = False
        self._in_flight = 0
        self._is_idle = asyncio.Event()
        self._logs = list({id(model.log): model.log for model in models if model.log is not None}.values())
        contracts = [model.contract for model in models]
        self._openapi = json_response(
            openapi(contracts, needs_token=token is not None, local_names_only=local_names_only)
        )
        self._routes: dict[str, tuple[str, _Handler]] = {
            "/health/live": ("GET", self._live),
            "/health/ready": ("GET", self._ready),
            "/metrics": ("GET", self._show_metrics),
            "/openapi.json": ("GET", partial(_always, self._openapi)),
            "/v1/models": ("GET", partial(_always, _model_list(models))),
        }
        for model in models:
            path = f"/v1/models/{model.contract.name}"
            self._routes[path] = ("GET", partial(_always, json_response(describe(model.contract))))
            self._routes[f"{path}:predict"] = ("POST", partial(self._predict, model))

    def start(self) -> None:
        """Warm up: after this the service is ready. Doing it twice is harmless. Raises FilieraError."""
        if not self._is_ready:
            for model in self._models:
                model.warm_up()
            self._is_ready = True

    async def stop(self) -> None:
        """Take no more, wait for the requests already taken, and flush the log."""
        self._is_ready = False
        if self._in_flight:
            self._is_idle.clear()
            try:
                await asyncio.wait_for(self._is_idle.wait(), self._limits.drain_s)
            except TimeoutError:
                _log.error("stopped with %d requests unanswered after %g s", self._in_flight, self._limits.drain_s)
        self._worker.stop()
        for log in self._logs:
            await asyncio.to_thread(log.flush)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live_and_die(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"cannot serve {scope['type']!r} connections")
        self._in_flight += 1
        try:
            response = await self._answer(Request.from_scope(scope, receive))
            await response.send(send, with_body=scope["method"] != "HEAD")
        except ClientGone:
            return
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._is_idle.set()

    async def _live_and_die(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self.start()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._find(request)(request)
        except RequestRefused as refusal:
            return problem_response(refusal.problem)
        except ClientGone:
            raise
        except Exception:  # noqa: BLE001 - the caller gets an answer, the operator the traceback
            _log.exception("request failed: %s", request.method)
            return problem_response(Problem(kind="internal-error", detail="See the service's log."))

    def _find(self, request: Request) -> _Handler:
        if self._local_names_only and not _is_local_authority(request.headers.get("host", "")):
            detail = "Send the request to localhost, 127.0.0.1 or [::1]; a service with a token answers to any name."
            raise RequestRefused(Problem(kind="unknown-host", detail=detail))
        if not self._may_enter(request):
            detail = "Send the header Authorization: Bearer TOKEN."
            raise RequestRefused(
                Problem(kind="unauthorized", detail=detail, headers={"WWW-Authenticate": 'Bearer realm="filiera"'})
            )
        if request.path not in self._routes:
            raise RequestRefused(
                Problem(kind="unknown-path", detail="See paths.", extra={"paths": sorted(self._routes)})
            )
        method, handler = self._routes[request.path]
        allowed = ("GET", "HEAD") if method == "GET" else (method,)
        if request.method not in allowed:
            allow = ", ".join(allowed)
            raise RequestRefused(
                Problem(kind="method-not-allowed", detail=f"It takes {allow}.", headers={"Allow": allow})
            )
        return handler

    def _may_enter(self, request: Request) -> bool:
        if self._token is None or request.path.startswith("/health/"):
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return hmac.compare_digest(given.strip().encode(), self._token) and scheme.lower() == "bearer"

    async def _predict(self, model: ServedModel, request: Request) -> Response:
        started_s = time.perf_counter()
        rows = 0
        status = 500
        try:
            body = await self._body(request)
            content, rows = await self._worker.run(partial(_predict_to_json, model, body))
            status = 200
            return Response(content=content)
        except RequestRefused as refusal:
            status = refusal.problem.status
            raise
        except Busy:
            status = 503
            problem = Problem(kind="busy", detail="Try again in a second.", headers={"Retry-After": "1"})
            return problem_response(problem)
        except PredictionFailed as failure:
            _log_failure(model, failure)
            return problem_response(Problem(kind="prediction-failed", detail="See the service's log."))
        finally:
            took_s = time.perf_counter() - started_s
            self._metrics.count(model.contract.name, status=status, took_s=took_s, rows=rows)

    async def _body(self, request: Request) -> bytes:
        if not self._is_ready:
            detail = "It is starting or stopping."
            raise RequestRefused(Problem(kind="not-ready", detail=detail, headers={"Retry-After": "1"}))
        # Also what keeps a web page from posting to a service on its visitor's loopback: browsers ask before sending
        # this type to a foreign address, and we never say yes.
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            detail = "Send the header Content-Type: application/json."
            raise RequestRefused(Problem(kind="not-json-type", detail=detail))
        return await request.body(max_bytes=self._limits.max_body_bytes)

    async def _live(self, request: Request) -> Response:
        return json_response({"status": "live"})

    async def _ready(self, request: Request) -> Response:
        if not self._is_ready:
            detail = "It is starting or stopping."
            return problem_response(Problem(kind="not-ready", detail=detail, headers={"Retry-After": "1"}))
        return json_response({"status": "ready"})

    async def _show_metrics(self, request: Request) -> Response:
        dropped = sum(log.dropped() for log in self._logs)
        text = self._metrics.render(waiting=self._worker.waiting, log_dropped=dropped)
        return Response(content=text.encode(), media_type=metrics.MEDIA_TYPE)


def must_have_token(host: str) -> bool:
    """Tell whether a service bound to *host* can be reached from other machines, so that it needs a token.

    >>> must_have_token("127.0.0.1"), must_have_token("::1"), must_have_token("0.0.0.0")
    (False, False, True)
    """
    return not _is_local(host)


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_local_authority(authority: str) -> bool:
    """Tell whether a ``Host`` header names this machine, with any port or none.

    >>> _is_local_authority("localhost:8000"), _is_local_authority("[::1]"), _is_local_authority("evil.example")
    (True, True, False)
    """
    found = re.fullmatch(r"(?:\[([^]]*)\]|([^:]*))(?::\d*)?", authority)
    return found is not None and _is_local((found[1] or found[2]).lower())


async def _always(response: Response, request: Request) -> Response:
    return response


def _model_list(models: Sequence[ServedModel]) -> Response:
    return json_response(
        {"models": [{"name": model.contract.name, "version": model.contract.version} for model in models]}
    )


def _predict_to_json(model: ServedModel, body: bytes) -> tuple[bytes, int]:
    predictions = model.answer(body)
    contract = model.contract
    answer = {"model": contract.name, "version": contract.version, "predictions": predictions}
    return msgspec.json.encode(answer), len(predictions)


def _log_failure(model: ServedModel, failure: PredictionFailed) -> None:
    """Log what happened; messages of exceptions may quote the rows, so with sensitive fields only the frames."""
    who = f"{model.contract.name}, version {model.contract.version}"
    if any(field.sensitive for field in model.contract.signature.inputs):
        cause = failure.__cause__
        frames = "".join(traceback.format_tb(cause.__traceback__)) if cause is not None else ""
        _log.error("%s failed to predict: %s\n%s", who, failure.why, frames)
    else:
        _log.error("%s failed to predict", who, exc_info=failure)
