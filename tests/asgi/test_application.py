"""The application as servers and other applications meet it: its start, its end, who may ask, where it is mounted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from filiera.adapters.prediction_segments import SegmentLog
from filiera.asgi import Application, application
from filiera.errors import ProjectError, UsageError
from filiera.serving.app import App
from filiera.serving.endpoint import Endpoint
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from tests.serving.offers import GOOD, SIGNATURE, Rule, Stuck

T = TypeVar("T")
PREDICT = "/v1/models/flows:predict"
LOCAL = "http://localhost"


class Opening:
    """Opens an app around the small model, and takes note of it."""

    def __init__(self, model: Any = None, log: SegmentLog | None = None) -> None:
        self.model = model or Rule()
        self.log = log
        self.opened = self.closed = 0
        self.error: Exception | None = None

    @contextmanager
    def __call__(self) -> Iterator[App]:
        self.opened += 1
        if self.error is not None:
            raise self.error
        app = App(
            [ModelMount(Endpoint(ServedModel("flows", self.model, version=3, signature=SIGNATURE, log=self.log)))]
        )
        app.start()
        yield app
        self.closed += 1


@asynccontextmanager
async def client_of(app: Any, base_url: str = LOCAL) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of *app* in this process; nobody starts the app."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url) as client:
        yield client


class Life:
    """What a server does to start and to stop an application."""

    def __init__(self, app: Any) -> None:
        self.inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.outbox: asyncio.Queue[Any] = asyncio.Queue()
        self.task = asyncio.create_task(app({"type": "lifespan"}, self.inbox.get, self.outbox.put))

    async def tell(self, what: str) -> dict[str, str]:
        """Return what the application answers to ``startup`` or ``shutdown``."""
        await self.inbox.put({"type": f"lifespan.{what}"})
        found: dict[str, str] = await self.outbox.get()
        return found


def ask(app: Any, act: Callable[[httpx.AsyncClient], Coroutine[Any, Any, T]], base_url: str = LOCAL) -> T:
    async def run() -> T:
        async with client_of(app, base_url) as client:
            return await act(client)

    return asyncio.run(run())


async def predict(client: httpx.AsyncClient, at: str = "") -> httpx.Response:
    return await client.post(at + PREDICT, json={"instances": [GOOD]})


def test_stopping_answers_what_was_taken_and_flushes(tmp_path: Path) -> None:
    """Ready after startup; shutdown waits for a running prediction and for the log; then nobody is answered."""
    model, log = Stuck(), SegmentLog(tmp_path)
    opening = Opening(model, log)
    app = Application(opening)

    async def run() -> list[int]:
        life = Life(app)
        assert await life.tell("startup") == {"type": "lifespan.startup.complete"}
        model.go.clear()
        model.began.clear()
        async with client_of(app) as client:
            request = asyncio.create_task(predict(client))
            await asyncio.to_thread(model.began.wait)
            ending = asyncio.create_task(life.tell("shutdown"))
            while (await client.get("/health/ready")).status_code == 200:
                await asyncio.sleep(0)
            model.go.set()
            assert await ending == {"type": "lifespan.shutdown.complete"}
            await life.task
            return [(await request).status_code, (await predict(client)).status_code]

    assert asyncio.run(run()) == [200, 503]
    assert len(list(log.read())) == 1
    assert (opening.opened, opening.closed) == (1, 1)
    log.close()


def test_it_can_be_started_again() -> None:
    """Each life opens an app of its own: tests of an application that is made once start and stop it many times."""
    opening = Opening()
    app = Application(opening)

    async def once() -> int:
        async with app.lifespan(), client_of(app) as client:
            return (await predict(client)).status_code

    assert [asyncio.run(once()) for _ in range(3)] == [200] * 3
    assert (opening.opened, opening.closed) == (3, 3)


def test_the_first_request_starts_what_nobody_started() -> None:
    """Requests that come meanwhile wait for the same start."""
    opening = Opening()
    app = Application(opening)

    async def several(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(*(predict(client) for _ in range(5)), client.get("/health/ready"))

    assert [each.status_code for each in ask(app, several)] == [200] * 6
    assert opening.opened == 1
    assert ask(app, predict).status_code == 200


def test_it_waits_beside_the_loop() -> None:
    """While it loads, whatever else the loop serves is answered."""
    go = threading.Event()

    @contextmanager
    def opened() -> Iterator[App]:
        go.wait()
        with Opening()() as app:
            yield app

    async def run(client: httpx.AsyncClient) -> int:
        first = asyncio.create_task(predict(client))
        await asyncio.sleep(0)
        go.set()  # reached while the start waits
        return (await first).status_code

    assert ask(Application(opened), run) == 200


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ProjectError("No such model.", why="It was never there.", do="Train one."), "No such model.\nWhy: It"),
        (RuntimeError("broken"), "broken"),
    ],
)
def test_what_cannot_start_says_so(
    error: Exception, shown: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A server is told, with the reason; callers of one that nobody started get 503, and it is not tried for each."""
    opening = Opening()
    opening.error = error

    async def started() -> dict[str, str]:
        life = Life(Application(opening))
        answer = await life.tell("startup")
        await life.task
        return answer

    answer = asyncio.run(started())
    assert (answer["type"], answer["message"].startswith(shown)) == ("lifespan.startup.failed", True)
    opening.opened = 0
    app = Application(opening)
    answers = [ask(app, predict) for _ in range(3)]
    assert [(each.status_code, each.json()["type"]) for each in answers] == [(503, "urn:filiera:problem:not-ready")] * 3
    assert opening.opened == 1
    assert (capsys.readouterr().err + caplog.text).count(shown) >= 1


