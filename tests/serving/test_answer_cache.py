"""Answers that are kept: for whom, how long, how many, and never those of another version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from filiera.adapters.prediction_segments import SegmentLog
from filiera.core.service import ServiceOptions
from filiera.serving.answer_cache import AnswerCache, wants_fresh
from filiera.serving.app import App
from filiera.serving.batch import Batch
from filiera.serving.endpoint import Endpoint
from filiera.serving.function_mount import FunctionMount
from filiera.serving.keeping import Keeping
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from tests.serving.offers import GOOD, SIGNATURE, Rule, Stuck, get, talk

PREDICT = "/v1/models/flows:predict"
TENSORS = "/v2/models/flows/infer"


class Counting(Rule):
    """Counts how often it is asked, and fails on a duration of 99."""

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, frame: Any) -> Any:
        self.asked += 1
        if frame["duration"][0] == 99:
            raise ValueError("no")
        return super().predict(frame)


class Service:
    """A model behind an address whose answers are kept for a minute."""

    def __init__(self, model: Any, *, log: Any = None, deterministic: bool = True) -> None:
        signature = replace(SIGNATURE, deterministic=deterministic, examples=())
        self.endpoint = Endpoint(ServedModel("flows", model, version=3, signature=signature, log=log))
        self.app = App([ModelMount(self.endpoint, cache_s=60.0)])
        self.app.start()

    def post(self, rows: list[dict[str, Any]], **headers: str) -> httpx.Response:
        """Return the answer to rows."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return talk(self.app, lambda client: client.post(PREDICT, json={"instances": rows}, headers=sent))

    def count(self, name: str) -> float:
        """Return one of its metrics."""
        return self.app.samples()[f"filiera_cache_{name}"]


@pytest.fixture
def model() -> Counting:
    return Counting()


def test_equal_rows_are_predicted_once(model: Counting) -> None:
    """However their JSON is written; the answer has an id of its own, and says where it is from."""
    service = Service(model)
    first, second = service.post([GOOD]), service.post([dict(reversed(GOOD.items()))])
    assert first.headers["cache-status"] == "filiera; fwd=miss; stored"
    assert (second.headers["cache-status"], second.headers["age"]) == ("filiera; hit; ttl=59", "0")
    [one], [other] = first.json()["predictions"], second.json()["predictions"]
    assert one.pop("id") != other.pop("id")
    assert (one, model.asked) == (other, 1)
    assert (service.count("hits_total"), service.count("misses_total")) == (1, 1)
    assert service.count("bytes") > 0


def test_other_rows_are_other_questions(model: Counting) -> None:
    """A value, a row more, another order of rows."""
    service, other = Service(model), {**GOOD, "duration": 4}
    for rows in ([GOOD], [other], [GOOD, other], [other, GOOD], [GOOD, GOOD]):
        assert "fwd=miss" in service.post(rows).headers["cache-status"]
    assert model.asked == 5


def test_what_was_kept_is_logged_as_any_answer(model: Counting, tmp_path: Path) -> None:
    """Each caller's prediction is on disk, under the id that the caller has."""
    log = SegmentLog(tmp_path)
    service = Service(model, log=log)
    ids = [service.post([GOOD]).json()["predictions"][0]["id"] for _ in range(3)]
    log.close()
    records = list(SegmentLog(tmp_path).read())
    assert [record["id"] for record in records] == ids
    assert records[0]["outputs"] == records[2]["outputs"]
    assert model.asked == 1


def test_a_request_can_ask_for_the_model(model: Counting) -> None:
    """With ``Cache-Control: no-cache`` it is asked, and the answer says why."""
    service = Service(model)
    service.post([GOOD])
    assert service.post([GOOD], cache_control="no-cache").headers["cache-status"] == "filiera; fwd=request"
    assert model.asked == 2


def test_a_model_that_is_not_deterministic_is_always_asked(model: Counting) -> None:
    """Its signature says so; nothing is kept."""
    service = Service(model, deterministic=False)
    assert "cache-status" not in service.post([GOOD]).headers
    service.post([GOOD])
    assert (model.asked, service.count("misses_total")) == (2, 0)


