"""What a project says of its log is what its services do: on a disk that is full, stuck, or without power."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from filiera.adapters import prediction_segments
from filiera.adapters.prediction_segments import SegmentLog
from filiera.core.prediction_rules import PredictionRules
from filiera.core.service import ServiceOptions
from filiera.serving.app import App
from filiera.serving.function_mount import FunctionMount
from filiera.serving.keeping import Keeping
from tests.adapters.disks import fill, mounted
from tests.serving.functions import call, double
from tests.serving.offers import GOOD, get, post, service, talk

REFUSE = PredictionRules(when_full="refuse")
WAIT = PredictionRules(durability="before-reply")
STRICT = PredictionRules(durability="before-reply", when_full="refuse")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    with mounted("tmpfs", tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m") as disk:
        yield disk


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once whether there is room."""
    monkeypatch.setattr(prediction_segments, "_PROBE_S", 0.005)


def ids_of(answer: httpx.Response) -> list[str]:
    return [prediction["id"] for prediction in answer.json()["predictions"]]


def logged(folder: Path) -> list[str]:
    return [record["id"] for record in SegmentLog(folder).read()]


def until_ready(app: App) -> None:
    while get(app, "/health/ready").json() != {"status": "ready"}:
        pass


@pytest.mark.parametrize("rules", [REFUSE, STRICT], ids=["refuse", "before-reply and refuse"])
def test_a_full_disk_refuses_and_recovers(small_disk: Path, rules: PredictionRules) -> None:
    """Refused are exactly those that the log does not have; the service is not ready meanwhile, and then is again."""
    log = SegmentLog(small_disk / "log")
    app = service(log=log, keeping=Keeping(log, rules))
    told = ids_of(post(app, [GOOD] * 3))
    filler = fill(small_disk)
    while (answer := post(app, [GOOD] * 3)).status_code == 200:  # as long as there is room in its last page
        told += ids_of(answer)
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:filiera:problem:not-logged"
    assert answer.headers["retry-after"] == "1"
    for path in ("/health/ready", "/v2/health/ready"):
        assert get(app, path).status_code == 503
    assert "No space left" in get(app, "/health/ready").json()["detail"]
    assert "filiera_log_troubled 1" in get(app, "/metrics").text
    filler.unlink()
    until_ready(app)
    told += ids_of(post(app, [GOOD] * 3))
    log.close()
    assert logged(small_disk / "log") == told


def test_a_full_disk_is_counted_by_default(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each prediction is answered; those that are not logged are counted, said once, and shown to health checks."""
    log = SegmentLog(small_disk / "log")
    app = service(log=log, keeping=Keeping(log, PredictionRules()))
    filler = fill(small_disk)
    told = [name for _ in range(40) for name in ids_of(post(app, [GOOD] * 3))]
    ready = get(app, "/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["troubles"] == ["predictions are not logged: No space left on device"]
    filler.unlink()
    until_ready(app)
    told += ids_of(post(app, [GOOD]))
    log.close()
    assert len(told) - len(logged(small_disk / "log")) == log.dropped() > 0
    assert f"filiera_log_dropped_total {log.dropped()}" in get(app, "/metrics").text
    said = capsys.readouterr().err
    assert said.count("not logged") == said.count("logged again") == 1


def test_replies_that_come_together_wait_for_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reply goes out before its prediction is on disk, and of many at once few syncs serve all."""
    log = SegmentLog(tmp_path)
    app = service(log=log, keeping=Keeping(log, WAIT))
    synced, flush = [], log.flush

    def noted() -> None:
        flush()
        synced.append(set(logged_ids()))

    def logged_ids() -> list[str]:
        return logged(tmp_path)

    monkeypatch.setattr(log, "flush", noted)

    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/models/flows:predict", json={"instances": [GOOD]})
        assert set(ids_of(answer)) <= synced[-1]

    async def together(client: httpx.AsyncClient) -> None:
        await asyncio.gather(*(ask(client) for _ in range(30)))

    talk(app, together)
    assert len(synced) <= 3
    log.close()


@pytest.mark.parametrize("rules", [WAIT, STRICT], ids=["count", "refuse"])
def test_a_disk_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: PredictionRules) -> None:
    """A reply does not wait for ever: it is given or refused, as the rules say, and all is well later."""
    log = SegmentLog(tmp_path)
    app = service(log=log, keeping=Keeping(log, rules))
    goes_on, sync = threading.Event(), log._segment.sync

    def stuck() -> None:
        goes_on.wait()
        sync()

    monkeypatch.setattr(log._segment, "sync", stuck)

    async def ask(client: httpx.AsyncClient) -> list[int]:
        path, body = "/v1/models/flows:predict", {"instances": [GOOD]}
        codes = [(await client.post(path, json=body)).status_code for _ in range(2)]
        codes.append((await client.get("/health/ready")).status_code)
        goes_on.set()
        return codes

    with monkeypatch.context() as patch:
        patch.setattr("filiera.serving.keeping._LONGEST_S", 0.01)
        patch.setattr(prediction_segments, "_STUCK_S", 0.0)
        assert talk(app, ask) == ([503, 503, 503] if rules is STRICT else [200, 200, 200])
    until_ready(app)
    assert post(app, [GOOD]).status_code == 200
    log.close()


def test_functions_follow_the_rules_too(small_disk: Path) -> None:
    """A call whose answer cannot be logged is refused, the next ones before the function is called."""
    log = SegmentLog(small_disk / "log")
    app = App([FunctionMount(double, ServiceOptions(), version="1", keeping=Keeping(log, STRICT))])
    app.start()
    told = [call(app, "double", number=1).json()["id"]]
    fill(small_disk)
    while (answer := call(app, "double", number=1)).status_code == 200:
        told.append(answer.json()["id"])
    assert answer.json()["type"] == "urn:filiera:problem:not-logged"
    assert call(app, "double", number=1).status_code == 503
    assert get(app, "/health/ready").status_code == 503
    log.close()
    assert logged(small_disk / "log") == told
