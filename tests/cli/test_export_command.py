from __future__ import annotations

from pathlib import Path

from tests.cli.command import done, filiera, make_project


def test_runs_move_to_another_folder(history: Path, tmp_path: Path) -> None:
    """What is exported in one project is a hit in another with the same code, with logs and history."""
    file = tmp_path / "runs.filiera"
    answer = done("export", "hello-1", "hello-3", "broken", "-o", file, cwd=history)
    assert answer.out.startswith(f"wrote broken-1, hello-1, hello-3 to {file}  ")
    other = make_project(tmp_path / "other")
    assert done("import", file, cwd=other).out == (
        "imported broken-1\nimported hello-1\nimported hello-3\n5 cached results are new here\n"
    )
    assert "2 from cache" in done("run", "hello", "--name", "Ada", cwd=other).out
    assert "greeting" in done("log", "hello-1/greet", cwd=other).out
    assert "cannot raise" in done("show", "broken-1", cwd=other).out
    shown = [done("show", "hello-3", "--json", cwd=folder).data for folder in (history, other)]
    assert shown[0]["steps"] == shown[1]["steps"]


def test_what_cannot_be_exported_is_told(history: Path, tmp_path: Path) -> None:
    """An unknown run, a file that is there already and a folder that is not are one sentence each."""
    filiera("export", "hello-99", "-o", tmp_path / "x", cwd=history).said(2, "hello-99", "filiera runs")
    (tmp_path / "there").write_text("mine")
    filiera("export", "hello-1", "-o", tmp_path / "there", cwd=history).said(2, "there already")
    filiera("export", "hello-1", "-o", tmp_path / "no" / "x", cwd=history).said(5, "no/x")
    filiera("export", "hello-1", cwd=history).said(2, "--output")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
