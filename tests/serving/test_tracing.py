"""Traces: a span for each request and its parts, by the conventions of OpenTelemetry, with no data in them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from filiera.core.service import ServiceOptions
from filiera.errors import UsageError
from filiera.serving.app import App
from filiera.serving.client import ServiceClient
from filiera.serving.endpoint import Endpoint
from filiera.serving.function_mount import FunctionMount
from filiera.serving.model_mount import ModelMount
from filiera.serving.remote_model import RemoteModel
from filiera.serving.served_model import ServedModel
from filiera.serving.tracing import Tracing, outgoing, tracing_of
from filiera.serving.watch import Watch
from tests.serving.functions import double, letters
from tests.serving.offers import GOOD, SIGNATURE, Broken, get, post, talk

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = int(PARENT.split("-")[1], 16)
PREDICT = "/v1/models/flows:predict"
JSON = {"content-type": "application/json"}


class Spans:
    """A provider that keeps what ends."""

    def __init__(self, **options: Any) -> None:
        self.provider = TracerProvider(**options)
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    def app(self, model: Any = None, *functions: Any) -> App:
        """Return a started app that serves a model as ``flows``, and functions, watched by these spans."""
        mounts: list[Any] = [FunctionMount(each, ServiceOptions(), version="1") for each in functions]
        if model is not None:
            mounts.append(ModelMount(Endpoint(ServedModel("flows", model, version=3, signature=SIGNATURE))))
        app = App(mounts, watch=Watch(tracing=Tracing(self.tracer)))
        app.start()
        return app

    def take(self) -> list[ReadableSpan]:
        """Return the spans that have ended, in the order of their beginning."""
        found = self._exporter.get_finished_spans()
        self._exporter.clear()
        return sorted(found, key=lambda span: (span.start_time or 0, span.parent is not None))


@pytest.fixture
def spans() -> Spans:
    return Spans()


def context_of(span: ReadableSpan) -> Any:
    assert span.context is not None
    return span.context


def about(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_prediction_is_a_server_span_with_its_parts(spans: Spans) -> None:
    """Name, kind and attributes are those of the conventions; the parts follow one another, within it."""
    assert post(spans.app(Broken()), [GOOD, GOOD]).status_code == 200
    server, *parts = spans.take()
    assert (server.name, server.kind) == (f"POST {PREDICT}", trace.SpanKind.SERVER)
    told = about(server)
    assert told.pop("filiera.request.id").endswith("-0")
    assert told.pop("user_agent.original").startswith("python-httpx/")
    assert told == {
        "http.request.method": "POST",
        "http.route": PREDICT,
        "http.response.status_code": 200,
        "url.path": PREDICT,
        "url.scheme": "http",
        "server.address": "service",
        "filiera.model": "flows",
        "filiera.version": 3,
        "filiera.rows": 2,
    }
    assert server.status.status_code is trace.StatusCode.UNSET
    assert [part.name for part in parts] == ["read", "predict", "log"]
    assert about(parts[1]) == {"filiera.batch.rows": 2}
    assert {part.parent.span_id for part in parts if part.parent} == {context_of(server).span_id}
    times = [server.start_time, *(time for part in parts for time in (part.start_time, part.end_time)), server.end_time]
    assert times == sorted(times, key=lambda at: at or 0)


def test_the_callers_trace_goes_on(spans: Spans) -> None:
    """What ``traceparent`` says is the parent; one that is no such header begins a trace of its own."""
    app = spans.app(Broken())
    get(app, "/v1/models", headers={"traceparent": PARENT})
    get(app, "/v1/models", headers={"traceparent": "00-nonsense"})
    first, second = spans.take()
    assert first.parent is not None
    assert (context_of(first).trace_id, first.parent.span_id) == (TRACE, int(PARENT.split("-")[2], 16))
    assert second.parent is None


@pytest.mark.parametrize(
    ("row", "status", "problem", "code"),
    [
        ({**GOOD, "duration": -1, "user": "s3cret"}, 422, "invalid-rows", trace.StatusCode.UNSET),
        ({**GOOD, "duration": 99, "user": "s3cret"}, 500, "prediction-failed", trace.StatusCode.ERROR),
    ],
)
def test_a_refusal_is_told_by_its_kind_and_never_by_data(
    spans: Spans, row: dict[str, Any], status: int, problem: str, code: trace.StatusCode
) -> None:
    """Only what is the service's own fault is an error of its span; no span says what was sent."""
    assert post(spans.app(Broken()), [row]).status_code == status
    found = spans.take()
    assert (about(found[0])["error.type"], found[0].status.status_code) == (problem, code)
    assert "s3cret" not in "".join(span.to_json() for span in found)


def test_paths_without_a_route_and_strange_methods_have_bounded_names(spans: Spans) -> None:
    """A name is one of few, whatever callers send; health and metrics have no span."""
    app = spans.app(Broken())
    get(app, f"/v1/models/{'x' * 1000}?token=s3cret", "BREW")
    for path in ("/health/live", "/v2/health/ready", "/metrics"):
        get(app, path)
    get(app, "/v2/models/flows/versions/3/ready")
    strange, named = spans.take()
    assert (strange.name, about(strange)["http.request.method"]) == ("HTTP", "_OTHER")
    assert len(about(strange)["url.path"]) == 256
    assert named.name == "GET /v2/models/flows/versions/{version}/ready"


