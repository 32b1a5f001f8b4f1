from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Ask


def test_acts_are_listed_newest_first(published: Path, ask: Ask) -> None:
    """Who, what, when, to what, and more of it."""
    ask("promote", "m@1", "gold", "--reason", "shines", cwd=published)
    first, second = ask("audit", cwd=published).out.splitlines()[1:]
    assert first.split()[0] == "2"
    assert first.endswith("ada@lab  promote  m@1  alias = gold, reason = shines")
    assert second.split()[0] == "1"
    assert "publish  m@1" in second


def test_filters_and_pages(published: Path, ask: Ask) -> None:
    """Rows of one subject, action or actor; a page ends with how to go on."""
    for alias in ("a", "b", "c"):
        ask("promote", "m@1", alias, cwd=published)

    def numbers(*words: str) -> list[int]:
        return [row["number"] for row in ask("audit", *words, "--json", cwd=published).data]

    assert numbers("--action", "promote") == [4, 3, 2]
    assert numbers("m@1", "--action", "publish", "--actor", "ada@lab") == [1]
    assert (numbers("m@2"), numbers("--actor", "eve")) == ([], [])
    assert numbers("--before", "4", "--limit", "2") == [3, 2]
    assert ask("audit", "--limit", "3", cwd=published).out.endswith("\nolder: --before 2\n")
    assert "older" not in ask("audit", "--limit", "4", cwd=published).out
    assert ask("audit", "m@2", cwd=published).out == "Nothing was noted.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--action", "promot"], "Did you mean 'promote'?"), (["--limit", "0"], "--limit takes 1 to 10000, not 0")],
)
def test_wrong_questions(words: list[str], said: str, published: Path, ask: Ask) -> None:
    """A filter that can match nothing is refused."""
    ask("audit", *words, cwd=published).said(2, said)


def test_the_chain_is_verified(published: Path, ask: Ask) -> None:
    """Whole, it has a digest to note; touched, the row is named and the store's code is the end."""
    told = ask("audit", "--verify", cwd=published)
    assert (told.code, told.out[:34]) == (0, "1 rows, all as they were written; ")
    digest = told.out.split()[-1]
    assert ask("audit", "--verify", digest, cwd=published).code == 0
    ask("audit", "--verify", "0" * 64, cwd=published).said(5, "no row has digest 000")
    with closing(sqlite3.connect(published / ".filiera" / "records.sqlite")) as connection, connection:
        connection.execute("UPDATE audit SET actor = 'eve'")
    ask("audit", "--verify", cwd=published).said(5, "row 1 was changed")
    assert ask("audit", "--verify", "--json", cwd=published).data["rows"] == 0
