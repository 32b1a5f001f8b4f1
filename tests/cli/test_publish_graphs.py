"""Serving graphs as versions of services: published, served, deployed and looked at as models are."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from filiera import Model, graphs
from filiera.core.products import ProductRef
from filiera.project import plugins
from filiera.project.project import Project
from filiera.project.serving.graph_desk import GraphDesk
from filiera.project.serving.graphs import graph_of, predictor_of, versions_of
from filiera.project.serving.moved_nodes import Placed, placed_service, served_elsewhere, shown
from filiera.project.serving.node_logs import NodeLogs
from filiera.serving.client import ServiceClient
from filiera.serving.endpoint import Endpoint
from filiera.serving.follower import Follower
from filiera.serving.records import RowDecoder
from filiera.serving.served_model import request_body
from tests.cli.command import Answer, copied, done, filiera, started
from tests.cli.conftest import Ask
from tests.cli.test_serve_functions import said_first
from tests.cli.test_serve_graphs import GRAPH, ROWS
from tests.cli.test_up_command import until

RATES = "HALF = {}\n"
NARROW = """
PIECES = graphs.Field(name="pieces", type="int64", minimum=1)
PRICE = graphs.Field(name="price", type="float64", minimum=2, maximum=80)


def cheap"""


@pytest.fixture(scope="module")
def published(twice: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with spender@1, @2, and spending@1 to @3: the second has other code, the third takes less."""
    folder = copied(twice, tmp_path_factory.mktemp("published") / "shop")
    shutil.rmtree(folder / ".filiera" / "predictions", ignore_errors=True)  # of tests that served it before
    code, rates = folder / "shopflows" / "serving.py", folder / "shopflows" / "rates.py"
    plain = GRAPH.replace("0.5", "HALF").replace("\n\ndef cheap", "\nfrom shopflows.rates import HALF\n\n\ndef cheap")
    for text, rate in ((plain, 0.5), (plain, 100.0), (_narrowed(plain), 100.0)):
        code.write_text(text)
        rates.write_text(RATES.format(rate))
        done("run", "spending", cwd=folder)
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return folder


def _narrowed(text: str) -> str:
    inputs = 'inputs=[PIECES, PRICE], examples=[{"pieces": 60, "price": 3.0}]'
    text = text.replace('cheap, Model("spender@1")', f'cheap, Model("spender@1"), {inputs}')
    return text.replace("\n\ndef cheap", NARROW)


def answers(answer: Answer) -> list[Any]:
    """Return the answers that were printed, without their ids."""
    assert answer.code == 0, answer.err
    return [without_id(json.loads(line)) for line in answer.out.splitlines()]


def without_id(answer: Any) -> dict[str, Any]:
    return {key: value for key, value in dict(answer).items() if key != "id"}


def test_a_version_answers_as_it_did_whatever_becomes_of_the_code(published: Path, tmp_path: Path, ask: Ask) -> None:
    """Each has its own code; the project's is not even needed; and an unchanged graph is no new version."""
    folder = copied(published, tmp_path / "shop")
    first, second = (answers(ask("predict", f"spending@{n}", "rows.jsonl", cwd=folder)) for n in (1, 2))
    assert first != second
    assert answers(ask("predict", "spending", "rows.jsonl", cwd=folder)) == first
    (folder / "shopflows" / "rates.py").write_text(RATES.format("100.00  # as before"))
    assert "spending@3" in done("run", "spending", cwd=folder).out
    assert "spending@4" not in ask("versions", "spending", cwd=folder).out
    for file in (folder / "shopflows").glob("*.py"):
        file.unlink()
    assert answers(done("predict", "spending@1", "rows.jsonl", cwd=folder)) == first
    assert answers(done("predict", "spending@2", "rows.jsonl", cwd=folder)) == second


def test_a_promoted_version_is_taken_over_and_rolled_back(published: Path, tmp_path: Path, ask: Ask) -> None:
    """In one process both versions of the function answer, each for its own."""
    folder = copied(published, tmp_path / "shop")
    first, second = (answers(ask("predict", f"spending@{n}", "rows.jsonl", cwd=folder)) for n in (1, 2))
    with started("serve", "spending", "--port", "0", cwd=folder) as process:
        head = said_first(process)
        assert head[0].startswith("serving spending@1 at ")
        assert head[1:4] == ["  follows   spending@champion", "  asks      spender@1", "  asks      spender@2"]
        client = ServiceClient(head[0].rsplit(" at ", 1)[1])

        def served() -> list[Any]:
            return [without_id(answer) for answer in client.predict(ROWS, model="spending")]

        assert served() == first
        assert ask("promote", "spending@2", cwd=folder).code == 0
        until(served, second.__eq__)
        assert "spending@champion is version 1" in ask("rollback", "spending", cwd=folder).out
        until(served, first.__eq__)
        process.send_signal(signal.SIGTERM)
        process.communicate()


def test_models_that_a_service_asks_are_kept(published: Path, tmp_path: Path, ask: Ask) -> None:
    """A model version goes after the last version of a service that asks it; clean-up leaves both whole."""
    folder = copied(published, tmp_path / "shop")
    before = answers(ask("predict", "spending@1", "rows.jsonl", cwd=folder))
    ask("gc", "--drop", "spender@1", cwd=folder).said(2, "cannot be dropped: spending@3 asks it")
    assert ask("gc", "--keep-days", "0", "--keep-runs", "0", "--grace-hours", "2", cwd=folder).code == 0
    assert answers(ask("predict", "spending@1", "rows.jsonl", cwd=folder)) == before


