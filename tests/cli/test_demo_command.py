from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Ask


def test_another_project_is_left_alone(project: Path, ask: Ask, tmp_path: Path) -> None:
    """The demo goes on only with a project of its template, never with one around the folder."""
    before = sorted(project.rglob("*"))
    for folder in (".", "flows"):
        ask("demo", folder, cwd=project).said(2, "no project of the template", "filiera demo FOLDER")
    assert sorted(project.rglob("*")) == before
    ask("demo", "a b", cwd=tmp_path).said(2, "'a b' cannot name a project")
