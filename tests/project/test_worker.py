from __future__ import annotations

from pathlib import Path

from tests.cli.command import done, make_project

CODE = """\
import os
import sys

from filiera import pipeline, step


@step
def surroundings() -> dict[str, str]:
    return {
        "folder": os.getcwd(),
        "path": sys.path[0],
        "left over": os.environ.get("FILIERA_PATH", ""),
        "relative": open("note.txt").read(),
    }


@pipeline(kind="data")
def look():
    surroundings()
"""


def test_a_step_finds_itself_in_its_project(tmp_path: Path) -> None:
    """Whatever folder the command was given in: relative paths start at the project, whose modules come first."""
    folder = make_project(tmp_path / "small", code=CODE)
    (folder / "note.txt").write_text("here")
    done("run", "look", cwd=folder / "flows")
    shown = done("show", "look/surroundings", cwd=folder).out
    expected = {"folder": str(folder), "path": str(folder), "left over": "", "relative": "here"}
    for name, value in expected.items():
        assert f"{name!r}: {value!r}" in shown
