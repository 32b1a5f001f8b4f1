"""A real server in a process of its own, on loopback, and the client that talks to it."""

from __future__ import annotations

import http.client
import math
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from filiera.adapters.prediction_segments import SegmentLog
from filiera.errors import FilieraError, UsageError
from filiera.serving.app import App
from filiera.serving.client import ServiceClient
from filiera.serving.http import Receive, Scope, Send
from filiera.serving.listening import listen
from filiera.serving.server import serve
from tests.serving.offers import GOOD, service
from tests.serving.serving import running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stopped_service_has_answered_and_logged_all(tmp_path: Path, number: signal.Signals) -> None:
    """From the address on, requests are answered; a signal ends it quietly with every prediction on disk."""
    with running(tmp_path) as (process, url):
        answers = list(ServiceClient(url).predict([GOOD] * 12))
        process.send_signal(number)
        out, err = process.communicate()
    assert (out, err, process.returncode) == ("stopped\n", "", 0)
    assert [record["id"] for record in SegmentLog(tmp_path).read()] == [answer["id"] for answer in answers]


def test_a_killed_service_leaves_an_intact_log(tmp_path: Path) -> None:
    """After kill -9 under load the log reads without error, and has each prediction that was answered, once."""
    answered: set[str] = set()

    def ask(url: str) -> None:
        with pytest.raises(FilieraError, match="No answer"):
            while True:
                answered.update(answer["id"] for answer in ServiceClient(url).predict([GOOD] * 5))

    with running(tmp_path) as (process, url):
        callers = [threading.Thread(target=ask, args=(url,)) for _ in range(3)]
        for caller in callers:
            caller.start()
        while len(answered) < 200:
            assert all(caller.is_alive() for caller in callers)
        process.kill()
        for caller in callers:
            caller.join()
    log = SegmentLog(tmp_path)
    found = [record["id"] for record in log.read()]
    assert log.damaged_frames <= 1
    assert len(found) == len(set(found))
    assert answered <= set(found)


def test_a_taken_port_is_told_before_anything_is_loaded() -> None:
    """The second service on a port says so, and does not share the first one's callers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other, pytest.raises(UsageError, match="Cannot listen"):
        serve(_never, host="127.0.0.1", port=other.getsockname()[1], on_ready=print)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no..host", 0), ("192.0.2.1", 0)])
def test_an_impossible_address_is_an_error_of_use(host: str, port: int) -> None:
    """Ports and hosts that do not exist here are refused with the reason."""
    with pytest.raises(UsageError, match="Cannot listen"):
        serve(_never, host=host, port=port, on_ready=print)


def test_a_service_that_cannot_start_frees_its_port() -> None:
    """An error of the app travels to the caller and the address can be used again."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(FilieraError, match="broken model"):
        serve(_never, host="127.0.0.1", port=port, on_ready=print)
    socket.create_server(("127.0.0.1", port)).close()


def test_nobody_to_tell_ends_the_service() -> None:
    """When the address cannot be announced, nothing goes on serving behind the caller's back."""
    urls: list[str] = []

    def announce(addresses: Sequence[str]) -> None:
        urls.extend(addresses)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        serve(service, host="127.0.0.1", port=0, on_ready=announce)
    with pytest.raises(FilieraError, match="No answer"):
        ServiceClient(urls[0]).models()


def test_knowing_how_to_serve_loads_no_model_library() -> None:
    """App, server and client start fast: tables and models are imported when there are some."""
    code = "import filiera.serving.app, filiera.serving.server, filiera.serving.client, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"polars", "numpy", "sklearn", "pandas"} & set(loaded)


def _never() -> App:
    raise FilieraError("broken model")


def test_the_client_speaks_as_the_command_line_does(tmp_path: Path) -> None:
    """Rows of any number come back in order; refusals name places; NaN is sent as missing."""
    with running(tmp_path) as (_, url):
        client = ServiceClient(url + "/")
        rows = [{**GOOD, "duration": 100 * (i % 2), "rate": math.nan} for i in range(13)]
        assert client.models() == ["flows"]
        assert client.describe("flows")["version"] == 3
        assert [answer["label"] for answer in client.predict(rows)] == ["normal", "attack"] * 6 + ["normal"]
        with pytest.raises(UsageError, match=r"422") as refused:
            list(client.predict([{**GOOD, "duration": "x"}], model="flows"))
        assert "instances[0].duration must be an integer" in str(refused.value)
        with pytest.raises(UsageError, match="404"):
            list(client.predict([GOOD], model="flow"))
        with pytest.raises(UsageError, match="413"):
            list(client.predict([{**GOOD, "user": "x" * 20_000_000}], model="flows"))


def test_a_real_request_tells_its_host(tmp_path: Path) -> None:
    """The name in the URL reaches the service, which refuses one that only leads here."""
    with running(tmp_path) as (_, url):
        port = url.rsplit(":", 1)[1]
        for host, status in (("127.0.0.1", 200), (f"localhost:{port}", 200), (f"rebound.example:{port}", 421)):
            with closing(http.client.HTTPConnection("127.0.0.1", int(port))) as connection:
                connection.request("GET", "/v1/models", headers={"Host": host})
                assert connection.getresponse().status == status


def test_a_service_that_is_not_there_is_one_clear_error() -> None:
    """Nobody listening, or somebody else, is said; an address of another kind is refused at once."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(FilieraError, match="No answer"):
        ServiceClient(nobody).models()
    with pytest.raises(UsageError, match="address"):
        ServiceClient("localhost:8000")


class Hello:
    """The smallest application."""

    def __init__(self) -> None:
        self.in_flight = self.requests = 0

    def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})


SHARING = """
import asyncio, sys
from filiera.serving.server import serve_on
from tests.serving.test_server import Hello

async def announce(running):
    print("ready", flush=True)

serve_on(int(sys.argv[1]), Hello(), beside=announce)
"""


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}], ids=["connections are kept", "a connection each"])
def test_no_request_is_lost_when_one_of_two_processes_ends(headers: dict[str, str]) -> None:
    """Processes that share a socket come and go under load: no caller notices, and no process is aborted."""
    with closing(listen("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        failures: list[Exception] = []
        is_over, pause_s = threading.Event(), 0.01

        def start() -> subprocess.Popen[str]:
            command = [sys.executable, "-c", SHARING, str(listener.fileno())]
            process = subprocess.Popen(
                command,
                cwd=Path(__file__).parents[2],
                pass_fds=(listener.fileno(),),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            return process

        def call() -> None:
            connection = http.client.HTTPConnection(*address, timeout=30)
            while not is_over.wait(pause_s):
                try:
                    connection.request("POST", "/", b"{}", headers)
                    assert connection.getresponse().read() == b"hello"
                except (OSError, http.client.HTTPException, AssertionError) as error:
                    failures.append(error)
                    connection.close()
            connection.close()

        running = start()
        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        ends = []
        for _ in range(6):
            following = start()
            pause_s = 0.001  # enough to meet every moment, and processors are left for what ends
            running.send_signal(signal.SIGTERM)
            ends.append((*running.communicate(timeout=60), running.returncode))
            running, pause_s = following, 0.01
        is_over.set()
        for caller in callers:
            caller.join()
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    assert failures == []
    assert ends == [("", "", 0)] * 6