def test_requests_predicted_together_tell_the_rows_of_their_batch(spans: Spans) -> None:
    """Each has spans of its own, which say in how many rows it was predicted."""
    app = spans.app(Broken())
    body = json.dumps({"instances": [GOOD]}).encode()

    async def both(client: httpx.AsyncClient) -> None:
        import asyncio

        await asyncio.gather(*(client.post(PREDICT, content=body, headers=JSON) for _ in range(3)))

    talk(app, both)
    found = spans.take()
    predicted = [about(span)["filiera.batch.rows"] for span in found if span.name == "predict"]
    assert (len(predicted), sum(1 / rows for rows in predicted)) in [(3, 1), (3, 2), (3, 3)]
    assert len([span for span in found if span.kind is trace.SpanKind.SERVER]) == 3


def test_spans_of_a_function_are_children_of_its_request(spans: Spans) -> None:
    """In a thread, on a loop and in a stream: what a function traces itself belongs to who asked."""

    def plain(n: int) -> int:
        with spans.tracer.start_as_current_span("own"):
            return n

    async def late(n: int) -> int:
        with spans.tracer.start_as_current_span("own"):
            return await double(n)

    def pieces(n: int) -> Iterator[int]:
        with spans.tracer.start_as_current_span("own"):
            pass
        yield n

    app = spans.app(None, plain, late, pieces, letters)
    for name in ("plain", "late", "pieces"):
        path = f"/v1/functions/{name}:call"
        assert talk(app, lambda client, path=path: client.post(path, json={"n": 1})).status_code == 200  # type: ignore[misc]
        found = {span.name: span for span in spans.take()}
        own, server = found["own"], found[f"POST {path}"]
        assert own.parent is not None
        assert own.parent.span_id == context_of(server).span_id
        assert about(server)["filiera.function"] == name


def test_what_is_not_sampled_is_not_made_and_still_passed_on() -> None:
    """A caller that does not sample is followed: no spans, and those who are asked further hear the same."""
    spans = Spans(sampler=ParentBased(ALWAYS_ON))

    def asks_further() -> dict[str, str]:
        return outgoing()

    app, unsampled = spans.app(Broken(), asks_further), f"{PARENT[:-2]}00"
    path, headers = "/v1/functions/asks_further:call", {"traceparent": unsampled}
    passed = talk(app, lambda client: client.post(path, json={}, headers=headers)).json()["result"]["traceparent"]
    assert (passed[:36], passed[-2:]) == (PARENT[:36], "00")
    assert spans.take() == []


def test_the_trace_goes_on_into_the_services_that_are_asked(spans: Spans) -> None:
    """The client and a graph's model in another process send the ``traceparent`` of the span at hand."""
    asked: list[str | None] = []
    answer = {"models": [], "version": 3, "signature": {"hash": SIGNATURE.hash}}
    with listening(lambda headers, body: asked.append(headers["traceparent"]), json.dumps(answer).encode()) as url:
        client = ServiceClient(url)
        client.models()
        with spans.tracer.start_as_current_span("application") as span:
            client.models()
            RemoteModel(url, "flows", version=3, signature=SIGNATURE).require()
    head = f"00-{span.get_span_context().trace_id:032x}-{span.get_span_context().span_id:016x}"
    assert [each and each[: len(head)] for each in asked] == [None, head, head]


def test_nothing_is_loaded_where_nobody_traces() -> None:
    """Without variables and without a provider OpenTelemetry is not imported, though it is installed."""
    code = (
        "import sys\n"
        "from filiera.serving.watch import watch_of\n"
        "from filiera.serving.tracing import outgoing\n"
        "assert not watch_of('x', access_log='', tell=print).keeps_trails and outgoing() == {}\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    variables = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables)
    assert done.stdout == "[]\n"


def test_an_exporter_that_is_not_there_is_an_error_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which there are."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "smoke-signals")
    with pytest.raises(UsageError, match="smoke-signals"):
        tracing_of("x", tell=print)


class listening:
    """A little server on loopback: each request's headers and body are told, and one answer is given."""

    def __init__(self, told: Any, answer: bytes = b"") -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told(self.headers, self.rfile.read(int(self.headers.get("content-length", 0))))
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *of_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_variables_alone_send_traces_to_a_collector(tmp_path: Path) -> None:
    """``filiera serve`` with the standard variables: what it answers is at the collector when it has ended."""
    (tmp_path / "greeting.py").write_text("def greet(name: str) -> str:\n    return f'hello {name}'\n")
    sent: list[bytes] = []
    with listening(lambda headers, body: sent.append(body)) as collector:
        command = [sys.executable, "-m", "filiera.cli.main", "serve", "greeting:greet", "--port", "0"]
        variables = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector}
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=variables) as process:
            assert process.stdout is not None
            url = process.stdout.readline().rsplit(" at ", 1)[1].strip()
            assert ServiceClient(url).call("greet", name="Ann") == "hello Ann"
            process.send_signal(signal.SIGTERM)
            process.communicate()
    resources = [found for body in sent for found in ExportTraceServiceRequest.FromString(body).resource_spans]
    names = {span.name for found in resources for scope in found.scope_spans for span in scope.spans}
    assert names == {"POST /v1/functions/greet:call", "read", "call"}
    services = {
        each.value.string_value
        for found in resources
        for each in found.resource.attributes
        if each.key == "service.name"
    }
    assert services == {"greet"}
    assert b"Ann" not in b"".join(sent)
