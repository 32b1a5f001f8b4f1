"""The client that is written for a model: typed, of the standard library, and patient."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from filiera.core.signature import Field, Output, Signature
from filiera.serving.client_module import client_module
from filiera.serving.contract import ModelContract
from filiera.serving.in_process import InProcess
from filiera.serving.plain_caller import Caller
from tests.serving.offers import GOOD, SIGNATURE, post, service
from tests.serving.serving import running
from tests.serving.signatures import signatures


def module_of(signature: Signature, name: str = "flows") -> Any:
    """Return the module, as importing it would."""
    text = client_module(ModelContract(name=name, version=3, signature=signature))
    made = types.ModuleType("made_client")
    sys.modules["made_client"] = made  # where dataclasses look their module up
    exec(compile(text, "made_client.py", "exec"), made.__dict__)
    return made


def test_the_client_gets_what_the_service_says() -> None:
    """Rows as one class, predictions as another; more rows than a request may have go in several."""
    made = module_of(SIGNATURE)
    rows = [made.Row(**{**GOOD, "duration": 90 * (place % 2)}) for place in range(7)]
    with InProcess(service()) as asked:
        found = made.Client(asked).predict(rows)
    assert [each.label for each in found] == ["normal", "attack"] * 3 + ["normal"]
    (expected,) = post(service(), [GOOD]).json()["predictions"]
    assert found[0].probabilities == expected["probabilities"]
    assert len({each.id for each in found}) == 7


def test_a_refusal_names_places_and_has_the_problem() -> None:
    """As the service tells it."""
    made = module_of(SIGNATURE)
    with (
        InProcess(service()) as asked,
        pytest.raises(made.Refused, match=r"instances\[0\]\.duration must be at") as caught,
    ):
        made.Client(asked).predict([made.Row(**{**GOOD, "duration": -1})])
    assert (caught.value.status, caught.value.problem["type"]) == (422, "urn:filiera:problem:invalid-rows")


def test_the_client_needs_nothing_but_python(tmp_path: Path) -> None:
    """A file that an interpreter without any library runs, against a real service."""
    text = client_module(ModelContract(name="flows", version=3, signature=SIGNATURE))
    (tmp_path / "flows_client.py").write_text(text, encoding="utf-8")
    code = f"import flows_client as c; print(c.Client(URL).predict([c.Row(**{GOOD!r})] * 2)[1].label)"
    with running(tmp_path / "log") as (_, url):
        command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); URL = {url!r}; {code}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("normal\n", "")


def test_times_optional_fields_and_strange_names() -> None:
    """Dates and times go as JSON spells them, what is left out has its default, any name has an attribute."""
    signature = Signature(
        task="regression",
        inputs=(
            Field(name="at", type="timestamp"),
            Field(name="on", type="date", optional=True, default="2026-01-31"),
            Field(name="class", type="int8", nullable=True),
            Field(name="a b", type="float64", optional=True, default=1.5),
        ),
        outputs=(Output(name="value", type="float64", semantics="value"),),
    )

    class Sum:
        def predict(self, frame: Any) -> Any:
            return np.array([at.hour + on.day + b for at, on, b in frame.select("at", "on", "a b").iter_rows()])

    made = module_of(signature)
    row = made.Row(at=dt.datetime(2026, 1, 31, 13, tzinfo=dt.timezone(dt.timedelta(hours=1))), class_=None)
    with InProcess(service(Sum(), signature=signature)) as asked:
        assert made.Client(asked).predict([row])[0].value == 12 + 31 + 1.5


@given(signature=signatures())
def test_there_is_a_client_for_every_signature(signature: Signature) -> None:
    """Whatever its fields are called, the module loads and has one attribute for each."""
    made = module_of(signature)
    assert list(made.FIELDS.values()) == [field.name for field in signature.inputs]


@contextmanager
def answering(*answers: tuple[int, dict[str, str]]) -> Iterator[tuple[str, list[Any]]]:
    """Give the address of a server with these answers, one after another, and the connections that asked."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.client_address)
            status, headers = left.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()


def test_a_busy_service_is_asked_again_when_it_says() -> None:
    """As often as patience lasts, over one connection; without Retry-After, or beyond that, the answer is that."""
    waited: list[float] = []
    busy = (503, {"Retry-After": "3"})
    with answering(busy, busy, (200, {}), busy, busy, (503, {})) as (url, asked):
        caller = Caller(url, patience_s=7.0, sleep=waited.append)
        assert caller.ask("GET", "/", b"", {}).status == 200
        assert waited == [3, 3]
        impatient = Caller(url, patience_s=5.0, sleep=waited.append)
        assert impatient.ask("GET", "/", b"", {}).status == 503
        assert waited == [3, 3, 3]
        assert impatient.ask("GET", "/", b"", {}).status == 503
        caller.close()
        impatient.close()
    assert len(set(asked[:3])) == 1


def test_a_connection_that_was_closed_meanwhile_is_replaced() -> None:
    """A service may close what lies idle; callers do not notice."""
    with answering((200, {}), (200, {"Connection": "close"}), (200, {})) as (url, asked):
        caller = Caller(url)
        for _ in range(3):
            assert caller.ask("GET", "/", b"", {}).status == 200
            for connection in caller._idle:
                assert connection.sock is not None
                connection.sock.shutdown(2)
        caller.close()
    assert len(set(asked)) == 3


def test_what_is_no_address_is_refused() -> None:
    """At once."""
    with pytest.raises(ValueError, match="not the address"):
        Caller("127.0.0.1:8000")
