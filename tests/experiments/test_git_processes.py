"""How often git is asked: each time costs a few milliseconds, which add up, and grows with the repository."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from filiera.experiments.accepting import Acceptance, accept
from filiera.experiments.dropping import drop
from filiera.experiments.starting import start
from tests.experiments.lab import LightLab

_counting: list[list[str]] = []


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and _counting and arguments[1][0] == "git":
        _counting[-1].append(" ".join(map(str, arguments[1])))


sys.addaudithook(_count)


@contextmanager
def at_most(number: int) -> Iterator[None]:
    """Assert how many processes of git are started."""
    _counting.append([])
    try:
        yield
    finally:
        started = _counting.pop()
    assert len(started) <= number, "\n".join(started)


@pytest.fixture
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LightLab:
    """Return a light lab whose worktrees lie beside it."""
    monkeypatch.setenv("FILIERA_WORKTREES", str(tmp_path / "worktrees"))
    lab = LightLab(tmp_path)
    lab.git("config", "user.name", "Ada")
    lab.git("config", "user.email", "ada@lab")
    start(lab.place(), "first")
    return lab


@pytest.mark.parametrize(("is_changed", "most"), [(False, 10), (True, 13)], ids=["nothing new", "with changes"])
def test_start(light: LightLab, is_changed: bool, most: int) -> None:
    """What is not committed costs a snapshot."""
    if is_changed:
        (light.root / "idea.md").write_text("an idea\n")
    with at_most(most):
        start(light.place(), "deeper")


def test_run(light: LightLab) -> None:
    """With changed files and without, and when it runs once more."""
    with light.opened():
        for most, write in ((11, ""), (14, "an idea\n")):
            if write:
                (light.folder_of("first") / "idea.md").write_text(write)
            with at_most(most):
                assert light.try_out("first", "count").record is not None


def test_accept(light: LightLab) -> None:
    """An experiment that has run, where the target has not moved."""
    light.try_out("first", "count")
    with light.opened(), at_most(21):
        assert accept(light.place(), "first", Acceptance()).finished is not None


def test_drop(light: LightLab) -> None:
    """Of which nothing is left to be kept."""
    with at_most(10):
        drop(light.place(), "first")
