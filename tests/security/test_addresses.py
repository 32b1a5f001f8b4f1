"""Who calls addresses, whose addresses these are, and that nobody is led elsewhere by an answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from filiera.errors import FilieraError
from filiera.serving.client import ServiceClient
from filiera.serving.plain_caller import Caller
from filiera.serving.remote_model import RemoteModel
from tests.architecture.tree import MODULES, imported, short
from tests.serving.offers import SIGNATURE

CALLERS = {
    "adapters/shared_place.py": "the place that a user exchanges experiments by",
    "adapters/sources/remote_files.py": "the catalog",
    "adapters/sources/web_files.py": "the catalog",
    "serving/client.py": "who calls: a user's --url, or their program",
    "serving/async_client.py": "who calls: a user's --url, or their program",
    "serving/plain_caller.py": "who calls: the program that the client was generated for",
    "serving/remote_model.py": "filiera.toml, [graph.NAME]",
    "supervision/couriers.py": "the supervisor's own services, on its own sockets",
    "serving/contracts/recorder.py": "none: requests of an application's tests are answered in its process",
    "serving/oip_grpc.py": "none: it answers",
}
"""What opens connections to addresses, and where these come from: never a request, artifact, contract or message."""
CLIENTS = (
    "http.client",
    "urllib.request",
    "obstore",
    "httpx",
    "requests",
    "aiohttp",
    "ftplib",
    "smtplib",
    "grpc",
    "redis",
    "pika",
    "confluent_kafka",
)


def test_who_opens_connections_is_known() -> None:
    """Another module that does is a decision: whose addresses does it call, and whose credentials does it send?"""
    found = {
        short(path)
        for path in MODULES
        if not short(path).startswith("templates/")
        and any(each.partition(".")[0] in path.read_text(encoding="utf-8") for each in CLIENTS)
        and any(f"{name}.".startswith(tuple(f"{each}." for each in CLIENTS)) for name in imported(path))
    }
    brokers = {place for place in found if place.startswith("adapters/brokers/")}  # of [service.NAME] in filiera.toml
    assert found - brokers == set(CALLERS)


class Sender(BaseHTTPRequestHandler):
    """Sends everybody on, and notes who came there."""

    came: list[str]

    def _answer(self) -> None:
        self.came.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(307)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _answer

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """Give the address of the server."""
    Sender.came = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Sender) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_clients_follow_nobody(server: str) -> None:
    """A token is sent to the address that was given, and to no other that an answer names."""
    with pytest.raises(FilieraError):
        ServiceClient(server, token="t0p").models()
    with pytest.raises(FilieraError):
        RemoteModel(server, "flows", version=3, signature=SIGNATURE, token="t0p").require()
    caller = Caller(server, token="t0p")
    assert caller.ask("POST", "/v1/models/flows:predict", b"{}", {}).status == 307
    caller.close()
    assert "/elsewhere" not in Sender.came
