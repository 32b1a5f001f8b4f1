"""``filiera data export`` writes what the ending says, from anything that names a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Ask
from tests.postgres import PostgresServer
from tests.projects import SmallProject

pl = pytest.importorskip("polars")

FLOWS = """
    import polars as pl

    from filiera import Dataset, pipeline, step


    @step
    def rows(n: int) -> pl.DataFrame:
        return pl.DataFrame({"id": range(n)})


    @step
    def text() -> str:
        return "no table"


    @pipeline(kind="data", publishes=Dataset("orders"))
    def orders(n: int = 3):
        text()
        return rows(n)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a project with orders@1."""
    project = SmallProject(tmp_path_factory.mktemp("orders"), {"flows.py": FLOWS})
    project.run("orders").require_success()
    return project.root


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.jsonl", "out.arrow", "out/"])
def test_the_ending_says_what_is_written(root: Path, ask: Ask, tmp_path: Path, name: str) -> None:
    """Every kind is written, and said with its size."""
    answer = ask("data", "export", "orders", "--to", f"{tmp_path}/{name}", cwd=root)
    assert (answer.code, answer.out.startswith(f"wrote orders@1 to {tmp_path}/{name}")) == (0, True), answer
    found = tmp_path / "out" / "00000000.parquet" if name == "out/" else tmp_path / name
    assert found.stat().st_size


def test_the_output_of_a_step_is_written(root: Path, ask: Ask, tmp_path: Path) -> None:
    """What a step returned is a table too, unless it is not."""
    assert ask("data", "export", "orders/rows", "--to", f"{tmp_path}/a.parquet", cwd=root).code == 0
    assert pl.read_parquet(tmp_path / "a.parquet")["id"].to_list() == [0, 1, 2]
    ask("data", "export", "orders/text", "--to", f"{tmp_path}/b.csv", cwd=root).said(1, "orders-1/text is no table")


def test_a_file_is_replaced_when_that_is_asked_for(root: Path, ask: Ask, tmp_path: Path) -> None:
    """Without it the file stays; a folder always does."""
    words = ("data", "export", "orders", "--to", f"{tmp_path}/out.csv")
    (tmp_path / "out.csv").write_text("old")
    ask(*words, cwd=root).said(2, "is there already", "say --replace")
    assert (tmp_path / "out.csv").read_text() == "old"
    assert ask(*words, "--replace", cwd=root).code == 0
    assert (tmp_path / "out.csv").read_text() == "id\n0\n1\n2\n"
    (tmp_path / "out").mkdir()
    ask("data", "export", "orders", "--to", f"{tmp_path}/out/", "--replace", cwd=root).said(2, "A folder or a link")


def test_a_version_goes_into_a_table_of_a_database(
    ask: Ask, tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address is an entry of the catalog, whose password is shown nowhere."""
    server = postgres.new_database()
    postgres.sql("GRANT ALL ON SCHEMA public TO app; CREATE TABLE taken (a int)", server)
    uri = postgres.uri(server, "app:${SHOP_PASSWORD}")
    catalog = "\n".join(
        f'[catalog.{name}]\ntype = "sql"\nuri = "{uri}"\ntable = "{name}"\n' for name in ("shop", "taken")
    )
    project = SmallProject(tmp_path, {"flows.py": FLOWS, "filiera.toml": f'[project]\nname = "small"\n{catalog}'})
    project.run("orders").require_success()
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret/@:word")
    answer = ask("data", "export", "orders@1", "--to", "shop", cwd=tmp_path)
    assert (answer.code, answer.out) == (0, "wrote orders@1 to shop  3 rows\n"), answer
    assert postgres.sql("SELECT id FROM shop ORDER BY id", server).split() == ["0", "1", "2"]
    answer = ask("data", "export", "orders@1", "--to", "shop", cwd=tmp_path)
    answer.said(6, "already exists", "--replace")
    assert "s3cret" not in answer.err
    # A table of somebody else may not be replaced, and stays.
    ask("data", "export", "orders@1", "--to", "taken", "--replace", cwd=tmp_path).said(6, "must be owner")
    assert postgres.sql("SELECT count(*) FROM taken", server) == "0"
    monkeypatch.delenv("SHOP_PASSWORD")
    ask("data", "export", "orders@1", "--to", "shop", cwd=tmp_path).said(4, "SHOP_PASSWORD is not set")


@pytest.mark.parametrize(
    ("name", "said"), [("out.xlsx", "no ending"), ("no/out.csv", "no folder"), ("flows.py/out.csv", "no folder")]
)
def test_a_place_that_cannot_be_written_is_refused(root: Path, ask: Ask, name: str, said: str) -> None:
    """With the reason, and nothing is left."""
    ask("data", "export", "orders", "--to", name, cwd=root).said(2, said)