def mounted(host: type[Starlette], app: Application) -> Starlette:
    if issubclass(host, FastAPI):
        built = FastAPI(lifespan=app.lifespan)
        built.mount("/models", app)
        return built
    return Starlette(routes=[Mount("/models", app)], lifespan=app.lifespan)


@pytest.mark.parametrize("host", [Starlette, FastAPI])
def test_it_is_mounted_below_a_path(host: type[Starlette]) -> None:
    """All paths are below it, the document says so, and the lifespan of the host is its own."""
    opening = Opening()
    built = mounted(host, Application(opening))

    async def run() -> list[httpx.Response]:
        life = Life(built)
        assert (await life.tell("startup"))["type"] == "lifespan.startup.complete"
        assert opening.opened == 1
        async with client_of(built) as client:
            paths = ("/models/health/ready", "/models/openapi.json", "/models/v1/modelx", "/health/ready")
            found = [await predict(client, "/models"), *[await client.get(path) for path in paths]]
        assert (await life.tell("shutdown"))["type"] == "lifespan.shutdown.complete"
        return found

    answers = asyncio.run(run())
    assert [each.status_code for each in answers] == [200, 200, 200, 404, 404]
    assert answers[2].json()["servers"] == [{"url": "/models"}]
    assert "/v1/models/flows:predict" in answers[3].json()["paths"]
    assert opening.closed == 1


def test_it_is_mounted_where_nobody_starts_it() -> None:
    """Without its lifespan it starts with the first request."""
    opening = Opening()
    host = Starlette(routes=[Mount("/models", Application(opening))])
    assert ask(host, lambda client: predict(client, "/models")).status_code == 200


@pytest.mark.parametrize("path", ["/m/health/ready", "/health/ready"])
def test_a_root_may_be_in_the_path_or_not(path: str) -> None:
    """ASGI has it there; proxies that strip it, and older servers, have not."""

    async def run() -> int:
        transport = httpx.ASGITransport(Application(Opening()), root_path="/m")
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            return (await client.get(path)).status_code

    assert asyncio.run(run()) == 200


def test_other_protocols_are_turned_away() -> None:
    """A WebSocket is closed before it opens; what ASGI does not know is an error of the server."""
    app, sent = Application(Opening()), []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(app({"type": "websocket"}, receive, send))
    assert sent == ["websocket.close"]
    with pytest.raises(ValueError, match="mystery"):
        asyncio.run(app({"type": "mystery"}, receive, send))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a function to serve, and no project."""
    made = tmp_path_factory.mktemp("tariffs")
    (made / "tariffs.py").write_text('def fare(km: int) -> int:\n    """What it costs."""\n    return 2 * km\n')
    return made


CALL = "/v1/functions/fare:call"
ELSEWHERE = "http://192.0.2.7"


def statuses(app: Application, *asked: tuple[str, dict[str, str]]) -> list[int]:
    """Return the status of a call at each address with these headers."""

    def act(headers: dict[str, str]) -> Callable[[httpx.AsyncClient], Coroutine[Any, Any, httpx.Response]]:
        return lambda client: client.post(CALL, json={"km": 3}, headers=headers)

    return [ask(app, act(headers), url).status_code for url, headers in asked]


def test_without_a_token_only_this_machine_is_answered(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A local name is not enough where other machines reach, nor is a local address for a foreign name."""
    monkeypatch.delenv("FILIERA_TOKEN", raising=False)
    app = application("tariffs:fare", project=folder)
    named, foreign = {"host": "localhost"}, {"host": "shop.example"}
    asked = [(LOCAL, {}), (ELSEWHERE, {}), (ELSEWHERE, named), (LOCAL, foreign), (LOCAL, named)]
    assert statuses(app, *asked) == [200, 421, 421, 421, 200]
    assert capsys.readouterr().err.count("set FILIERA_TOKEN") == 1


def test_with_a_token_who_has_it_is_answered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From anywhere, by any name."""
    monkeypatch.setenv("FILIERA_TOKEN", "s3")
    app = application("tariffs:fare", project=folder)
    right, wrong = {"authorization": "Bearer s3"}, {"authorization": "Bearer s4"}
    assert statuses(app, (ELSEWHERE, right), (ELSEWHERE, wrong), (LOCAL, {}), (LOCAL, right)) == [200, 401, 401, 200]


def test_what_is_guarded_leaves_that_to_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody who comes through is answered, without our token too."""
    monkeypatch.setenv("FILIERA_TOKEN", "s3")
    app = application("tariffs:fare", project=folder, guarded=True)
    assert statuses(app, (ELSEWHERE, {}), (LOCAL, {"host": "shop.example"})) == [200, 200]


def test_what_is_asked_for_wrongly_is_refused(folder: Path) -> None:
    """At once what needs no look at the project, else when it starts."""
    with pytest.raises(UsageError, match="has to serve something"):
        application()
    with pytest.raises(UsageError, match="seconds"):
        application("tariffs:fare", cache_s=-1)

    async def started(name: str) -> dict[str, str]:
        return await Life(application(name, project=folder)).tell("startup")

    for wrong, message in (("tariffs:fair", "did you mean"), ("flows@champion", "filiera.toml")):
        answer = asyncio.run(started(wrong))
        assert (answer["type"], message in answer["message"].lower()) == ("lifespan.startup.failed", True)


def test_requests_are_noted_as_by_the_command(folder: Path, tmp_path: Path) -> None:
    """The access log has a line for each when it is stopped."""
    app = application("tariffs:fare", project=folder, access_log=str(tmp_path / "access.jsonl"), guarded=True)

    async def run() -> None:
        async with app.lifespan(), client_of(app) as client:
            await client.post(CALL, json={"km": 3})

    asyncio.run(run())
    assert '"function":"fare"' in (tmp_path / "access.jsonl").read_text()
