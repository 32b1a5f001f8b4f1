"""A service inside a function of Nuclio."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from filiera.errors import UsageError
from filiera.project.serving.in_nuclio import Events

PATH = "/v1/functions/add:call"
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": "Bearer t"}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Events]:
    """Return what answers for a project with a function."""
    folder = tmp_path_factory.mktemp("sums")
    (folder / "sums.py").write_text("def add(one: int = 1, two: int = 2) -> int:\n    return one + two\n")
    (folder / "filiera.toml").write_text('[project]\nname = "sums"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FILIERA_TOKEN", "t")
        patch.setattr("sys.path", [*sys.path])
        found = Events(folder, ["sums:add"])
        yield found
        found.close()


def event(
    body: Any, *, method: Any = "POST", path: Any = PATH, headers: Mapping[Any, Any] = JSON | BEARER, kind: Any = "http"
) -> Any:
    """Return an event as Nuclio gives it to a handler."""
    return SimpleNamespace(body=body, method=method, path=path, headers=headers, trigger=SimpleNamespace(kind=kind))


@pytest.mark.parametrize("body", [b'{"one": 3}', '{"one": 3}', {"one": 3}], ids=["bytes", "text", "values"])
def test_a_request_is_answered_as_over_http(events: Events, body: Any) -> None:
    """In whichever form Nuclio has read its body; names of headers in any case, values as bytes too."""
    answer = events.answer(event(body, headers={"content-type": b"application/json", "AUTHORIZATION": "Bearer t"}))
    assert (answer["status_code"], answer["content_type"]) == (200, "application/json")
    assert json.loads(answer["body"])["result"] == 5


def test_all_may_be_bytes(events: Events) -> None:
    """Some processors decode nothing."""
    headers = {b"Content-Type": b"application/json", b"Authorization": b"Bearer t"}
    asked = event(b"{}", method=b"POST", path=PATH.encode(), headers=headers, kind=b"http")
    assert events.answer(asked)["status_code"] == 200
    ticking = event(b"{}", method=b"POST", path=b"/", headers={b"Filiera-Call": PATH.encode()} | headers, kind=b"cron")
    assert events.answer(ticking)["status_code"] == 200


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (event(b"{}", headers=JSON), 401),
        (event(b"{}", headers=JSON | {"Authorization": "Bearer u"}), 401),
        (event(b"{}", headers=JSON | {"Filiera-Call": PATH}), 401),
        (event(b"{}", headers=JSON | {"Filiera-Call": PATH}, path="/"), 401),
        (event(b"{}", headers=JSON | {"Filiera-Call": PATH}, path="/", kind="cron"), 200),
        (event(None, method="GET", path="/health/ready?x=1", headers={}), 200),
        (event(b'{"three": 1}'), 422),
        (event(b"{}", path="/none"), 404),
    ],
)
def test_only_the_functions_own_clock_needs_no_token(events: Events, asked: Any, status: int) -> None:
    """A caller who claims to be a clock is none."""
    assert events.answer(asked)["status_code"] == status


def test_without_a_token_it_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others than this machine reach a function."""
    monkeypatch.delenv("FILIERA_TOKEN", raising=False)
    with pytest.raises(UsageError, match="needs a token"):
        Events(tmp_path, ["sums:add"])
