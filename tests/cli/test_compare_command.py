from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Ask


def test_two_versions_are_shown_side_by_side(two: Path, ask: Ask) -> None:
    """What differs by name, what is equal by number, and which is better on the rows that both answered."""
    text = ask("compare", "spender@2", "spender@3", cwd=two).out
    assert "| fit.depth | 1         | 5         |" in text and "## Inputs\n\n2 are equal." in text
    better = text.partition("## spender@3 against spender@2, on the same rows")[2]
    assert any(line.startswith("| accuracy") and "| better |" in line for line in better.splitlines())


def test_json_has_all_of_it(two: Path, ask: Ask) -> None:
    """The improvement is that of the second over the first; turned around, its negative."""
    there = ask("compare", "spender@2", "spender@3", "--json", cwd=two).data
    back = ask("compare", "spender@3", "spender@2", "--json", cwd=two).data
    gained = there["improvements"]["spender@3"]["accuracy"]
    assert gained["low"] > 0 and gained["n"] == 300
    assert gained["value"] == pytest.approx(-back["improvements"]["spender@2"]["accuracy"]["value"])
    assert there["versions"] == ["spender@2", "spender@3"] and there["parameters"] == {"fit.depth": ["1", "5"]}
    first, second = (metrics["accuracy"]["value"] for metrics in there["metrics"])
    assert second - first == pytest.approx(gained["value"])


def test_what_kept_no_rows_is_compared_by_its_metrics(two: Path, ask: Ask, tmp_path: Path) -> None:
    """And it is said why there is no more; all of it is a page, too."""
    text = ask("compare", "spender", "spender@3", cwd=two).out
    assert "- spender@3 is not compared on the same rows: an evaluation is lost, or kept no rows" in text
    file = tmp_path / "compared.html"
    assert ask("compare", "spender@2", "spender@3", "--html", str(file), cwd=two).code == 0
    assert "<h2>spender@3 against spender@2, on the same rows</h2>" in file.read_text()


def test_only_models_are_compared(two: Path, ask: Ask) -> None:
    """At least two; datasets have a difference of their own."""
    ask("compare", "spender@1", cwd=two).said(2, "One version cannot be compared")
    ask("compare", "spender@1", "orders@1", cwd=two).said(2, "orders@1 is a dataset", "filiera data diff")
    ask("compare", "spender@1", "spender@9", cwd=two).said(2, "There is no model spender@9")