def test_another_version_never_answers_with_what_was_kept(model: Counting) -> None:
    """After a switch the new version is asked; the counts go on."""
    service, other = Service(model), Counting()
    service.post([GOOD])
    service.endpoint.switch(ServedModel("flows", other, version=4, signature=replace(SIGNATURE, examples=())))
    answer = service.post([GOOD])
    assert (answer.json()["version"], other.asked) == (4, 1)
    assert answer.headers["cache-status"] == "filiera; fwd=miss; stored"
    assert service.count("misses_total") == 2


def test_failures_and_refusals_are_not_kept(model: Counting) -> None:
    """Who asks again gets another try."""
    service = Service(model)
    assert [service.post([{**GOOD, "duration": 99}]).status_code for _ in range(2)] == [500, 500]
    assert [service.post([{**GOOD, "duration": -1}]).status_code for _ in range(2)] == [422, 422]
    assert (model.asked, service.count("hits_total")) == (2, 0)


def test_those_who_ask_the_same_at_once_share_one_prediction() -> None:
    """While it is made for the first, the others wait; one who waits no longer is told so."""
    stuck = Stuck()
    service = Service(stuck)
    stuck.go.clear()
    body = json.dumps({"instances": [GOOD]}).encode()
    headers = {"content-type": "application/json"}

    async def together(client: httpx.AsyncClient) -> list[httpx.Response]:
        first = asyncio.ensure_future(client.post(PREDICT, content=body, headers=headers))
        await asyncio.to_thread(stuck.began.wait)
        late = await client.post(PREDICT, content=body, headers={**headers, "request-timeout-ms": "20"})
        others = [asyncio.ensure_future(client.post(PREDICT, content=body, headers=headers)) for _ in range(3)]
        await asyncio.sleep(0)
        stuck.go.set()
        return [await first, late, *(await asyncio.gather(*others))]

    answers = talk(service.app, together)
    assert [answer.status_code for answer in answers] == [200, 504, 200, 200, 200]
    said = [answer.headers.get("cache-status", "").removeprefix("filiera; ") for answer in answers]
    assert said[0] == "fwd=miss; stored"
    assert set(said[2:]) <= {"fwd=miss; collapsed", "hit; ttl=59"}
    assert service.count("misses_total") == 1


def test_tensors_are_kept_too(model: Counting) -> None:
    """Any surface; and texts in columns are told apart by what they say, not by where they are in memory."""
    service = Service(model)
    tensors = [
        {"name": name, "datatype": kind, "shape": [1], "data": [GOOD[name]]}
        for name, kind in (("duration", "INT16"), ("protocol", "BYTES"), ("rate", "FP64"), ("user", "BYTES"))
    ]
    said = []
    for user in ("ann", "bob", "ann"):
        tensors[3]["data"] = [user]
        answer = talk(service.app, lambda client: client.post(TENSORS, json={"inputs": tensors}))
        assert answer.status_code == 200, answer.text
        said.append(answer.headers["cache-status"].split("; ")[1])
    assert said == ["fwd=miss", "fwd=miss", "hit"]


VALUES = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.text("ab")


@given(first=st.lists(st.lists(VALUES, max_size=2)), second=st.lists(st.lists(VALUES, max_size=2)))
def test_equal_digests_mean_equal_rows(first: list[list[Any]], second: list[list[Any]]) -> None:
    """Rows that differ in any value or its type have different digests."""
    same = repr(first) == repr(second)
    assert (Batch.of_rows((), first).key() == Batch.of_rows((), second).key()) == same


def test_columns_of_different_types_are_different_questions() -> None:
    """Equal bytes are not equal values."""
    columns = [np.zeros(2, "int64"), np.zeros(2, "float64"), np.zeros(4, "int32"), ["", ""], np.array(["", ""], object)]
    keys = {Batch(fields=(), columns=[column], height=2).key() for column in columns}
    assert len(keys) == 4  # texts are the same, as a list and as an array


