from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.cli.between import Answer, between
from tests.cli.command import read_until, started
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
        ("{nonsense\n", 6, ["Line 1 of standard input is not JSON"]),
        ("nonsense\nmore\n", 2, ["no column that the model takes", "It has: nonsense"]),
        ("pieces,price\n1\n", 6, ["line 2"]),
        (b"\xff\xff\xff\xff, as a stream of Arrow begins", 6, ["standard input is no sound Arrow stream"]),
        ("[1]\n", 6, ["Line 1 of standard input is no JSON object"]),
        ('{"pieces": 1}\n', 2, ["instances[0].price is missing"]),
        ('{"pieces": "x", "price": 1.0}\n', 2, ["instances[0].pieces"]),
        ('{"pieces": 0, "price": 1.0}\n', 2, ["instances[0].pieces"]),
        ('{"pieces": 1, "price": NaN}\n', 2, ["instances[0].price"]),
    ],
)
def test_wrong_rows_are_refused_by_place(rows: str | bytes, code: int, said: list[str], shop: Path, ask: Ask) -> None:
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


def test_a_stream_that_breaks_off_leaves_nothing(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """It is told as what cannot be read, whatever of it was predicted already."""
    out = tmp_path / "out.csv"
    whole = FORMS["arrow"](pl.read_csv(shop / "orders.csv"))
    ask("predict", "spender", "-", "--to", str(out), cwd=shop, stdin=whole[:-2000]).said(6, "standard input")
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["orders.csv", "--to", "out.xlsx"], 2, ["no ending that can be written", ".parquet, .csv, .jsonl"]),
        (["orders.csv", "--to", "nowhere/out.csv"], 1, ["There is no folder nowhere"]),
        (["orders.csv", "--to", "out.csv", "--url", "http://127.0.0.1:9"], 1, ["No answer from"]),
        (["-", "--format", "xml"], 2, ["--format", "'jsonl', 'parquet', 'arrow'"]),
    ],
)
def test_what_cannot_be_written(words: list[str], code: int, said: list[str], shop: Path, ask: Ask) -> None:
    """Is told before anything is predicted."""
    ask("predict", "spender", *words, cwd=shop).said(code, *said)


ROWS = '{"pieces": 9, "price": 40.0}\n'
FORMS: dict[str, Callable[[pl.DataFrame], bytes]] = {
    "csv": lambda rows: rows.write_csv().encode(),
    "jsonl": lambda rows: rows.write_ndjson().encode(),
    "parquet": lambda rows: written(rows.write_parquet),
    "arrow": lambda rows: written(rows.write_ipc_stream),
}


def written(write: Callable[[io.BytesIO], Any]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def service(shop: Path) -> Iterator[str]:
    """Give the address of a service."""
    with started("serve", "spender", "--port", "0", cwd=shop) as process:
        yield read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()
        process.terminate()
        process.communicate()


def no_arrow(request: BaseHTTPRequestHandler) -> Answer:
    """Refuse Arrow, as a service without pyarrow does."""
    is_arrow = "arrow" in request.headers.get("content-type", "")
    return (415, {"Content-Type": "application/problem+json"}, b'{"title": "no Arrow here"}') if is_arrow else None


def without_ids(file: Path) -> pl.DataFrame:
    return pl.read_parquet(file).drop("id")


def test_every_way_of_asking_has_the_same_answers(shop: Path, service: str, tmp_path: Path, ask: Ask) -> None:
    """A file or standard input in any form, said or found; here, or by a service, as Arrow or as JSON."""
    rows = pl.read_csv(shop / "orders.csv")
    out, given = tmp_path / "out.parquet", tmp_path / "rows.dat"
    assert ask("predict", "spender", "orders.csv", "--to", str(out), cwd=shop).code == 0
    expected = without_ids(out)
    assert expected.height == 300
    with between(service, no_arrow) as json_only:
        for url, forms in (("", FORMS), (service, ("jsonl", "arrow")), (json_only, ("arrow",))):
            for form in forms:
                out.unlink()
                words = ["--url", url] if url else []
                told = ask("predict", "spender", "-", "--to", str(out), *words, cwd=shop, stdin=FORMS[form](rows)).out
                place = f" at {url}" if url else ""
                assert told == f"predicted 300 rows with spender@1{place}, to {out}\n"
                assert_frame_equal(without_ids(out), expected, check_exact=True)
    for form in FORMS:
        given.write_bytes(FORMS[form](rows))
        printed = ask("predict", "spender", str(given), "--limit", "7", "--format", form, cwd=shop).out
        assert [json.loads(line)["label"] for line in printed.splitlines()] == expected["label"][:7].to_list()
    ask("predict", "spender", str(given), cwd=shop).said(2, "no ending that says what it is", "--format csv|jsonl")


def test_a_service_is_waited_for(shop: Path, service: str, tmp_path: Path, ask: Ask) -> None:
    """As it asks by Retry-After, and asked for fewer rows when all are too large; then all is there."""
    refusals: list[Any] = [(503, {"Retry-After": "0"}, b"{}"), (413, {}, b"{}"), (503, {"Retry-After": "0"}, b"{}")]
    out, other = tmp_path / "out.csv", tmp_path / "other.csv"

    def at_first(request: BaseHTTPRequestHandler) -> Answer:
        return refusals.pop() if refusals and request.command == "POST" else None

    with between(service, at_first) as busy:
        words = ["predict", "spender", "orders.csv", "--limit", "9"]
        assert ask(*words, "--to", str(other), cwd=shop).code == 0
        assert ask(*words, "--to", str(out), "--url", busy, cwd=shop).code == 0
        assert refusals == []
        assert pl.read_csv(out).drop("id").equals(pl.read_csv(other).drop("id"))
        other.unlink()
        refusals += [(503, {}, b'{"title": "Too many wait"}')]
        words = ["predict", "spender", "-", "--to", str(other)]
        ask(*words, "--url", busy, cwd=shop, stdin=ROWS).said(1, "Too many wait (status 503)", "is not written")
        rows = pl.read_csv(shop / "orders.csv").sample(1500, with_replacement=True, seed=1)
        rows[1200, "pieces"] = -1
        answer = ask(*words, "--url", service, cwd=shop, stdin=FORMS["arrow"](rows))
        answer.said(2, "instances[200].pieces", "instances[0] is row 1,001 of standard input", "is not written")
        assert not other.exists()


def test_all_rows_are_answered_by_one_version(shop: Path, service: str, tmp_path: Path, ask: Ask) -> None:
    """A table of two versions' answers would say of none what it does: where the alias moves, there is no file."""
    out = tmp_path / "out.csv"
    asked = []

    def moving(request: BaseHTTPRequestHandler) -> Answer:
        asked.extend([request.headers["filiera-key"]] * (request.command == "POST"))
        if len(asked) < 2:
            return None
        answer = {"id": "x", "label": "no", "probabilities": {"no": 1.0, "yes": 0.0}}
        return 200, {}, json.dumps({"model": "spender", "version": 2, "predictions": [answer]}).encode()

    with between(service, moving) as moved:
        (tmp_path / "rows.jsonl").write_text(ROWS * 1001)
        words = ["predict", "spender", str(tmp_path / "rows.jsonl"), "--to", str(out), "--url", moved]
        ask(*words, cwd=shop).said(1, "answered by spender@2, not spender@1", "alias was moved", "is not written")
    assert not out.exists()
    assert asked[0] and asked[0] == asked[1]  # so that a version that is being tried answers all of them, or none
