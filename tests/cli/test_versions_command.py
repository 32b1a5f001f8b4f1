from __future__ import annotations

import os
import pty
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.core.products import ProductRef
from filiera.engine.rows import to_json, write_refs
from filiera.project.project import Project
from tests.cli.command import COMMAND, copied, environment
from tests.cli.conftest import Ask


def test_versions_are_listed(shop: Path, ask: Ask) -> None:
    """What each is, where it points, and which run published it."""
    out = ask("versions", cwd=shop).out
    assert "spender@1  model    champion" in out and "300 rows × 4 columns" in out
    assert [v["name"] for v in ask("versions", "--json", cwd=shop).data] == ["spender", "orders"]


def test_json_has_the_documented_fields(shop: Path, ask: Ask) -> None:
    """A version is named by its content."""
    (version,) = ask("versions", "spender", "--json", cwd=shop).data
    assert set(version) == {
        "kind", "name", "version", "aliases", "digest", "codec", "size_bytes", "run", "created_at", "inputs",
        "description", "fit", "collected", "parameters",
    }  # fmt: skip
    assert (version["version"], version["inputs"]) == (1, {"rows": "orders@1"})
    assert "champion" in version["aliases"]
    assert len(version["digest"]) == 64
    assert version["description"]["task"] == "classification"
    assert version["parameters"] == {"fit.depth": 5}


def test_a_full_page_says_how_to_go_on(shop: Path, ask: Ask) -> None:
    """The next page begins before the last version of this one."""
    assert ask("versions", "--limit", "1", cwd=shop).out.splitlines()[-1] == (
        "older: filiera versions --limit 1 --before spender@1"
    )
    words = ["versions", "--limit", "1", "--before", "spender@1"]
    assert [version["name"] for version in ask(*words, "--json", cwd=shop).data] == ["orders"]
    assert ask("versions", "orders", "--before", "orders@1", cwd=shop).out == "There are no older versions.\n"
    ask("versions", "--limit", "0", cwd=shop).said(2, "--limit takes 1 to 10000, not 0")


def test_before_the_first_there_is_nothing(project: Path, ask: Ask) -> None:
    """An empty store is no error; a name it does not have is one."""
    assert ask("versions", cwd=project).out == "Nothing is published yet.\n"
    ask("versions", "orders", cwd=project).said(2, "no dataset, model or service 'orders'")


def test_a_mistyped_name_is_told(shop: Path, ask: Ask) -> None:
    """With the closest."""
    ask("versions", "spendr", cwd=shop).said(2, "Did you mean 'spender'?")


def test_show_a_version(shop: Path, ask: Ask, tmp_path: Path) -> None:
    """Its facts first, then tables; the content can be written to a file."""
    lines = ask("show", "orders@1", cwd=shop).out.splitlines()
    assert lines[0] == "dataset    orders@1"
    assert "checks     3 passed" in lines and "rows       300" in lines
    assert "pieces   Int64" in lines
    model = ask("show", "spender@champion", cwd=shop).out
    assert "task       classification" in model and "\naccuracy " in model
    assert ask("show", "spender", "--json", cwd=shop).code == 2
    assert ask("show", "spender@1", "--json", cwd=shop).data["name"] == "spender"
    assert ask("show", "orders@1", "--open", str(tmp_path / "o.parquet"), cwd=shop).code == 0
    assert (tmp_path / "o.parquet").read_bytes()[:4] == b"PAR1"


SCORES = {1: 0.5, 2: 0.9, 3: float("nan"), 4: 0.7}