class Cached(RuleBasedStateMachine):
    """A cache beside a dictionary that forgets nothing: what is kept is true, young enough and within its bound."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.cache: AnswerCache[int] = AnswerCache(10.0, most_bytes=2000, clock=lambda: self.now_s)
        self.made: dict[bytes, tuple[int, float]] = {}
        self.number = 0

    @rule(key=st.binary(max_size=1), size=st.integers(0, 2500))
    def ask(self, key: bytes, size: int) -> None:
        found = self.cache.find(key)
        if found is not None:
            assert (found.value, self.now_s - found.age_s) == self.made[key]
            assert found.age_s < 10.0
            return

        async def make() -> int:
            self.number += 1
            return self.number

        assert asyncio.run(self.cache.made(key, make, lambda _: size)).value == self.number
        self.made[key] = self.number, self.now_s

    @rule(seconds=st.sampled_from([0.5, 4.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def is_bounded(self) -> None:
        assert 0 <= self.cache.size_bytes <= 2000


TestCached = Cached.TestCase
TestCached.settings = settings(max_examples=25, stateful_step_count=30)


def test_when_one_fails_each_of_the_others_tries_itself() -> None:
    """Nobody is told of another's failure, and nobody waits for ever."""
    tries = []

    async def fail() -> int:
        tries.append(len(tries))
        await asyncio.sleep(0)
        raise ValueError(tries[-1])

    async def run() -> list[Any]:
        cache: AnswerCache[int] = AnswerCache(10.0)
        return await asyncio.gather(*(cache.made(b"k", fail, int) for _ in range(3)), return_exceptions=True)

    assert [type(error) for error in asyncio.run(run())] == [ValueError] * 3
    assert tries == [0, 1, 2]


@pytest.mark.parametrize(
    ("given_header", "is_fresh"),
    [(None, False), ("max-age=0", True), ("no-store", True), ("private,NO-CACHE", True), ("max-age=5", False)],
)
def test_words_of_cache_control(given_header: str | None, is_fresh: bool) -> None:
    """Those that say that nothing kept will do."""
    assert wants_fresh({"cache-control": given_header} if given_header is not None else {}) is is_fresh


calls: list[Any] = []


def price(count: int, names: dict[str, float] | None = None) -> int:
    calls.append(count)
    if count == 13:
        raise ValueError("13")
    return count * 2


async def later(count: int) -> int:
    calls.append(count)
    return count * 2


def items(count: int) -> Iterator[int]:
    calls.append(count)
    yield count


@pytest.mark.parametrize("function", [price, later])
def test_functions_opt_in(function: Any, tmp_path: Path) -> None:
    """Equal arguments, however written, are one call; each answer has an id and is logged; failures are not kept."""
    calls.clear()
    log = SegmentLog(tmp_path)
    app = App([FunctionMount(function, ServiceOptions(cache_s=60.0), version="1", keeping=Keeping(log))])
    app.start()
    path = f"/v1/functions/{function.__name__}:call"

    def call(body: str, **headers: str) -> httpx.Response:
        sent = {"content-type": "application/json", **headers}
        return talk(app, lambda client: client.post(path, content=body, headers=sent))

    answers = [call('{"count": 2}'), call('{ "count":2 }'), call('{"count": 3}')]
    answers.append(call('{"count": 2}', **{"cache-control": "no-cache"}))
    assert [answer.json()["result"] for answer in answers] == [4, 4, 6, 4]
    said = [answer.headers["cache-status"].removeprefix("filiera; ") for answer in answers]
    assert said == ["fwd=miss; stored", "hit; ttl=59", "fwd=miss; stored", "fwd=request"]
    assert calls == [2, 3, 2]
    log.close()
    assert [record["id"] for record in SegmentLog(tmp_path).read()] == [answer.json()["id"] for answer in answers]
    assert call('{"count": "x"}').status_code == 422
    assert "filiera_cache_hits_total 1" in get(app, "/metrics").text


def test_what_fails_or_streams_is_called_each_time() -> None:
    """Nothing of it is kept."""
    calls.clear()
    options = ServiceOptions(cache_s=60.0)
    app = App([FunctionMount(each, options, version="1") for each in (price, items)])
    app.start()
    for name, number in (("price", 13), ("items", 1)):
        for _ in range(2):
            path, body = f"/v1/functions/{name}:call", {"count": number}
            talk(app, lambda client, path=path, body=body: client.post(path, json=body))  # type: ignore[misc]
    assert calls == [13, 13, 1, 1]