def test_the_gate_keeps_what_callers_count_on(published: Path, tmp_path: Path, ask: Ask) -> None:
    """A version that takes less than the one before is neither promoted nor deployed, and the message says what."""
    folder = copied(published, tmp_path / "shop")
    ask("promote", "spending@3", cwd=folder).said(3, "price")
    ask("deploy", "spending@3", cwd=folder).said(3, "price")
    assert (
        "deployment 1: spending@2 to spending@champion, now spending@1" in ask("deploy", "spending@2", cwd=folder).out
    )


def test_people_see_what_a_version_is_made_of(published: Path, tmp_path: Path, ask: Ask) -> None:
    """The card draws the graph down to the data; versions are listed and compared by node, model and code."""
    assert ask("card", "spending@1", "--html", str(tmp_path / "card.html"), cwd=published).code == 0
    page = (tmp_path / "card.html").read_text()
    assert page.count("<svg") == 1
    assert all(name in page for name in ("request", "cheap", "spender@1", "ensemble", "route", "answer"))
    text = ask("card", "spending@1", cwd=published).out
    assert "- route: by pieces > 50" in text
    assert "  - orders@1, " in text
    assert "cheap, spender@1, spender@2" in ask("versions", "spending", cwd=published).out
    found = ask("compare", "spending@1", "spending@2", "--json", cwd=published).data
    before, after = found["code of functions"]["shopflows.serving:cheap"]
    assert before != after
    assert found["models"]["spender@1"] == ["spender@1", "spender@1"]
    assert "cheap" in ask("compare", "spending@1", "spending@2", cwd=published).out
    assert "spender@1" in ask("show", "spending@2", cwd=published).out


def test_what_cannot_be_published_is_told(published: Path, tmp_path: Path) -> None:
    """A nameless function, a name that is taken."""
    folder = copied(published, tmp_path / "shop")
    code = folder / "shopflows" / "serving.py"
    plain = code.read_text()
    code.write_text(plain.replace("graphs.before(cheap,", "graphs.before(lambda rows: rows,"))
    filiera("run", "spending", cwd=folder).said(4, "Define it with def")
    code.write_text(plain.replace('"spending"', '"spender"'))
    filiera("run", "spender", cwd=folder).said(2, "There is a model called 'spender' already")


def bits(outputs: Any) -> list[Any]:
    """Return answers as they lie in memory; texts as texts."""
    return [values.tolist() if values.dtype == object else (values.dtype, values.tobytes()) for values in outputs]


def test_any_node_has_its_own_process_by_configuration(published: Path, tmp_path: Path, ask: Ask) -> None:
    """A function, a router, an ensemble, a model, one inside another: the answers are the same, to the last bit."""
    folder = copied(published, tmp_path / "shop")
    settings = folder / "filiera.toml"
    plain = settings.read_text()
    project = Project.open(folder)
    service = project.versions.get("service", ProductRef("spending", "1"))
    here, signature = predictor_of(project, *graph_of(project, service))
    rows = RowDecoder(signature).decode(request_body(ROWS))
    wanted = bits(here.predict(rows))
    for nodes in (["cheap"], ["route", "ensemble"], ["ensemble"], ["spender@2", "cheap"]):
        settings.write_text(plain + "\n[graph.spending]\n" + "".join(f'"{node}" = "process"\n' for node in nodes))
        opened = Project.open(folder)
        placed = placed_service(opened, service)
        assert f"{nodes[0]}, in a process of its own" in shown(opened, placed)
        predictor, promised = served_elsewhere(opened, placed)
        try:
            assert promised == signature
            assert bits(predictor.predict(rows)) == wanted
        finally:
            predictor.stop()
    settings.write_text(plain + '\n[graph.spending]\nchaep = "process"\n')
    ask("serve", "spending", "--port", "0", cwd=folder).said(4, "Did you mean 'cheap'?")
    settings.write_text(plain + '\n[graph.spending]\ncheap = "http://127.0.0.1:1"\n')
    ask("serve", "spending", "--port", "0", cwd=folder).said(4, 'Write cheap = "process"')


def test_a_graph_in_code_follows_the_aliases_of_its_models(published: Path, tmp_path: Path, ask: Ask) -> None:
    """A moved alias is a new edition, whole; one that would break callers is refused, told, and not switched to."""
    folder = copied(published, tmp_path / "shop")
    project = Project.open(folder)
    graph = graphs.graph("mine", graphs.ensemble(Model("spender"), Model("spender@2"), how="vote"))
    placed = Placed(graph=graph, versions=versions_of(project, graph), address="shopflows.mine:mine")
    log, told = NodeLogs(project.store, "mine"), list[str]()
    desk = GraphDesk(project, placed, log=log)
    endpoint = Endpoint(desk.load(1))
    follower = Follower(endpoint, desk, tell=told.append)
    follower.look()
    assert (endpoint.stable.edition, told) == (1, [])
    assert ask("promote", "spender@2", cwd=folder).code == 0
    follower.look()
    assert endpoint.stable.edition == 2
    assert told == ["now serving mine with spender@2, spender@2, no longer mine with spender@1, spender@2"]
    endpoint.stable.answer(request_body(ROWS))
    log.flush()
    assert [record["version"] for record in plugins.prediction_log(folder / ".filiera", "spender").read()] == [2] * 18
    first = desk.signature
    assert first is not None
    desk.signature = replace(first, inputs=(replace(first.inputs[0], nullable=True), *first.inputs[1:]))
    assert ask("promote", "spender@1", cwd=folder).code == 0
    follower.look()
    assert endpoint.stable.edition == 2
    assert "Callers of mine would break" in told[-1]
    assert "Still serving mine with spender@2, spender@2" in told[-1]
    log.close()
