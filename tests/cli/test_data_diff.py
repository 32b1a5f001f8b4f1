"""``filiera data diff`` compares versions, outputs of steps and files by the keys of the dataset, or without keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Answer
from tests.cli.conftest import Ask
from tests.projects import SmallProject

pytest.importorskip("polars")

FLOWS = """
    import polars as pl

    from filiera import Dataset, pipeline, step


    @step
    def rows(n: int, price: float) -> pl.DataFrame:
        return pl.DataFrame({"id": range(n), "price": [price if i == 1 else 1.0 for i in range(n)]})


    @pipeline(kind="data", publishes=Dataset("orders", keys=["id"]))
    def orders(n: int = 3, price: float = 1.0):
        return rows(n, price)
"""


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Return a project with orders@1, and orders@2 that has one more row and another price."""
    project = SmallProject(tmp_path_factory.mktemp("orders"), {"flows.py": FLOWS})
    project.run("orders").require_success()
    project.run("orders", n=4, price=2.5).require_success()
    (project.root / "rows.csv").write_text("id,price\n0,1.0\n1,2.5\n2,1.0\n3,1.0\n")
    return project


def test_versions_are_compared_by_their_keys(orders: SmallProject, ask: Ask) -> None:
    """Rows added and cells changed are counted, with examples."""
    answer: Answer = ask("data", "diff", "orders@1", "orders", cwd=orders.root)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[:6] == [
        "orders@1 → orders@2: different",
        "rows     3 → 4: 1 added, 1 changed, by id",
        "columns  the same",
        "",
        "COLUMN  CHANGED  FOR EXAMPLE",
        "price         1  id = 1: 1.0 → 2.5",
    ]
    assert "+ id = 3, price = 1.0" in answer.out


def test_scripts_get_json(orders: SmallProject, ask: Ask) -> None:
    """What people read is data too; the output of a step and a file are tables as versions are."""
    found = ask("data", "diff", "orders-2/rows", "rows.csv", "--key", "id", "--json", cwd=orders.root).data
    assert (found["is_equal"], found["rows"]["keys"], found["before"]) == (True, ["id"], "orders-2/rows")
    found = ask("data", "diff", "orders@1", "orders@2", "--key", "", "--json", cwd=orders.root).data
    assert (found["rows"]["added"], found["rows"]["removed"], found["rows"]["changed"]) == (2, 1, 0)


def test_a_page_is_written(orders: SmallProject, ask: Ask, tmp_path: Path) -> None:
    """The report is a file that opens without a network."""
    file = tmp_path / "diff.html"
    assert ask("data", "diff", "orders@1", "orders@2", "--html", str(file), cwd=orders.root).code == 0
    page = file.read_text(encoding="utf-8")
    assert "orders@1 → orders@2" in page
    assert "http" not in page.replace("http-equiv", "")
    ask("data", "diff", "orders@1", "orders@2", "--html", str(tmp_path), cwd=orders.root).said(2, "cannot be written")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("orders@1", "missing.csv"), 6, "There is no file missing.csv"),
        (("orders@1", "orders@9"), 2, "There is no dataset orders@9"),
        (("orders@1", "odd"), 2, "There is no dataset odd"),
        (("orders@1", "orders/odd"), 2, "no output"),
        (("orders@1", "orders@2", "--key", "price"), 2, "does not name one row"),
        (("orders@1", "orders@2", "--key", "odd"), 2, "no column 'odd'"),
    ],
)
def test_what_is_no_table_is_refused(
    orders: SmallProject, ask: Ask, words: tuple[str, ...], code: int, said: str
) -> None:
    """A name that leads nowhere, or keys that tell no rows apart: one message."""
    ask("data", "diff", *words, cwd=orders.root).said(code, said)


def test_keys_are_checked_before_a_version_is_published(tmp_path: Path) -> None:
    """A dataset whose keys name two rows, or none, is not published."""
    code = FLOWS.replace('"id": range(n)', '"id": [0] * n')
    run = SmallProject(tmp_path, {"flows.py": code}).run("orders")
    assert (run.status, run.version) == ("rejected", None)


def test_without_a_verb_the_verbs_are_listed(orders: SmallProject, ask: Ask) -> None:
    """``filiera data`` says what it can."""
    assert "diff" in ask("data", cwd=orders.root).out
