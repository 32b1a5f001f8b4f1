from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Ask


def test_an_alias_is_moved(shop: Path, ask: Ask) -> None:
    """The alias is what serving and other pipelines ask for."""
    assert ask("promote", "orders@latest", "gold", cwd=shop).out == "orders@gold is now version 1\n"
    assert ask("show", "orders@gold", "--json", cwd=shop).data["version"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["spender"], ["Say which version", "filiera promote spender@NUMBER champion"]),
        (["spender@2"], ["no model spender@2", "spender@1"]),
        (["spender@old"], ["no model spender@old"]),
        (["spendr@1"], ["Did you mean 'spender'?"]),
        (["../spender@1"], ["'../spender' cannot name a product"]),
        (["spender@1", "../x"], ["'../x' cannot name a"]),
        (["spender@1", "latest"], ["'latest' always means the newest version"]),
    ],
)
def test_what_cannot_be_promoted(words: list[str], said: list[str], shop: Path, ask: Ask) -> None:
    """Nothing moves, and the message says why."""
    ask("promote", *words, cwd=shop).said(2, *said)
    assert "champion" in ask("show", "spender@1", "--json", cwd=shop).data["aliases"]


def test_moves_of_aliases_are_listed(published: Path, ask: Ask) -> None:
    """Who moved which alias from where to where, when and why; the newest first, so that one can go back."""
    assert ask("promote", "m@1", "staging", "--reason", "try it", cwd=published).code == 0
    newest, first = ask("versions", "m", "--moves", "--json", cwd=published).data
    assert {name: newest[name] for name in ("alias", "number", "before", "by", "reason")} == {
        "alias": "staging", "number": 1, "before": None, "by": "ada@lab", "reason": "try it",
    }  # fmt: skip
    assert (first["alias"], first["number"]) == ("champion", 1)
    assert ask("promote", "m@1", "staging", cwd=published).code == 0
    assert "from 1 to 1" in ask("versions", "m", "--moves", cwd=published).out.splitlines()[1]
    ask("versions", "--moves", cwd=published).said(2, "--moves needs the name")
