"""What callers may count on, whichever server carries the application."""

from __future__ import annotations

import json
import os
import select
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from filiera.adapters.prediction_segments import SegmentLog
from filiera.serving.arrow_bodies import MEDIA_TYPE
from tests.asgi import certificates
from tests.asgi.carried import MAX_BODY_BYTES
from tests.asgi.servers import COMMANDS, RARER, Server, running
from tests.serving import inference
from tests.serving.offers import GOOD, Sums, post, service
from tests.serving.test_arrow_bodies import stream
from tests.serving.test_oip_routes import INFER, values
from tests.serving.test_surfaces import ROWS, TENSORS, of_records, of_tensors

PREDICT = "/v1/models/flows:predict"
HEAD = b"POST /v1/models/flows:predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
LIMIT_S = 30
SERVERS = [pytest.param(name, marks=[pytest.mark.campaign] if name in RARER else [], id=name) for name in COMMANDS]


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(request.param, tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=LIMIT_S) as found:
        yield found


def predict(client: httpx.Client, rows: Any = ROWS) -> httpx.Response:
    return client.post(PREDICT, json={"instances": rows})


def call(client: httpx.Client, function: str, pipe: Path) -> httpx.Response:
    return client.post(f"/v1/functions/{function}:call", json={"pipe": pipe.name})


def read(pipe: Path) -> str:
    """Return what the other side writes into a pipe; fail when nobody does."""
    descriptor = os.open(pipe, os.O_RDWR)  # with a writing side of its own it does not end before somebody writes
    try:
        assert select.select([descriptor], [], [], LIMIT_S)[0], "nobody wrote"
        return os.read(descriptor, 100).decode()
    finally:
        os.close(descriptor)


def test_all_bodies_get_the_same_answers(client: httpx.Client) -> None:
    """JSON, binary tensors and Arrow tables, over one connection, are answered as within one process."""
    expected = of_records(post(service(Sums()), ROWS).json()["predictions"])
    assert of_records(predict(client).json()["predictions"]) == expected
    body, size = inference.binary_body(TENSORS, parameters={"binary_data_output": True})
    binary = client.post(INFER, content=body, headers={"inference-header-content-length": str(size)})
    assert of_tensors(values(binary)) == expected
    table = client.post(PREDICT, content=stream(pa.Table.from_pylist(ROWS)), headers={"content-type": MEDIA_TYPE})
    assert of_records(pa.ipc.open_stream(table.content).read_all().to_pylist()) == expected


def test_refusals_come_through(client: httpx.Client) -> None:
    """Status, problem and headers are the application's own."""
    told = {
        "rows": predict(client, [{**GOOD, "duration": "x"}]),
        "json": client.post(PREDICT, content=b"{", headers={"content-type": "application/json"}),
        "type": client.post(PREDICT, content=b"x", headers={"content-type": "text/plain"}),
        "path": client.get("/v1/modelx"),
        "method": client.delete(PREDICT),
        "host": client.get("/v1/models", headers={"host": "rebound.example"}),
    }
    assert {name: answer.status_code for name, answer in told.items()} == {
        "rows": 422, "json": 400, "type": 415, "path": 404, "method": 405, "host": 421,
    }  # fmt: skip
    assert {answer.headers["content-type"] for answer in told.values()} == {"application/problem+json"}
    assert told["rows"].json()["errors"] == [{"at": "instances[0].duration", "rule": "must be an integer"}]
    assert told["method"].headers["allow"] == "POST"
    head = client.head("/v1/models")
    assert (head.status_code, head.content, int(head.headers["content-length"]) > 0) == (200, b"", True)


def test_bodies_have_limits(server: Server, client: httpx.Client) -> None:
    """What is too large, announced or not, and what does not come, is refused; the next caller is answered."""
    large = b" " * (MAX_BODY_BYTES + 1)
    headers = {"content-type": "application/json"}
    assert client.post(PREDICT, content=large, headers=headers).status_code == 413
    assert client.post(PREDICT, content=iter([large[:150_000]] * 2), headers=headers).status_code == 413
    with server.connect() as slow:
        slow.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert slow.recv(1000).split(b" ", 2)[1] == b"408"
    assert predict(client).status_code == 200


