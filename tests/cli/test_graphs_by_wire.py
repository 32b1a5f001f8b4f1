"""Serving graphs as callers meet them: busy, late and dead nodes, headers, shares, shadows and moving aliases."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from filiera.project import plugins
from tests.cli.between import Answer, between
from tests.cli.callers import Asking
from tests.cli.command import copied, done, started
from tests.cli.conftest import Ask
from tests.cli.test_prove_command import put_into_git
from tests.cli.test_serve_functions import said_first
from tests.cli.test_serve_graphs import GRAPH
from tests.cli.test_up_command import until

GRAPHS = """
from filiera import Model, graphs

ONE, TWO = Model("spender@1"), Model("spender@2")
mean = graphs.graph("mean", graphs.ensemble(ONE, TWO, how="mean"))
safe = graphs.graph("safe", graphs.fallback(TWO, ONE, timeout_s=5))
quick = graphs.graph("quick", graphs.fallback(TWO, ONE, timeout_s=0.02))
variant = graphs.graph("variant", graphs.route((graphs.header("X-Variant", "b"), TWO), otherwise=ONE))
shares = graphs.graph("shares", graphs.split((0.4, ONE), otherwise=TWO, by="pieces"))
behind = graphs.graph("behind", graphs.shadow(ONE, TWO))
moving = graphs.graph(
    "moving", graphs.split((0.5, Model("spender")), otherwise=Model("spender@champion"), by="price", seed=1)
)
lone = graphs.graph("lone", graphs.ensemble(ONE, TWO, how="vote"))
"""
ELSEWHERE = ("mean", "safe", "quick", "behind")
MOVED = "".join(f'\n[graph.{name}]\n"spender@2" = "URL"\n' for name in ELSEWHERE)
OWN = '\n[graph.lone]\n"spender@2" = "process"\n'
NAMES = (*ELSEWHERE, "variant", "shares", "moving", "lone")
ROWS: list[dict[str, Any]] = [{"pieces": n, "price": price} for n in (1, 4, 7, 9) for price in (2.0, 21.0, 21.5, 22.0)]
"""The two versions differ on the later prices, from four pieces on."""


@dataclass
class Node:
    """The service that a node of the graphs is, as somebody before it lets it answer."""

    says: tuple[int, dict[str, str], bytes] | None = None  #: instead of what the service says
    may_answer: threading.Event = field(default_factory=threading.Event)
    asked: int = 0

    def answers(self, request: BaseHTTPRequestHandler) -> Answer:
        if request.command == "GET":
            return None
        self.asked += 1
        assert self.may_answer.wait(60)
        return self.says


@dataclass
class Graphs:
    """A service of all the graphs."""

    url: str
    pid: int
    folder: Path
    node: Node

    def ask(self, name: str, rows: list[dict[str, Any]] = ROWS, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and body of an answer."""
        with closing(http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)) as connection:
            body = json.dumps({"instances": rows})
            sent = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
            connection.request("POST", f"/v1/models/{name}:predict", body, sent)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.load(answer)

    def told(self, name: str, rows: list[dict[str, Any]] = ROWS, **headers: str) -> list[Any]:
        """Return the answers to rows, without ids."""
        status, _, body = self.ask(name, rows, **headers)
        assert status == 200, body
        return [{key: value for key, value in row.items() if key != "id"} for row in body["predictions"]]

    def problem(self, name: str, **headers: str) -> tuple[int, str, str]:
        """Return status, Retry-After and what a refusal says."""
        status, found, body = self.ask(name, ROWS[:1], **headers)
        return status, found.get("retry-after", ""), body.get("detail", "")

    def counted(self, node: str, what: str = "rows") -> int:
        """Return what the service has counted of a node."""
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            text = answer.read().decode()
        found = re.search(rf'^filiera_node_{what}_total{{node="{re.escape(node)}"}} (\S+)$', text, re.MULTILINE)
        assert found is not None, text
        return int(float(found[1]))


