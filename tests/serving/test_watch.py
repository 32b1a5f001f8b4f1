"""What is noted of requests: the ids that they go by, and their lines in the access log."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.service import ServiceOptions
from filiera.errors import UsageError
from filiera.serving.access_log import AccessLine, AccessLog
from filiera.serving.app import App
from filiera.serving.endpoint import Endpoint
from filiera.serving.function_mount import FunctionMount
from filiera.serving.http import Intake, Request
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from filiera.serving.trail import Trail
from filiera.serving.watch import Watch
from tests.serving.functions import letters
from tests.serving.offers import GOOD, SIGNATURE, Broken, get, post, service, talk

PREDICT = "/v1/models/flows:predict"
FRESH = re.compile(r"[0-9a-f]{16}-\d+")


class Logged:
    """A service whose access log goes to a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._log = AccessLog(str(file))
        model = ServedModel("flows", Broken(), version=3, signature=SIGNATURE)
        mounts = [ModelMount(Endpoint(model)), FunctionMount(letters, ServiceOptions(), version="1")]
        self.app = App(mounts, token="s3cret", watch=Watch(access_log=self._log))
        self.app.start()

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """Return the answer to somebody who has the token."""
        headers = {"authorization": "Bearer s3cret", **(headers or {})}
        return talk(self.app, lambda client: client.request(method, path, headers=headers, **more))

    def lines(self) -> list[dict[str, Any]]:
        """Close the log, and return its lines."""
        self._log.close()
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    return Logged(tmp_path / "access.jsonl")


def test_each_request_has_a_line_without_data(logged: Logged) -> None:
    """Who answered what, how long it took; no query, no token, no value: neither of answers nor of refusals."""
    answers = [
        logged.ask("POST", f"{PREDICT}?key=s3cret", json={"instances": [{**GOOD, "user": "s3cret"}] * 2}),
        logged.ask("POST", PREDICT, json={"instances": [{**GOOD, "duration": -1, "user": "s3cret"}]}),
        logged.ask("POST", "/v1/functions/letters:call", json={"word": "ann"}),
        logged.ask("HEAD", "/v1/models"),
        get(logged.app, "/v1/models"),
        get(logged.app, "/health/live"),
    ]
    lines = logged.lines()
    assert "s3cret" not in logged.file.read_text()
    assert [line["status"] for line in lines] == [answer.status_code for answer in answers]
    assert [line["bytes"] for line in lines] == [len(answer.content) for answer in answers]
    assert [line["request_id"] for line in lines] == [answer.headers["x-request-id"] for answer in answers]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("at")) for line in lines)
    assert all(line.pop("ms") > 0 for line in lines)
    for line in lines:
        del line["bytes"], line["request_id"]
    predict = {"method": "POST", "path": PREDICT, "model": "flows", "version": 3}
    assert lines == [
        {**predict, "status": 200, "rows": 2},
        {**predict, "status": 422, "problem": "invalid-rows"},
        {
            "method": "POST",
            "path": "/v1/functions/letters:call",
            "status": 200,
            "function": "letters",
            "version": "1",
            "rows": 1,
        },
        {"method": "HEAD", "path": "/v1/models", "status": 200},
        {"method": "GET", "path": "/v1/models", "status": 401, "problem": "unauthorized"},
        {"method": "GET", "path": "/health/live", "status": 200},
    ]


class Nowhere:
    """Takes lines and forgets them."""

    dropped = 0

    def add(self, line: object) -> None:
        """Forget it."""


WATCH = Watch(access_log=Nowhere())  # type: ignore[arg-type]


@given(named=st.text(max_size=200))
def test_an_id_that_comes_is_taken_if_it_is_harmless(named: str) -> None:
    """Letters, digits and a few signs, up to 128 of them, are kept; of all else a fresh id is made."""
    request = Request(
        method="GET",
        path="/",
        headers={"x-request-id": named},
        receive=never,
        intake=Intake(max_body_bytes=0, body_s=1.0),
        trail=Trail(),
    )
    is_harmless = re.fullmatch(r"[A-Za-z0-9._:/+=@~-]{1,128}", named)
    [(_, header)] = WATCH.begin(request, str)
    found = request.trail.request_id
    assert header.decode() == found
    assert found == named if is_harmless else FRESH.fullmatch(found)


async def never() -> Any:
    """A body that nobody asks for."""
    raise AssertionError


def test_a_known_id_comes_back() -> None:
    """What a proxy has named goes by that name."""
    app = App([ModelMount(Endpoint(ServedModel("flows", Broken(), version=3, signature=SIGNATURE)))], watch=WATCH)
    assert get(app, "/v1/models", headers={"x-request-id": "req-1/a"}).headers["x-request-id"] == "req-1/a"


def test_a_service_that_nobody_watches_says_no_more_than_its_answer() -> None:
    """Without an access log and traces no ids are made."""
    assert "x-request-id" not in post(service(), [GOOD]).headers


def test_any_path_can_be_logged(logged: Logged) -> None:
    """Bytes that are no text, signs that end lines, and great length: a line stays a line."""
    for path in ("/%ff%fe", "/a%0ab%00", "/" + "x" * 3000, "/%ed%a0%80"):
        assert logged.ask("GET", path).status_code == 404
    assert [len(line["path"]) <= 256 for line in logged.lines()] == [True] * 4


def line(status: int) -> AccessLine:
    return AccessLine(at=0.5, method="GET", path="/", status=status, bytes=0, ms=1.0, request_id="1")


def test_a_log_that_is_rotated_loses_nothing(tmp_path: Path) -> None:
    """Moved away, removed or cut short, whatever a rotating program does: the lines go on at the path."""
    file = tmp_path / "access.jsonl"
    log = AccessLog(str(file))
    found, ways = [], (lambda: file.rename(tmp_path / "moved"), file.unlink, lambda: file.write_text(""))
    for number, rotate in enumerate(ways):
        log.add(line(number))
        while not (file.exists() and file.read_bytes().endswith(b"\n")):
            threading.Event().wait(0.01)
        found.append(json.loads(file.read_text())["status"])
        rotate()
    log.add(line(3))
    log.close()
    last = json.loads(file.read_text())
    assert ([*found, last["status"]], last["at"]) == ([0, 1, 2, 3], "1970-01-01T00:00:00.500Z")
    assert log.dropped == 0


def test_lines_that_cannot_be_written_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that has gone keeps nobody from being answered: that is said once, and counted."""
    folder = tmp_path / "logs"
    folder.mkdir()
    logged = Logged(folder / "access.jsonl")
    (folder / "access.jsonl").unlink()
    folder.rmdir()
    assert logged.ask("GET", "/v1/models").status_code == 200
    logged._log.close()
    assert "filiera_access_log_dropped_total 1" in logged.ask("GET", "/metrics").text
    assert [record.message[:29] for record in caplog.records] == ["the access log cannot be writ"]


def test_a_file_that_cannot_be_opened_is_an_error_of_use(tmp_path: Path) -> None:
    """Before anything is served."""
    with pytest.raises(UsageError, match="access log"):
        AccessLog(str(tmp_path / "no" / "folder"))
