"""``filiera serve`` with graphs of models, in one process and in several."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from filiera.serving.client import ServiceClient
from tests.cli.command import copied, done, filiera, started
from tests.cli.test_serve_functions import said_first

GRAPH = """
import polars as pl

from filiera import Model, graphs


def cheap(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(price=pl.col("price") * 0.5)


spending = graphs.graph(
    "spending",
    graphs.route(
        (graphs.where("pieces", ">", 50), graphs.before(cheap, Model("spender@1"))),
        otherwise=graphs.ensemble(Model("spender@1"), Model("spender@2"), how="mean"),
    ),
)
"""
ROWS: list[dict[str, Any]] = [
    {"pieces": pieces, "price": price} for pieces in (1, 9, 60) for price in (2.0, 40.0, 90.0)
]


@pytest.fixture
def folder(twice: Path, tmp_path: Path) -> Path:
    """Return a project of its own with two versions of a model and a graph over them."""
    folder = copied(twice, tmp_path / "shop")
    (folder / "shopflows" / "serving.py").write_text(GRAPH)
    return folder


def answers(url: str, model: str) -> list[dict[str, Any]]:
    """Return the answers of a service, without their ids."""
    found = [dict(answer) for answer in ServiceClient(url).predict(ROWS, model=model)]
    return [{key: value for key, value in answer.items() if key != "id"} for answer in found]


def test_a_model_moves_to_its_own_process_by_configuration_only(folder: Path) -> None:
    """The same rows get the same answers, whether models are in the graph's process or behind an address."""
    with started("serve", "spending", "--port", "0", cwd=folder) as process:
        head = said_first(process)
        assert head[0].startswith("serving spending, which is not published at ")
        assert head[1:3] == ["  asks      spender@1", "  asks      spender@2"]
        here = answers(head[0].rsplit(" at ", 1)[1], "spending")
        process.send_signal(signal.SIGTERM)
        process.communicate()
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    printed = [json.loads(line) for line in done("predict", "spending", "rows.jsonl", cwd=folder).out.splitlines()]
    assert [{key: value for key, value in answer.items() if key != "id"} for answer in printed] == here
    with started("serve", "spender@2", "--port", "0", cwd=folder) as other:
        there = said_first(other)[0].rsplit(" at ", 1)[1]
        with (folder / "filiera.toml").open("a") as settings:
            settings.write(f'\n[graph.spending]\n"spender@2" = "{there}"\n')
        with started("serve", "shopflows.serving:spending", "--port", "0", cwd=folder) as process:
            head = said_first(process)
            assert head[2] == f"  asks      spender@2, at {there}"
            assert answers(head[0].rsplit(" at ", 1)[1], "spending") == here
    gone = filiera("serve", "spending", "--port", "0", cwd=folder)
    assert gone.code == 4
    assert f"{there} does not answer for spender@2" in gone.err
    assert "Do:  filiera serve spender@2" in gone.err


def test_what_is_wrong_with_a_graph_is_told(folder: Path) -> None:
    """Names that the configuration has wrong, versions that are not there, services that have another version."""
    settings = folder / "filiera.toml"
    plain = settings.read_text()
    settings.write_text(f'{plain}\n[graph.spending]\nspendr = "http://127.0.0.1:1"\n')
    wrong = filiera("serve", "spending", cwd=folder)
    assert (wrong.code, "Did you mean 'spender@2'?" in wrong.err) == (4, True), wrong.err
    settings.write_text(f"{plain}\n[graph.spending]\nspender = 8000\n")
    assert "must say where each node runs" in filiera("serve", "spending", cwd=folder).err
    with started("serve", "spender@1", "--port", "0", cwd=folder) as other:
        url = said_first(other)[0].rsplit(" at ", 1)[1]
        settings.write_text(f'{plain}\n[graph.spending]\n"spender@2" = "{url}"\n')
        wrong = filiera("serve", "spending", "--port", "0", cwd=folder)
        assert (wrong.code, "It has version 1." in wrong.err) == (4, True), wrong.err
    settings.write_text(plain)
    code = (folder / "shopflows" / "serving.py").read_text()
    (folder / "shopflows" / "serving.py").write_text(code.replace("spender@2", "spender@7"))
    wrong = filiera("serve", "spending", "--port", "0", cwd=folder)
    assert (wrong.code, "no model spender@7" in wrong.err) == (2, True), wrong.err