@pytest.fixture(scope="module")
def whole(twice: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graphs]:
    """Return a service of all graphs, one of whose nodes is a service behind somebody."""
    folder = copied(twice, tmp_path_factory.mktemp("graphs") / "shop")
    (folder / "shopflows" / "serving.py").write_text(GRAPHS)
    node = Node()
    with (
        started("serve", "spender@2", "--port", "0", cwd=folder) as other,
        between(said_first(other)[0].rsplit(" at ", 1)[1], node.answers) as url,
    ):
        settings = folder / "filiera.toml"
        settings.write_text(settings.read_text() + MOVED.replace("URL", url) + OWN)
        node.may_answer.set()
        with started("serve", *NAMES, "--port", "0", cwd=folder) as process:
            address = said_first(process)[0].rsplit(" at ", 1)[1]
            yield Graphs(address, process.pid, folder, node)
            node.may_answer.set()
            process.send_signal(signal.SIGTERM)
            process.communicate()


@pytest.fixture
def service(whole: Graphs) -> Iterator[Graphs]:
    """Return the service, whose node answers as it should."""
    whole.node.says = None
    whole.node.may_answer.set()
    yield whole
    whole.node.may_answer.set()


@pytest.fixture
def alone(service: Graphs) -> dict[int, list[Any]]:
    """Return what each version says by itself."""
    return {1: service.told("variant"), 2: service.told("variant", X_Variant="b")}


def test_a_header_chooses_for_the_whole_request(service: Graphs, alone: dict[int, list[Any]]) -> None:
    """The two versions differ, and a fallback and a shadow say what the first of theirs says."""
    assert alone[1] != alone[2]
    assert service.told("safe") == alone[2]
    assert service.told("behind") == alone[1]


@pytest.mark.parametrize(
    ("says", "status", "retry", "words"),
    [
        ((503, {"Retry-After": "2"}, b"{}"), 503, "1", "'spender@2' of the graph is not there"),
        ((504, {}, b"{}"), 504, "", "'spender@2' of the graph did not answer in time"),
        ((500, {}, b"{}"), 500, "", "'spender@2' failed"),
        ((200, {}, b'{"version": 1, "predictions": []}'), 500, "", "'spender@2' failed"),
        ((200, {}, b"nonsense"), 500, "", "'spender@2' failed"),
    ],
)
def test_what_a_node_cannot_do_is_told_with_its_name(
    says: Any, status: int, retry: str, words: str, service: Graphs, alone: dict[int, list[Any]]
) -> None:
    """Overloaded, late, failing, of another version, or no service: and a fallback steps in for each."""
    service.node.says = says
    found = service.problem("mean")
    assert found[:2] == (status, retry), found
    assert words in found[2]
    assert service.told("safe") == alone[1]
    service.node.says = None
    assert service.told("safe") == alone[2]


def test_a_late_node_is_waited_for_as_long_as_the_caller_says(service: Graphs, alone: dict[int, list[Any]]) -> None:
    """Then it is named; a fallback that waits less long steps in, and a shadow is not waited for at all."""
    service.node.may_answer.clear()
    asked = service.node.asked
    status, _, words = service.problem("mean", Request_Timeout_Ms="300")
    assert (status, "'spender@2' of the graph did not answer in time" in words) == (504, True), words
    assert service.told("quick") == alone[1]
    assert service.told("behind") == alone[1]
    until(lambda: service.node.asked, (asked + 3).__eq__)
    service.node.may_answer.set()
    until(lambda: service.told("quick"), alone[2].__eq__)


def test_what_a_shadow_says_is_logged_and_not_told(service: Graphs, alone: dict[int, list[Any]]) -> None:
    """Under the ids of the answers that callers got; one that fails is counted, and nobody hears of it."""
    _, _, body = service.ask("behind")
    ids = {row["id"] for row in body["predictions"]}
    log = plugins.prediction_log(service.folder / ".filiera", "spender")

    def versions() -> set[tuple[str, int]]:
        return {(record["id"], record["version"]) for record in log.read() if record["id"] in ids}

    until(versions, {(name, version) for name in ids for version in (1, 2)}.__eq__)
    log.close()
    failed = service.counted("spender@2", "failures")
    service.node.says = (500, {}, b"{}")
    assert service.told("behind") == alone[1]
    until(lambda: service.counted("spender@2", "failures"), (failed + 1).__eq__)


