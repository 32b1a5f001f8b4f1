"""A lab for each test, copied from one that has published already."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.lab import Lab, LightLab


@pytest.fixture(scope="session")
def published_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a lab with points@1 and judge@1."""
    folder = tmp_path_factory.mktemp("lab")
    Lab(folder).publish()
    return folder


@pytest.fixture
def lab(published_lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab of its own, whose worktrees lie beside it."""
    monkeypatch.setenv("FILIERA_WORKTREES", str(tmp_path / "worktrees"))
    return Lab.copied(published_lab, tmp_path)


@pytest.fixture
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LightLab:
    """Return a light lab whose worktrees lie beside it."""
    monkeypatch.setenv("FILIERA_WORKTREES", str(tmp_path / "worktrees"))
    return LightLab(tmp_path)
