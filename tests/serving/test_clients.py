"""All clients keep the same promises: over a socket and in this process, with and without an event loop."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.prediction_segments import SegmentLog
from filiera.core.service import ServiceOptions
from filiera.errors import FilieraError, UsageError
from filiera.serving.app import App, Limits
from filiera.serving.async_client import AsyncServiceClient
from filiera.serving.client import ServiceClient
from filiera.serving.endpoint import Endpoint
from filiera.serving.feedback import Feedback
from filiera.serving.function_mount import FunctionMount
from filiera.serving.in_process import InProcess
from filiera.serving.listening import listen, url_of
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from filiera.serving.server import serve_beside
from tests.serving.functions import count_to, double
from tests.serving.offers import GOOD, SIGNATURE, Rule

ODD = "one\u2028line\x85 of\x1c text"


def odd(times: int) -> Iterator[str]:
    """Text with signs that end lines elsewhere."""
    yield from [ODD] * times


@contextmanager
def serving(folder: Path, *, token: str | None = None, stops: bool = True) -> Iterator[App]:
    log = SegmentLog(folder)
    endpoint = Endpoint(ServedModel("flows", Rule(), version=3, signature=SIGNATURE, log=log))
    model = ModelMount(endpoint, feedback=Feedback(lambda: endpoint.stable.contract, log))
    functions = [FunctionMount(each, ServiceOptions(), version="1") for each in (count_to, double, odd)]
    app = App([model, *functions], token=token, limits=Limits(drain_s=0.1))
    app.start()
    yield app
    if stops:
        asyncio.run(app.stop())
    log.close()


def remote(app: App) -> str:
    """Return the address of a thread that answers for *app*."""
    listener = listen("127.0.0.1", 0)
    url = url_of(listener)
    serve_beside(listener.detach(), app)
    return url


class Waiting:
    """An asynchronous client, called as the plain one is."""

    def __init__(self, service: Any, **more: Any) -> None:
        self._client = AsyncServiceClient(service, **more)
        self._loop = asyncio.new_event_loop()
        self.url = self._client.url

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def called(*args: Any, **more: Any) -> Any:
            return self._loop.run_until_complete(self._whole(getattr(self._client, name)(*args, **more)))

        return called

    async def _whole(self, made: Any) -> Any:
        return [each async for each in made] if isinstance(made, AsyncIterable) else await made

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *of_error: object) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with serving(tmp_path_factory.mktemp("log")) as app:
        yield app


@pytest.fixture(scope="module")
def url(made: App) -> str:
    return remote(made)


@pytest.fixture(params=["plain", "asynchronous", "plain here", "asynchronous here"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "plain here":
        with serving(tmp_path, stops=False) as app, InProcess(app) as service, ServiceClient(service) as found:
            yield found
    elif request.param == "asynchronous here":
        with serving(tmp_path) as app, Waiting(app) as found:
            yield found
    else:
        with (ServiceClient if request.param == "plain" else Waiting)(request.getfixturevalue("url") + "/") as found:
            yield found


def test_rows_of_any_number_come_back_in_order(client: Any) -> None:
    """NaN is sent as missing; the only model need not be named."""
    rows = [{**GOOD, "duration": 100 * (i % 2), "rate": math.nan} for i in range(13)]
    assert [answer["label"] for answer in client.predict(rows)] == ["normal", "attack"] * 6 + ["normal"]
    assert list(client.predict([], model="flows")) == []
    assert (client.models(), client.describe("flows")["version"]) == (["flows"], 3)


def test_refusals_name_places_and_are_errors_of_use(client: Any) -> None:
    """What the service says is said."""
    with pytest.raises(UsageError, match="422") as refused:
        list(client.predict([{**GOOD, "duration": "x"}], model="flows"))
    assert "instances[0].duration must be an integer" in str(refused.value)
    with pytest.raises(UsageError, match="404"):
        list(client.predict([GOOD], model="flow"))
    with pytest.raises(UsageError, match="413"):
        list(client.predict([{**GOOD, "user": "x" * 9_000_000}], model="flows"))
    assert len(list(client.predict([GOOD]))) == 1, "the connection is of use after that"


def test_functions_are_called_and_streams_read(client: Any) -> None:
    """Items are as they were yielded, whatever signs they have; what fails in mid-stream is told."""
    assert client.call("double", number=21) == 42
    assert list(client.stream("count_to", end=3)) == [1, 2, 3]
    assert list(client.stream("odd", times=2)) == [ODD, ODD]
    assert list(client.stream("count_to", end=0)) == []
    with pytest.raises(UsageError, match="422"):
        list(client.stream("count_to", end="x"))
    with pytest.raises(FilieraError, match="500"):
        list(client.stream("count_to", end=600))


def test_feedback_is_kept_once(client: Any) -> None:
    """Told by the id of a prediction; saying it again is harmless, and something else is refused."""
    [answer] = client.predict([GOOD])
    entries = [{"prediction": answer["id"], "outcome": "attack"}]
    assert (client.feedback(entries), client.feedback(entries, model="flows")) == (1, 1)
    with pytest.raises(UsageError, match="422"):
        client.feedback([{"outcome": "attack"}])


@pytest.mark.parametrize("kind", [ServiceClient, Waiting])
def test_a_token_is_sent(kind: Any, tmp_path: Path) -> None:
    """With every request; without it the service refuses."""
    with serving(tmp_path, token="s3cret") as app:
        url = remote(app)
        with kind(url, token="s3cret") as client:
            assert client.models() == ["flows"]
            assert list(client.stream("count_to", end=1)) == [1]
        with kind(url) as client, pytest.raises(UsageError, match="401"):
            client.models()


@pytest.mark.parametrize("kind", [ServiceClient, Waiting])
def test_nobody_there_is_one_clear_error(kind: Any) -> None:
    """So is an address of another kind."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with kind(nobody) as client, pytest.raises(FilieraError, match="No answer"):
        client.models()
    with pytest.raises(UsageError, match="address"):
        kind("localhost:8000")


class Counting:
    """Passes connections on to a service, and counts them."""

    def __init__(self, url: str) -> None:
        self.count = 0
        self._ends: list[socket.socket] = []
        self._target = int(url.rsplit(":", 1)[1])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            self.count += 1
            service = socket.create_connection(("127.0.0.1", self._target))
            self._ends += [caller, service]
            for one, other in ((caller, service), (service, caller)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while content := one.recv(65_536):
                other.sendall(content)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._ends):
            each.close()


@pytest.mark.parametrize("kind", [ServiceClient, Waiting])
def test_connections_are_kept(kind: Any, url: str) -> None:
    """Requests one after another share one."""
    with closing(Counting(url)) as counting, kind(counting.url) as client:
        for _ in range(20):
            assert len(list(client.predict([GOOD], model="flows"))) == 1
        assert counting.count == 1
