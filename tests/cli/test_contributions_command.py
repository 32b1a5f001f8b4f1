from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import copied
from tests.cli.conftest import Ask


@pytest.fixture
def own(two: Path, tmp_path: Path) -> Path:
    """Return a copy of the shop that a test may change."""
    return copied(two, tmp_path / "own")


def test_it_says_what_inputs_add(own: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once; asked again it is there, and it is in the card. Also of a version that kept no rows of its evaluation."""
    text = ask("contributions", "spender@1", cwd=own).out
    assert text.startswith("spender@1: What each input adds to the probability of yes, in the mean of 300 rows")
    assert {line.split()[0] for line in text.splitlines() if "raise it" in line} == {"pieces", "price"}
    assert "## What inputs add to the answers" in ask("card", "spender@1", cwd=own).out
    monkeypatch.setattr("filiera.model.contributions.tree_contributions", None)
    again = ask("contributions", "spender@1", "--json", cwd=own).data
    assert again["outputs"] == ["yes"] and again["unit"] == "probability" and len(again["inputs"]) == 2


def test_it_says_why_a_row_was_answered_so(two: Path, ask: Ask, tmp_path: Path) -> None:
    """The parts add up to the probability; it is a page, too."""
    row = '{"pieces": 9, "price": 45.5}'
    found = ask("contributions", "spender@3", "--row", row, "--json", cwd=two).data
    assert found["answer"] == "yes" and found["row"] == json.loads(row)
    [part] = found["outputs"]
    assert part["base"] + sum(part["added"].values()) == pytest.approx(1.0)
    text = ask("contributions", "spender@3", "--row", row, cwd=two).out
    assert text.startswith("spender@3 answers yes. The probability of yes is 1.0000:") and "45.5" in text
    file = tmp_path / "row.html"
    assert ask("contributions", "spender@3", "--row", row, "--html", str(file), cwd=two).code == 0
    assert "<svg" in file.read_text() and "It answers yes." in file.read_text()
    assert ask("contributions", "spender@3", "--html", str(file), cwd=two).code == 0
    assert "<svg" in file.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["spender@3", "--row", "{"], "The row is not JSON"),
        (["spender@3", "--row", "[]"], "The row is no JSON object"),
        (["spender@3", "--row", '{"colour": 1}'], "There is no column 'colour'"),
        (["spender@3", "--row", '{"country": "it"}'], "one is asked about"),
        (["spender@3", "--row", '{"pieces": -1}'], "0 of the 300 rows"),
        (["orders@1"], "There is no model orders@1"),
    ],
)
def test_what_cannot_be_asked_is_refused(two: Path, ask: Ask, words: list[str], said: str) -> None:
    """With what to do instead."""
    ask("contributions", *words, cwd=two).said(2, said)
