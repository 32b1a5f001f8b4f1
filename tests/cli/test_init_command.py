from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import done, filiera
from tests.cli.conftest import Ask
from tests.project.test_templates import NAMES


def test_a_stranger_follows_the_advice(tmp_path: Path) -> None:
    """What init says to do next works as it stands."""
    lines = done("init", "demo", cwd=tmp_path).out.splitlines()
    assert lines[:4] == [f"made {tmp_path / 'demo'}", "", "next:", "  cd demo"]
    for command in lines[4:]:
        name, *words = command.split()
        assert name == "filiera"
        done(*words, cwd=tmp_path / "demo")


def test_templates_are_listed(ask: Ask, tmp_path: Path) -> None:
    """Each with what it is."""
    out = ask("init", "--list", cwd=tmp_path).out
    names = [line.split()[0] for line in out.splitlines()]
    assert names == ["TEMPLATE", *NAMES]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["what to call the project", "filiera init NAME"]),
        (["taken"], ["is there already"]),
        (["x", "--template", "trafic-classification"], ["no template", "Did you mean 'traffic-classification'?"]),
        (["a b"], ["'a b' cannot name a project"]),
        ([".."], ["is there already"]),
        (["x/../.hidden"], ["'.hidden' cannot name a project"]),
        ([""], ["is there already"]),
    ],
)
def test_what_cannot_be_made_leaves_nothing(words: list[str], said: list[str], ask: Ask, tmp_path: Path) -> None:
    """One message, exit code 2, and not a file more than before."""
    (tmp_path / "taken").mkdir()
    ask("init", *words, cwd=tmp_path / "taken" if words == [".."] else tmp_path).said(2, *said)
    assert [path.name for path in tmp_path.rglob("*")] == ["taken"]


def test_a_file_in_the_way_is_told(ask: Ask, tmp_path: Path) -> None:
    """A folder cannot be made inside a file."""
    (tmp_path / "file").touch()
    filiera("init", "file/x", cwd=tmp_path).said(5, "file/x cannot be made")
