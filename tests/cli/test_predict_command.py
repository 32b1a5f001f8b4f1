from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest

from tests.cli.conftest import Ask


def test_each_row_is_answered_in_order(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """One JSON object per row, whatever kind of file the rows come from."""
    rows = pl.read_csv(shop / "orders.csv").head(5)
    rows.write_parquet(tmp_path / "rows.parquet")
    rows.write_ndjson(tmp_path / "rows.jsonl")
    answers = []
    for file in (shop / "orders.csv", tmp_path / "rows.parquet", tmp_path / "rows.jsonl"):
        out = ask("predict", "spender", str(file), "--limit", "5", cwd=shop).out
        answers.append([json.loads(line) for line in out.splitlines()])
    labels = [[answer["label"] for answer in each] for each in answers]
    assert labels == [rows["big"].to_list()] * 3
    assert set(answers[0][0]) == {"id", "label", "probabilities"}


def test_rows_come_from_standard_input(shop: Path, ask: Ask) -> None:
    """JSON lines; empty lines and columns that are no inputs are passed over."""
    rows = '{"pieces": 9, "price": 40.0, "note": "x"}\n\n{"pieces": 1, "price": 1.5}\n'
    out = ask("predict", "spender@1", "-", cwd=shop, stdin=rows).out
    assert [json.loads(line)["label"] for line in out.splitlines()] == ["yes", "no"]


@pytest.mark.parametrize(
    ("rows", "code", "said"),
    [
        ("nonsense\n", 6, ["Line 1 of standard input is not JSON"]),
        ("[1]\n", 6, ["Line 1 of standard input is no JSON object"]),
        ('{"pieces": 1}\n', 2, ["instances[0].price is missing"]),
        ('{"pieces": "x", "price": 1.0}\n', 2, ["instances[0].pieces"]),
        ('{"pieces": 0, "price": 1.0}\n', 2, ["instances[0].pieces"]),
        ('{"pieces": 1, "price": NaN}\n', 2, ["instances[0].price"]),
    ],
)
def test_wrong_rows_are_refused_by_place(rows: str, code: int, said: list[str], shop: Path, ask: Ask) -> None:
    """The row and the field are named, and the rule; so says the service too."""
    ask("predict", "spender", "-", cwd=shop, stdin=rows).said(code, *said)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["spendr", "orders.csv"], 2, ["no model spendr@champion"]),
        (["orders", "orders.csv"], 2, ["no model orders@champion"]),
        (["spender", "nowhere.csv"], 6, ["There is no file nowhere.csv"]),
        (["spender", "filiera.toml"], 2, ["no ending", ".parquet"]),
        (["spender", "orders.csv", "--limit", "0"], 2, ["--limit takes 1 or more"]),
        (["spender", "orders.csv", "--url", "nonsense"], 2, ["not the address of a service"]),
        (["spender", "orders.csv", "--url", "http://127.0.0.1:9"], 1, ["No answer from http://127.0.0.1:9"]),
    ],
)
def test_what_cannot_be_predicted(words: list[str], code: int, said: list[str], shop: Path, ask: Ask) -> None:
    """A model, file or service that is not there is told in one message."""
    ask("predict", *words, cwd=shop).said(code, *said)


def test_a_wrong_row_far_down_is_found(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """Rows go in portions; the message says where in the file the refused one begins."""
    rows = pl.read_csv(shop / "orders.csv").sample(1500, with_replacement=True, seed=1)
    rows[1200, "pieces"] = -1
    rows.write_csv(tmp_path / "rows.csv")
    answer = ask("predict", "spender", str(tmp_path / "rows.csv"), cwd=shop)
    answer.said(2, "instances[200].pieces", "instances[0] is row 1,001 of")
    assert len(answer.out.splitlines()) == 1000


def test_a_file_that_is_cut_off(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """A broken Parquet file is a source that cannot be read."""
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + os.urandom(8))
    ask("predict", "spender", str(tmp_path / "cut.parquet"), cwd=shop).said(6, "cut.parquet")


def test_predictions_are_written_to_a_file(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """The same as are printed, whole or not at all."""
    file = tmp_path / "out.parquet"
    told = ask("predict", "spender", "orders.csv", "--to", str(file), cwd=shop).out
    assert told == f"predicted 300 rows with spender@1, to {file}\n"
    printed = [json.loads(line) for line in ask("predict", "spender", "orders.csv", cwd=shop).out.splitlines()]
    assert pl.read_parquet(file).drop("id").to_dicts() == [
        {key: value for key, value in each.items() if key != "id"} for each in printed
    ]
    rows = pl.read_csv(shop / "orders.csv").sample(1500, with_replacement=True, seed=1)
    rows[1200, "pieces"] = -1
    rows.write_csv(tmp_path / "rows.csv")
    other = tmp_path / "other.csv"
    answer = ask("predict", "spender", str(tmp_path / "rows.csv"), "--to", str(other), cwd=shop)
    answer.said(2, "instances[200].pieces", "instances[0] is row 1,001 of", "is not written")
    assert not other.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["orders.csv", "--to", "out.xlsx"], ["no ending that can be written", ".parquet, .csv, .jsonl"]),
        (["-", "--to", "out.csv"], ["--to is for rows of a file"]),
        (["orders.csv", "--to", "out.csv", "--url", "http://127.0.0.1:9"], ["--to is for rows of a file"]),
    ],
)
def test_what_cannot_be_written(words: list[str], said: list[str], shop: Path, ask: Ask) -> None:
    """Is told before anything is predicted."""
    ask("predict", "spender", *words, cwd=shop).said(2, *said)