def test_a_caller_who_leaves_in_the_middle_harms_nobody(server: Server, client: httpx.Client) -> None:
    """Connections that end within a head or a body are let go of; others are answered."""
    for part in (
        b"POST /v1",
        HEAD + b"Content-Length: 100\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    ):
        with server.connect() as gone:
            gone.sendall(part)
    assert predict(client).status_code == 200


def test_a_busy_service_says_when_to_come_again(server: Server, client: httpx.Client) -> None:
    """What has no place is refused with 503 and Retry-After at once; those who have one are answered."""
    pipes = [server.pipe(f"busy{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as callers:
        answers = [callers.submit(call, client, "held", pipe) for pipe in pipes]
        begun = [pipe.open("w") for pipe in pipes]
        refused = call(client, "held", pipes[0])
        for pipe in begun:
            pipe.write("let go")
            pipe.close()
        assert [each.result().json()["result"] for each in answers] == ["let go"] * 4
    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)


def test_items_arrive_when_they_are_made(server: Server, client: httpx.Client) -> None:
    """An item is with the caller before the next one is made."""
    pipe = server.pipe("told")
    with client.stream("POST", "/v1/functions/told:call", json={"pipe": pipe.name}) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines)) == {"item": "at once"}
        pipe.write_text("later")
        assert json.loads(next(lines)) == {"item": "later"}
        assert json.loads(next(lines))["done"]["count"] == 2


def test_a_stream_ends_with_its_caller(server: Server, client: httpx.Client) -> None:
    """When the caller hangs up, the function is closed."""
    pipe = server.pipe("endless")
    with client.stream("POST", "/v1/functions/endless:call", json={"pipe": pipe.name}) as answer:
        assert json.loads(next(answer.iter_lines())) == {"item": "more" * 1000}
    assert read(pipe) == "closed"


@pytest.mark.parametrize("name", SERVERS)
def test_stopping_answers_what_was_taken(name: str, tmp_path: Path) -> None:
    """Requests under way when a server is told to end are answered, all is logged, and no process is left."""
    with running(name, tmp_path) as server, httpx.Client(base_url=server.url, timeout=LIMIT_S) as client:
        ids = [each["id"] for each in predict(client).json()["predictions"]]
        pipes = [server.pipe(f"last{number}") for number in range(3)]
        with ThreadPoolExecutor(3) as callers:
            answers = [callers.submit(call, client, "held", pipe) for pipe in pipes]
            begun = [pipe.open("w") for pipe in pipes]
            server.begin_to_end()
            for pipe in begun:
                pipe.write("at last")
                pipe.close()
            answered = [each.result().json() for each in answers]
        server.process.wait(LIMIT_S)
    assert [each["result"] for each in answered] == ["at last"] * 3
    assert "Traceback" not in server.said()
    logged = {record["id"] for record in SegmentLog(tmp_path / "log").read()}
    assert logged == {*ids, *(each["id"] for each in answered)}


TLS = {
    "granian": ("--ssl-certificate={certificate}", "--ssl-keyfile={key}"),
    "hypercorn": ("--certfile={certificate}", "--keyfile={key}"),
}


@pytest.mark.parametrize("name", TLS)
def test_http_2_over_tls(name: str, tmp_path: Path) -> None:
    """Many requests at once over one encrypted connection are answered and refused as any others.

    Not a body that is refused before it is whole: hypercorn trips over what still comes of it, and hangs up.
    """
    certificate, key = certificates.make(tmp_path)
    options = [option.format(certificate=certificate, key=key) for option in TLS[name]]
    trust = ssl.create_default_context(cafile=certificate)
    with (
        running(name, tmp_path, *options) as server,
        httpx.Client(base_url=f"https://localhost:{server.port}", verify=trust, http2=True, timeout=LIMIT_S) as client,
        ThreadPoolExecutor(8) as callers,
    ):
        answers = list(callers.map(lambda _: predict(client), range(40)))
        refused = client.post(PREDICT, content=b"[", headers={"content-type": "application/json"})
    assert {(each.http_version, each.status_code) for each in answers} == {("HTTP/2", 200)}
    assert len({each.json()["predictions"][0]["id"] for each in answers}) == 40
    assert (refused.http_version, refused.status_code) == ("HTTP/2", 400)
