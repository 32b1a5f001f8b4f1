from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from filiera.project import surroundings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = list(surroundings._root)
    yield
    surroundings._root[:] = before


def test_the_current_folder_until_somebody_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the one that was said last."""
    surroundings._root.clear()
    monkeypatch.chdir(tmp_path)
    assert surroundings.project_root() == tmp_path
    surroundings.set_project_root(tmp_path / "a")
    surroundings.set_project_root(tmp_path / "b")
    assert surroundings.project_root() == tmp_path / "b"