def test_the_same_key_gets_the_same_model(service: Graphs, alone: dict[int, list[Any]]) -> None:
    """Alone, with others, in any order, whichever connection it comes by; and each model has some keys."""
    rows = [{"pieces": pieces, "price": price} for pieces in range(4, 44) for price in (21.0, 22.0)]
    says = {1: service.told("variant", rows), 2: service.told("variant", rows, X_Variant="b")}
    found = service.told("shares", rows)
    assert service.told("shares", rows[::-1]) == found[::-1]
    before = [service.counted(f"spender@{number}") for number in (1, 2)]
    for row, answer in zip(rows[:12], found, strict=False):
        assert service.told("shares", [row]) == [answer]
    after = [service.counted(f"spender@{number}") for number in (1, 2)]
    assert sum(after) - sum(before) == 12
    assert min(late - early for early, late in zip(before, after, strict=True)) > 0
    assert all(answer in (one, two) for answer, one, two in zip(found, says[1], says[2], strict=True))


class AskingGraph(Asking):
    """Asks a graph again and again from three threads."""

    def __init__(self, service: Graphs, name: str) -> None:
        super().__init__(3)
        self.answers: list[tuple[int, Any]] = []
        self._ask_once: Callable[[], tuple[int, dict[str, str], Any]] = lambda: service.ask(name)

    def more(self, count: int = 12) -> None:
        """Come back when there are so many answers more."""
        there = len(self.answers)
        until(lambda: len(self.answers) >= there + count, True.__eq__)

    def ask(self) -> None:
        """Ask for one prediction after another."""
        while not self.is_over.wait(0.003):
            status, _, body = self._ask_once()
            rows = body.get("predictions", [])
            self.answers.append((status, [{k: v for k, v in row.items() if k != "id"} for row in rows] or body))


def test_an_alias_that_moves_under_load_is_never_half_taken_over(
    service: Graphs, alone: dict[int, list[Any]], ask: Ask
) -> None:
    """Two nodes of a graph mean the same alias: every request is answered, all its rows by one version."""
    with AskingGraph(service, "moving") as asking:
        for version in (2, 1, 2, 1):
            assert ask("promote", f"spender@{version}", cwd=service.folder).code == 0
            until(lambda: service.told("moving"), alone[version].__eq__)
            asking.more()
    assert {status for status, _ in asking.answers} == {200}
    assert all(rows in (alone[1], alone[2]) for _, rows in asking.answers)
    assert {rows == alone[1] for _, rows in asking.answers} == {True, False}


def nodes_of(pid: int) -> list[int]:
    """Return the processes that a service has started for nodes."""
    words = ["ps", "-o", "pid=,args=", "--ppid", str(pid)]
    lines = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "node_worker" in line]


def test_a_node_that_is_killed_under_load_comes_back(service: Graphs) -> None:
    """Callers are answered as ever, or told at once which node is not there and when to ask again; then all is well."""
    expected = service.told("lone")
    (first,) = nodes_of(service.pid)
    with AskingGraph(service, "lone") as asking:
        asking.more()
        os.kill(first, signal.SIGKILL)
        until(lambda: bool(set(nodes_of(service.pid)) - {first}), True.__eq__)
        until(lambda: service.ask("lone")[0], (200).__eq__)
        asking.more()
    refused = [body for status, body in asking.answers if status != 200]
    assert {status for status, _ in asking.answers} <= {200, 502, 503}
    assert all("'spender@2'" in body["detail"] for body in refused)
    assert all(rows == expected for status, rows in asking.answers if status == 200)
    assert service.told("lone") == expected


def test_a_published_service_is_proven(twice: Path, tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run is repeated from the commit: the same graph, the same code, the same answers to its examples."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    folder = copied(twice, tmp_path / "shop")
    (folder / "shopflows" / "serving.py").write_text(GRAPH)
    put_into_git(folder)
    done("run", "spending", cwd=folder)
    answer = ask("prove", "spending@1", "--this-environment", cwd=folder)
    assert answer.code == 0, answer
    assert "spending@1 is proven" in answer.out
