"""Functions as services: arguments in, answers and streams out, refusals that tell and do not repeat."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import jsonschema_rs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera import Sensitive
from filiera.adapters.prediction_segments import SegmentLog
from filiera.core.products import Dataset, Model
from filiera.core.service import ServiceOptions
from filiera.errors import ProjectError
from filiera.serving.app import App
from filiera.serving.function_mount import FunctionMount
from filiera.serving.http import TIMEOUT_HEADER
from tests.serving.functions import Parcel, Till, app_of, call, call_bytes, count_to, double, letters, made, price
from tests.serving.offers import get, talk


@pytest.fixture(scope="module")
def app() -> App:
    return app_of(price, count_to, double, letters)


def test_a_call_gets_what_the_function_returns(app: App) -> None:
    """The answer says which function of which version gave it, under an id; dates and dataclasses are JSON."""
    answer = call(app, "price", parcel={"weight": 2.5}, count=2, on="2026-01-31").json()
    assert answer["result"] == {"total": 5.0, "on": "2026-01-31"}
    assert (answer["function"], answer["version"], len(answer["id"])) == ("price", "1.2", 26)
    assert call(app, "price", parcel={"weight": 2}).json()["result"] == {"total": 2.0, "on": None}
    assert call(app, "double", number=21).json()["result"] == 42


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("parcel", "is missing")]),
        ({"parcel": {}}, [("parcel.weight", "is missing")]),
        ({"parcel": {"weight": "s3cret"}}, [("parcel.weight", "must be a number")]),
        ({"parcel": {"weight": -1}}, [("parcel.weight", "must be a number >= 0.0")]),
        ({"parcel": {"weight": 13}}, [("parcel", "is refused by its type")]),
        (
            {"parcel": {"weight": 1, "speed": "s3cret"}, "count": 1.5, "on": "s3cret", "total": 0},
            [
                ("parcel.speed", "must be one of the values in the schema"),
                ("count", "must be an integer"),
                ("on", "must be a date such as 2026-01-31"),
                ("total", "is not a parameter of this function"),
            ],
        ),
        ([], [("body", "must be an object with one value per parameter")]),
    ],
)
def test_wrong_arguments_are_named_and_not_repeated(app: App, body: Any, errors: list[tuple[str, str]]) -> None:
    """422 lists every parameter that breaks its type, with the rule, and never the value."""
    answer = call_bytes(app, "price", json.dumps(body).encode())
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:filiera:problem:invalid-arguments"
    assert [(error["at"], error["rule"]) for error in answer.json()["errors"]] == errors
    assert "s3cret" not in answer.text
    assert "unlucky" not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"parcel": NaN}', b"[" * 100_000, b'{"parcel": "\\ud800"}'])
def test_what_is_not_json_is_refused(app: App, body: bytes) -> None:
    """400 or 422, whatever the bytes."""
    assert call_bytes(app, "price", body).status_code in (400, 422)


@given(
    body=st.binary()
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(repr).map(str.encode)
)
def test_no_body_breaks_the_decoder(app: App, body: bytes) -> None:
    """Whatever is sent, the caller is to blame, not the service."""
    assert 400 <= call_bytes(app, "price", body).status_code < 500


VALUES = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(["fast", "2026-01-31", "x"])
)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "parcel": st.fixed_dictionaries({}, optional={"weight": st.floats(-1, 9) | VALUES, "speed": VALUES}) | VALUES,
        "count": VALUES,
        "email": VALUES,
        "on": VALUES,
        "total": VALUES,
    },
)


@given(body=ARGUMENTS)
def test_the_schema_says_what_the_decoder_takes(app: App, body: dict[str, Any]) -> None:
    """What one takes the other takes: callers who check before they send are never surprised."""
    document = get(app, "/openapi.json").json()
    schema = {"$ref": "#/components/schemas/price.Arguments", "components": document["components"]}
    is_valid = jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(body)
    assert (call_bytes(app, "price", json.dumps(body).encode()).status_code == 200) == is_valid


def test_a_function_says_what_it_does_not_take(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """Refused is the caller's mistake, in the function's words; anything else is told in the log only."""
    refused = call(app, "price", parcel={"weight": 1}, count=99)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:filiera:problem:refused")
    assert refused.json()["detail"] == "There is no carriage for 99 parcels. Send 98."
    with caplog.at_level(logging.ERROR, "filiera.serving"):
        failed = call(app, "price", parcel={"weight": 1}, count=66, email="ann@example.org")
    assert (failed.status_code, failed.json()["type"]) == (500, "urn:filiera:problem:function-failed")
    assert "functions.py" in caplog.text
    assert "ann@example.org" not in caplog.text + failed.text


def test_items_are_streamed_as_lines_or_events(app: App) -> None:
    """NDJSON unless the caller asks for events; the last line or event says that it was all."""
    lines = call(app, "count_to", end=40)
    assert lines.headers["content-type"] == "application/x-ndjson"
    *items, last = map(json.loads, lines.text.splitlines())
    assert items == [{"item": number} for number in range(1, 41)]
    assert (last["done"]["count"], last["done"]["function"]) == (40, "count_to")
    events = call(app, "letters", accept="text/event-stream", word="ab")
    assert events.headers["content-type"] == "text/event-stream"
    assert events.text.startswith('data: "a"\n\ndata: "b"\n\nevent: done\ndata: {"id":')


def test_what_fails_in_mid_stream_is_told_there(app: App) -> None:
    """After the items made so far comes the problem; the metrics count a failure."""
    *items, last = map(json.loads, call(app, "count_to", end=1000).text.splitlines())
    assert len(items) == 499
    assert last["problem"]["type"] == "urn:filiera:problem:function-failed"
    assert 'filiera_requests_total{function="count_to",status="500"} 1' in get(app, "/metrics").text


def test_a_stream_that_fails_at_once_has_a_status() -> None:
    """What is known before the first item is told as of any call."""

    def broken(text: str) -> Iterator[str]:
        raise ValueError(text)
        yield text

    app = app_of(broken)
    assert call(app, "broken", text="x").status_code == 500
    assert call(app, "broken", text=1).status_code == 422
    assert 'filiera_calls_open{function="broken"} 0' in get(app, "/metrics").text


def test_a_class_is_made_once_and_its_methods_are_called() -> None:
    """Public methods are operations; the object is made, started and closed where its methods run."""
    app = app_of(Till)
    assert [call(app, "Till.pay", amount=5).json()["result"] for _ in range(2)] == [105, 110]
    assert call(app, "Till.peek").json()["result"] == 110
    assert call(app, "Till._hidden").status_code == 404
    assert call(app, "Till.close").status_code == 404
    asyncio.run(app.stop())
    assert made[-1].is_closed


def test_a_call_that_takes_too_long_is_given_up() -> None:
    """504; the thread goes on, and what waited behind it without starting is never run."""
    go, calls = threading.Event(), []

    def wait(number: int) -> int:
        calls.append(number)
        go.wait()
        return number

    app = app_of(wait, timeout_s=0.05)
    assert [call(app, "wait", number=number).status_code for number in (1, 2)] == [504, 504]
    go.set()
    assert call(app, "wait", number=3).json()["result"] == 3
    assert calls == [1, 3]


def test_a_function_that_blocks_keeps_nobody_else_waiting() -> None:
    """Not even one that is asynchronous and should not: health is answered while it blocks."""
    go, began = threading.Event(), threading.Event()

    async def block() -> str:
        began.set()
        go.wait()
        return "done"

    async def act(client: httpx.AsyncClient) -> tuple[int, str]:
        headers = {"content-type": "application/json"}
        blocked = asyncio.ensure_future(client.post("/v1/functions/block:call", content=b"{}", headers=headers))
        while not began.is_set():
            await asyncio.sleep(0)
        health = await client.get("/health/ready")
        go.set()
        return health.status_code, (await blocked).json()["result"]

    assert talk(app_of(block), act) == (200, "done")


def test_as_many_calls_run_at_once_as_are_allowed() -> None:
    """With ``concurrency=3`` three wait for each other and meet."""
    meeting = threading.Barrier(3)

    def meet() -> int:
        return meeting.wait(timeout=60)

    async def act(client: httpx.AsyncClient) -> list[int]:
        headers = {"content-type": "application/json"}
        posts = [client.post("/v1/functions/meet:call", content=b"{}", headers=headers) for _ in range(3)]
        return sorted(answer.json()["result"] for answer in await asyncio.gather(*posts))

    assert talk(app_of(meet, concurrency=3), act) == [0, 1, 2]


def test_more_calls_than_may_wait_are_refused() -> None:
    """503 with Retry-After, at once."""
    go, began = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        go.wait()

    app = app_of(wait, max_waiting=1)
    first = [threading.Thread(target=call, args=(app, "wait")) for _ in range(2)]
    for thread in first:
        thread.start()
    began.wait()
    while 'filiera_calls_open{function="wait"} 2' not in get(app, "/metrics").text:
        assert all(thread.is_alive() for thread in first)
    refused = call(app, "wait")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    go.set()
    for thread in first:
        thread.join()
    assert call(app, "wait").json()["result"] is None


def test_calls_are_logged_without_what_is_sensitive(tmp_path: Path) -> None:
    """Arguments and results under the id of the answer; of streams their items and how they ended."""
    log = SegmentLog(tmp_path)
    app = app_of(price, count_to, log=log)
    answer = call(app, "price", parcel={"weight": 2}, email="ann@example.org").json()
    call(app, "count_to", end=2)
    call(app, "count_to", end=1000)
    log.flush()
    one, two, three = log.read()
    assert (one["id"], one["function"], one["version"]) == (answer["id"], "price", "1.2")
    assert one["inputs"] == {"parcel": {"weight": 2}}
    assert one["outputs"] == {"result": {"total": 2.0, "on": None}}
    assert two["outputs"] == {"ended": "done", "count": 2, "items": [1, 2]}
    assert (three["outputs"]["ended"], three["outputs"]["count"]) == ("failed", 499)
    log.close()


def test_what_is_sensitive_anywhere_is_left_out_whole(tmp_path: Path) -> None:
    """A mark inside a dataclass hides the parameter; one on the answer hides the result."""

    def secret(parcels: list[Annotated[Parcel, Sensitive]], note: str) -> Annotated[str, Sensitive]:
        return note * len(parcels)

    log = SegmentLog(tmp_path)
    assert call(app_of(secret, log=log), "secret", parcels=[{"weight": 1}], note="x").json()["result"] == "x"
    log.flush()
    (record,) = log.read()
    assert (record["inputs"], record["outputs"]) == ({"note": "x"}, {})
    log.close()


def test_an_example_is_called_before_the_service_is_ready() -> None:
    """It warms up, and one that is not answered stops the start with the reason."""
    seen = []

    def greet(name: str) -> str:
        seen.append(name)
        return name[0]

    app_of(greet, example={"name": "Ann"})
    assert seen == ["Ann"]
    with pytest.raises(ProjectError, match="own example") as error:
        app_of(greet, example={"nme": "Ann"})
    assert "name is missing" in error.value.why
    with pytest.raises(ProjectError) as error:
        app_of(greet, example={"name": ""})
    assert "IndexError" in error.value.why
    with pytest.raises(ProjectError, match="'play', which cannot be called"):
        app_of(Till, example={"play": {"amount": 1}})


def test_an_answer_is_what_was_promised() -> None:
    """A result of another type is a failure; arrays and numbers of NumPy are JSON."""

    def pick(kind: str) -> list[int]:
        found: Any = {"array": np.arange(3), "text": "x", "object": object(), "nan": [float("nan")]}[kind]
        return found  # type: ignore[no-any-return]

    app = app_of(pick)
    assert call(app, "pick", kind="array").json()["result"] == [0, 1, 2]
    assert [call(app, "pick", kind=kind).status_code for kind in ("text", "object", "nan")] == [500, 500, 500]


def test_a_step_is_served_as_the_function_that_it_is() -> None:
    """What wraps a function well is seen through."""

    @functools.wraps(price)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return price(*args, **kwargs)

    assert call(app_of(wrapped), "price", parcel={"weight": 1}).json()["result"]["total"] == 1.0


def untyped(frame, count: int = 1) -> None:  # type: ignore[no-untyped-def]
    pass


def arrays(rows: np.ndarray[Any, Any]) -> None:
    pass


def stars(*rows: int) -> None:
    pass


def objects() -> np.ndarray[Any, Any]:
    raise NotImplementedError


def absent(rows: Absent) -> None:  # type: ignore[name-defined]  # noqa: F821
    pass


class Needy:
    def __init__(self, path: str) -> None:
        self.path = path


class Empty:
    pass


class Careless:
    def take(self, rows):  # type: ignore[no-untyped-def]
        pass


@pytest.mark.parametrize(
    ("served", "words"),
    [
        (untyped, ["'untyped' cannot be served", "parameter 'frame' has no type"]),
        (arrays, ["parameter 'rows' is a numpy.ndarray", "JSON"]),
        (stars, ["parameter 'rows' stands for any number"]),
        (objects, ["its answer is a numpy.ndarray"]),
        (absent, ["annotations raise NameError", "Absent"]),
        (Needy, ["to make one needs path"]),
        (Empty, ["no public method"]),
        (Careless, ["'Careless.take'", "'rows' has no type", "underscore"]),
    ],
)
def test_what_cannot_be_served_is_told_with_the_parameter(served: Any, words: list[str]) -> None:
    """Before anything starts, in words that name the place."""
    with pytest.raises(ProjectError) as error:
        FunctionMount(served, ServiceOptions(), version="1")
    for word in words:
        assert word in str(error.value)


def test_a_function_describes_itself(app: App) -> None:
    """List, card and the OpenAPI document have its arguments and its answer."""
    assert [line["name"] for line in get(app, "/v1/functions").json()["functions"]] == [
        "price", "count_to", "double", "letters",
    ]  # fmt: skip
    card = get(app, "/v1/functions/price").json()["calls"][0]
    assert (card["path"], card["summary"]) == ("/v1/functions/price:call", "What sending costs.")
    assert card["arguments"]["$defs"]["Arguments"]["required"] == ["parcel"]
    document = get(app, "/openapi.json").json()
    schema = document["components"]["schemas"]["price.Arguments"]
    assert schema["properties"]["parcel"] == {"$ref": "#/components/schemas/price.Parcel"}
    assert schema["properties"]["email"]["description"] == "Sensitive: never logged."
    content = document["paths"]["/v1/functions/count_to:call"]["post"]["responses"]["200"]["content"]
    assert sorted(content) == ["application/x-ndjson", "text/event-stream"]


def test_a_function_may_be_open_in_a_service_with_a_token() -> None:
    """``needs_token=False`` opens its own paths and no others."""
    app = app_of(double, token="t", needs_token=False)
    assert call(app, "double", number=1).status_code == 200
    assert get(app, "/v1/functions/double").status_code == 200
    assert [get(app, path).status_code for path in ("/openapi.json", "/v1/functions", "/metrics")] == [401, 401, 401]
    assert call(app_of(double, token="t"), "double", number=1).status_code == 401
    headers = {"authorization": "Bearer t"}
    paths = get(app, "/openapi.json", headers=headers).json()["paths"]
    assert paths["/v1/functions/double:call"]["post"]["security"] == []


def test_a_caller_may_wait_for_less_than_the_service_would() -> None:
    """The header that says how long is kept for functions as it is for models."""
    go = threading.Event()

    def wait() -> None:
        go.wait()

    headers = {"content-type": "application/json", TIMEOUT_HEADER: "20"}
    path = "/v1/functions/wait:call"
    answer = talk(app_of(wait), lambda client: client.post(path, content=b"{}", headers=headers))
    go.set()
    assert (answer.status_code, answer.json()["detail"]) == (504, "It was waited for 0.02 s.")


def test_a_body_of_bytes_stands_for_the_one_parameter_that_takes_them() -> None:
    """As the bytes of a file or as base 64 in JSON; never as a form, which any web page could send."""

    def length(content: bytes, times: int = 1) -> int:
        return len(content) * times

    def joined(one: bytes, two: bytes) -> int:
        return len(one + two)

    def post(path: str, kind: str, content: bytes = b"\x00\xff{}") -> httpx.Response:
        address = f"/v1/functions/{path}:call"
        return talk(app, lambda client: client.post(address, content=content, headers={"content-type": kind}))

    app = app_of(length, joined)
    for kind in ("application/octet-stream", "image/png", "audio/wav", "IMAGE/JPEG"):
        assert post("length", kind).json()["result"] == 4, kind
    assert call(app, "length", content="AP97fQ==", times=2).json()["result"] == 8
    for kind in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "", "imagery/png"):
        assert post("length", kind).status_code == 415, kind
    assert post("joined", "image/png").status_code == 415  # which of the two?
    paths = talk(app, lambda client: client.get("/openapi.json")).json()["paths"]
    taken = {
        name: list(paths[f"/v1/functions/{name}:call"]["post"]["requestBody"]["content"])
        for name in ("length", "joined")
    }
    assert taken == {
        "length": ["application/json", "application/octet-stream", "image/*", "audio/*", "video/*"],
        "joined": ["application/json"],
    }


def test_parameters_that_name_products_are_given_their_values() -> None:
    """Of functions, of classes and of their methods; callers neither see them nor can give them."""
    values = {"doubler@latest": lambda number: 2 * number, "prices@3": {"tea": 4.0}}
    model, prices = Model("doubler"), Dataset("prices@3")

    def doubled(number: int, model: Any = model) -> int:
        found: int = model(number)
        return found

    class Shop:
        def __init__(self, prices: Any = prices) -> None:
            self.prices = prices

        def cost(self, what: str, model: Any = model) -> float:
            found: float = model(self.prices[what])
            return found

    def started(served: Any) -> App:
        mount = FunctionMount(served, ServiceOptions(), version="1", value_of=lambda each: values[str(each.ref)])
        app = App([mount])
        app.start()
        return app

    assert call(started(doubled), "doubled", number=3).json()["result"] == 6
    assert call(started(Shop), "Shop.cost", what="tea").json()["result"] == 8.0
    (error,) = call(started(doubled), "doubled", number=3, model=1).json()["errors"]
    assert (error["at"], error["rule"]) == ("model", "is not a parameter of this function")
    with pytest.raises(ProjectError, match="which only a project has"):
        FunctionMount(doubled, ServiceOptions(), version="1")
