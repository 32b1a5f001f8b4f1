"""Traces by OpenTelemetry: a span for each request, and for the parts of its work.

Source:
    Semantic conventions of OpenTelemetry for HTTP servers, version 1.38, and W3C Trace Context.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from filiera.errors import UsageError
from filiera.serving.http import Request

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

T = TypeVar("T")
_API = "opentelemetry.trace"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))
_LONGEST = 256
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXTRA = "pip install 'filiera[otel]'"


class Tracing:
    """Begins the spans of requests."""

    def __init__(self, tracer: Tracer) -> None:
        """Make spans by *tracer*, whose provider says which are kept and where they go."""
        self._tracer = tracer

    def begin(self, request: Request, route: str) -> RequestSpan:
        """Return the span of a request, a child of the one that its ``traceparent`` names.

        Args:
            request: Of it the method, the path, the host and the program that asks are told; never data.
            route: The path as the service knows it; "" when it does not.
        """
        from opentelemetry import propagate
        from opentelemetry.trace import SpanKind

        method = request.method if request.method in _METHODS else "_OTHER"
        shown = method if method in _METHODS else "HTTP"
        above = propagate.extract(request.headers)
        span = self._tracer.start_span(
            f"{shown} {route}" if route else shown,
            context=above,
            kind=SpanKind.SERVER,
            attributes=_attributes(request, method, route),
        )
        return RequestSpan(self._tracer, span, above)


class RequestSpan:
    """The span of one request, which becomes the parent of what is done for it."""

    def __init__(self, tracer: Tracer, span: Span, above: Context) -> None:
        from opentelemetry.trace import set_span_in_context

        self._tracer, self._span = tracer, span
        self._context = set_span_in_context(span, above)
        self._since_ns = time.time_ns()
        self._parts: list[tuple[str, int, int]] = []  # each with when it was done, and in how many rows
        self._is_kept = span.is_recording()

    @property
    def trace_id(self) -> str:
        """Return the id of the trace, 32 hex digits; "" of one that is not kept."""
        return f"{self._span.get_span_context().trace_id:032x}" if self._is_kept else ""

    def mark(self, part: str, rows: int) -> None:
        """Note that a part of the work is done, in so many rows."""
        if self._is_kept:
            self._parts.append((part, time.time_ns(), rows))

    def within(self, job: Callable[[], T]) -> Callable[[], T]:
        """Return *job*, whose own spans are children of this one."""

        def run() -> T:
            with self._current():
                return job()

        return run

    def within_async(self, job: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """Return *job*, whose own spans are children of this one."""

        async def run() -> T:
            with self._current():
                return await job()

        return run

    def end(self, *, status: int, problem: str, about: Mapping[str, str | int]) -> None:
        """End it, and tell its parts.

        Args:
            status: Of the answer; of a stream 500 when it failed, 499 when the caller hung up.
            problem: The kind of problem that the answer tells, or "".
            about: More to tell, such as the version that answered.
        """
        from opentelemetry.trace import Status, StatusCode

        if not self._is_kept:
            self._span.end()
            return
        since_ns = self._since_ns
        for part, until_ns, rows in self._parts:
            told = {"filiera.batch.rows": rows} if rows else None
            child = self._tracer.start_span(part, context=self._context, start_time=since_ns, attributes=told)
            child.end(until_ns)
            since_ns = until_ns
        self._span.set_attributes({"http.response.status_code": status, **about})
        if problem or status >= 500:
            self._span.set_attribute("error.type", problem or str(status))
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    @contextmanager
    def _current(self) -> Iterator[None]:
        from opentelemetry import context

        token = context.attach(self._context)
        try:
            yield
        finally:
            context.detach(token)


@contextmanager
def inside(part: str) -> Iterator[None]:
    """Make a span of what is done, inside the trace at hand; none where there is no trace."""
    if _API not in sys.modules:
        yield
        return
    from opentelemetry import trace

    if not trace.get_current_span().get_span_context().is_valid:
        yield
        return
    with trace.get_tracer("filiera").start_as_current_span(part):
        yield


def outgoing() -> dict[str, str]:
    """Return the headers that tell another service the trace at hand; none where this process makes no traces."""
    headers: dict[str, str] = {}
    if _API in sys.modules:
        from opentelemetry import propagate

        propagate.inject(headers)
    return headers


def tracing_of(name: str, *, tell: Callable[[str], None]) -> Tracing | None:
    """Return what makes traces of the service *name*, if somebody wants some.

    These are wanted when this process has a tracer provider, as under ``opentelemetry-instrument``, or when the
    standard variables say where to send them: ``OTEL_TRACES_EXPORTER`` or ``OTEL_EXPORTER_OTLP_ENDPOINT``.

    Args:
        name: Told as ``service.name``, unless the variables say another one.
        tell: Takes a line when traces are wanted and cannot be had for want of a library.

    Raises:
        UsageError: The variables name an exporter that is not there.
    """
    is_asked_for = _is_asked_for(os.environ)
    if not is_asked_for and _API not in sys.modules:
        return None
    try:
        from opentelemetry import trace

        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            if not is_asked_for:
                return None
            trace.set_tracer_provider(_provider(name, os.environ))
    except ModuleNotFoundError as error:
        tell(f"no traces, which OTEL_… variables ask for: {error.name} is not installed; {_EXTRA}")
        return None
    return Tracing(trace.get_tracer("filiera"))


def _is_asked_for(variables: Mapping[str, str]) -> bool:
    """Tell whether traces are to be made.

    >>> _is_asked_for({"OTEL_TRACES_EXPORTER": "none"}), _is_asked_for({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"})
    (False, True)
    """
    exporter = variables.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    return bool(exporter or any(variables.get(each) for each in _ENDPOINTS))


def _provider(name: str, variables: Mapping[str, str]) -> Any:
    """Return a provider of the SDK, which reads its other variables itself: sampling, limits, batches."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    is_named = "OTEL_SERVICE_NAME" in variables or "service.name=" in variables.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if is_named else {"service.name": name}))
    for exporter in (variables.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        provider.add_span_processor(BatchSpanProcessor(_exporter(exporter.strip(), variables)))
    return provider


def _exporter(name: str, variables: Mapping[str, str]) -> Any:
    from importlib.metadata import entry_points

    wanted = name
    if name == "otlp":
        protocol = variables.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or variables.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        wanted = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    found = {point.name: point for point in entry_points(group="opentelemetry_traces_exporter")}
    if wanted not in found:
        raise UsageError(
            f"Traces cannot be sent by {name!r}, as OTEL_TRACES_EXPORTER says.",
            why=f"{wanted!r} is none of the exporters installed: {', '.join(sorted(found)) or 'none'}.",
            do=_EXTRA if wanted == "otlp_proto_http" else "install it, or name another one",
        )
    return found[wanted].load()()


def _attributes(request: Request, method: str, route: str) -> dict[str, str | int]:
    found: dict[str, str | int] = {
        "http.request.method": method,
        "url.path": request.path[:_LONGEST],
        "url.scheme": "http",
    }
    if route:
        found["http.route"] = route
    host, _, port = request.headers.get("host", "").rpartition(":")
    if host and port.isdecimal() and len(port) <= 5:
        found |= {"server.address": host[:_LONGEST], "server.port": int(port)}
    elif "host" in request.headers:
        found["server.address"] = request.headers["host"][:_LONGEST]
    if "user-agent" in request.headers:
        found["user_agent.original"] = request.headers["user-agent"][:_LONGEST]
    return found
