"""``filiera data profile`` shows any table; of a published version what was kept with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Ask

pl = pytest.importorskip("polars")


def test_version_shows_the_profile_kept_with_it(shop: Path, ask: Ask) -> None:
    """A line per column, under how many rows and columns there are."""
    answer = ask("data", "profile", "orders@1", cwd=shop)
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0].startswith("orders@1: 300 rows × ")
    assert lines[2].split()[:4] == ["COLUMN", "TYPE", "DISTINCT", "LEAST"]
    assert [line.split()[0] for line in lines[3:7]] == ["pieces", "price", "country", "big"]
    assert "▕" in lines[4]


def test_target_and_pairs_are_looked_at_when_asked_for(shop: Path, ask: Ask) -> None:
    """What goes with the target is a column more, and pairs are a table of their own."""
    out = ask("data", "profile", "orders", "--target", "big", "--associate", "all", cwd=shop).out
    assert "WITH BIG" in out
    assert "GOES WITH" in out
    assert "correlation ratio" in out


def test_profile_is_data(shop: Path, ask: Ask) -> None:
    """JSON has the fields of the profile, the format, and nothing that JSON does not know."""
    answer = ask("data", "profile", "orders@1", "--associate", "pieces,price", "--json", cwd=shop)
    found = json.loads(answer.out)
    assert (found["format"], found["rows"], found["sample_rows"]) == ("filiera-profile/1", 300, None)
    assert [column["name"] for column in found["columns"]] == ["pieces", "price", "country", "big"]
    assert {one["measure"] for one in found["associations"]} == {"pearson", "spearman"}


def test_file_is_profiled_and_drawn(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """Any table that can be named has a profile, and the page holds all of it."""
    pl.DataFrame({"a": [1, 2], "b": [None, "x"]}).write_parquet(tmp_path / "t.parquet")
    answer = ask("data", "profile", str(tmp_path / "t.parquet"), "--html", str(tmp_path / "t.html"), cwd=shop)
    assert "2 rows × 2 columns, 1 missing cells" in answer.out
    assert (tmp_path / "t.html").read_text(encoding="utf-8").endswith("</html>\n")


def test_what_is_wrong_is_told(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """A column that is not there, a version that is not there, a folder that is not there."""
    for words, told in (
        (("orders", "--target", "bigg"), "There is no column 'bigg' to compare with."),
        (("orders", "--associate", "price,pises"), "Did you mean 'pieces'?"),
        (("orders@9",), "There is no dataset orders@9."),
        (("orders", "--html", str(tmp_path / "no" / "x.html")), "cannot be written"),
    ):
        answer = ask("data", "profile", *words, cwd=shop)
        assert answer.code == 2
        assert told in answer.err
        assert "Traceback" not in answer.err
