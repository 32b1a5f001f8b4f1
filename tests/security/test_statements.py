"""SQL is written beforehand; what people type, and what data is called, are values and quoted names in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.tree import MODULES, short
from tests.cli.conftest import Ask, ask, history  # noqa: F401  fixtures

WORDS = ("SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "DROP TABLE", "ALTER TABLE")
MADE = "adapters/sql/"
"""Statements for databases of users are made there, of names that its own tests show to be quoted."""


def test_records_are_asked_by_named_statements() -> None:
    """Outside that folder no text with a place to fill in is a statement."""
    made = {
        (short(path), node.lineno)
        for path in MODULES
        if not short(path).startswith((MADE, "templates/"))
        and any(word in (text := path.read_text(encoding="utf-8")) for word in WORDS)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.JoinedStr)
        and any(isinstance(part, ast.Constant) and str(part.value).startswith(WORDS) for part in node.values)
    }
    assert made == set()


@pytest.mark.parametrize("text", ["' OR '1'='1", "x'; DROP TABLE run; --", "%", "_", "\\", '"', "hello'--"])
def test_what_is_searched_for_is_a_value(history: Path, ask: Ask, text: str) -> None:  # noqa: F811
    """A quote ends nothing, a wildcard is a sign: what is not there is not found, and nothing is gone after."""
    before = ask("runs", "--json", cwd=history).data
    for words in (["runs", "--search", text], ["runs", text], ["audit", "--actor", text], ["runs", "--columns", text]):
        answer = ask(*words, cwd=history)
        assert (answer.code in (0, 2), "Traceback" in answer.err) == (True, False)
        assert "hello-1" not in answer.out or words[1] == "--columns"
    assert ask("runs", "--json", cwd=history).data == before