@pytest.fixture(scope="module")
def scored(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a shop with versions of known scores: of f1, of an error that is 1 - f1, and the depth they had."""
    folder = copied(shop, tmp_path_factory.mktemp("scored") / "shop")
    project = Project.open(folder)
    first = project.versions.get("model", ProductRef("spender", "1"))
    attached = {name: write_refs([first.attachments[name]]) for name in ("signature", "evaluation", "gates")}
    for number, score in SCORES.items():
        metrics = {"f1": interval(score), "loss": {**interval(1 - score), "greater_is_better": False}}
        description = {
            **first.description,
            "metrics": metrics,
            "gates": "1 of 2 gates passed (known: f1 to 0.1); waived",
            "gated": ["loss", "model_mb"],
        }
        body = {"description": description, "inputs": {"rows": f"orders@{number}"}, "attachments": attached}
        run_id = f"train-{number + 1}"
        artifact = f"{first.artifact.digest} {first.artifact.codec} {first.artifact.size_bytes}"
        row = {"kind": "model", "name": "scored", "artifact": artifact, "content": str(number), "run_id": run_id}
        step = {"run_id": run_id, "step": "fit", "position": 0, "arguments": to_json({"depth": 9 - number})}
        project.records.write(
            [("add_product_version", {**row, "created_at": number, "body": to_json(body)}), _step(step)]
        )
    project.records.close()
    return folder


def interval(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 10, "greater_is_better": True}


def _step(more: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    texts = ("stage", "key", "closure_digest", "outputs", "failure", "reason", "log", "metrics")
    row = {**dict.fromkeys(texts, ""), "state": "succeeded", "attempt": 1, "inputs": "{}"}
    return "put_step_run", {**row, "started_at": 0.0, "duration_s": 0.0, **more}


def order(out: str) -> list[int]:
    """Return the numbers of the versions that a table lists."""
    return [int(line.split("@")[1].split()[0]) for line in out.splitlines() if line.startswith("scored@")]


def test_versions_of_a_model_are_compared(scored: Path, ask: Ask) -> None:
    """Each with its metrics, those first that gates decide on, their intervals, how many gates it passed, its data."""
    header, first, *_ = ask("versions", "scored", cwd=scored).out.splitlines()
    assert header.split() == ["VERSION", "ALIASES", "LOSS", "F1", "GATES", "DATA", "RUN", "PUBLISHED"]
    assert "0.7000 (0.6500…0.7500)" in first and "1 of 2 (waived)" in first and "orders@4" in first


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("f1", [2, 4, 1, 3]), ("loss", [2, 4, 1, 3]), ("-f1", [1, 4, 2, 3]), ("-loss", [1, 4, 2, 3]),
        ("fit.depth", [4, 3, 2, 1]), ("-fit.depth", [1, 2, 3, 4]),
    ],
)  # fmt: skip
def test_all_versions_are_sorted(by: str, expected: list[int], scored: Path, ask: Ask) -> None:
    """Of metrics the best comes first, whether that is the greatest or the least; what is no number comes last."""
    out = ask("versions", "scored", f"--sort={by}", cwd=scored).out
    assert order(out) == expected
    assert out.split()[2] == by.strip("-").upper()
    limited = ask("versions", "scored", f"--sort={by}", "--limit", "2", cwd=scored).out
    assert order(limited) == expected[:2] and limited.splitlines()[-1] == "the first 2 of 4"
    data = ask("versions", "scored", f"--sort={by}", "--json", cwd=scored).data
    assert [version["version"] for version in data] == expected
    assert data[0]["parameters"] == {"fit.depth": 9 - expected[0]}


def test_columns_are_chosen(scored: Path, ask: Ask) -> None:
    """Metrics and parameters by name, or all; a name that none of them has is told, as is a missing product."""
    out = ask("versions", "scored", "--columns", "fit.depth,f1", "--limit", "1", cwd=scored).out
    assert out.split()[2:4] == ["FIT.DEPTH", "F1"] and order(out) == [4]
    assert out.splitlines()[-1] == "older: filiera versions scored --columns fit.depth,f1 --limit 1 --before scored@4"
    assert ask("versions", "scored", "--columns", "all", cwd=scored).out.split()[2:5] == ["F1", "LOSS", "FIT.DEPTH"]
    assert "CLEAN" not in ask("versions", "orders", cwd=scored).out
    assert "country" in ask("versions", "orders", "--columns", "known.column", cwd=scored).out
    ask("versions", "scored", "--sort", "los", cwd=scored).said(2, "Did you mean 'loss'?")
    ask("versions", "--sort", "f1", cwd=scored).said(2, "--sort needs the name of a dataset or model")


@pytest.mark.parametrize(("columns", "missing"), [(200, []), (80, ["run", "f1"]), (20, ["aliases"])])
def test_a_narrow_screen_shows_what_matters_most(columns: int, missing: list[str], scored: Path) -> None:
    """What there is no room for is named below; the first metric always stays."""
    lines = on_screen("versions", "scored", columns=columns, cwd=scored)
    assert "LOSS" in lines[0]
    told = lines[-1].removeprefix("The screen is too narrow for: ").rstrip(".").split(", ")
    assert [name for name in missing if name not in told] == []
    assert missing or order("\n".join(lines)) == [4, 3, 2, 1]
    if columns == 80:
        assert max(map(len, lines[1:5])) <= columns


def on_screen(*words: str, columns: int, cwd: Path) -> list[str]:
    """Return the lines of ``filiera`` on a terminal so wide."""
    main, screen = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *words], cwd=cwd, stdout=screen, env=environment({"COLUMNS": str(columns)})
    ) as told:
        os.close(screen)
        content = b""
        while True:
            try:
                content += os.read(main, 65_536)
            except OSError:  # it has ended
                break
    os.close(main)
    assert told.returncode == 0
    return content.decode().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()


@pytest.mark.parametrize(
    "words", [["scored"], ["scored", "--columns", "all"], ["scored", "--sort", "f1"], ["scored", "--json"]]
)
def test_more_versions_are_not_more_queries(
    words: list[str], scored: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand versions of a model are read with as many queries as one."""
    asked: list[Counter[str]] = []
    read = SqliteRecords.read

    def counted(self: SqliteRecords, query: str, parameters: Mapping[str, Any] | None = None) -> Any:
        asked[-1][query] += 1
        return read(self, query, parameters)

    monkeypatch.setattr(SqliteRecords, "read", counted)
    for limit in ("1", "4"):
        asked.append(Counter())
        assert ask("versions", *words, "--limit", limit, cwd=scored).code == 0
    assert asked[0] == asked[1]
