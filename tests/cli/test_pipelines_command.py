from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Ask


def test_pipelines_are_listed_without_importing_them(project: Path, ask: Ask) -> None:
    """Name, module and first line of the docstring; a module that would fail when imported harms nothing."""
    module = project / "flows" / "small.py"
    module.write_text(module.read_text() + '\nraise RuntimeError("imported")\n')
    lines = ask("pipelines", cwd=project).out.splitlines()
    assert lines[1].split() == ["hello", "flows.small", "Greet", "somebody", "and", "count", "the", "letters."]
    assert [entry["name"] for entry in ask("pipelines", "--json", cwd=project).data] == [
        "hello", "report", "broken", "waiting"
    ]  # fmt: skip


def test_a_project_is_found_from_any_folder_in_it(project: Path, ask: Ask) -> None:
    """As with git, the nearest folder upwards that is a project counts."""
    assert ask("pipelines", cwd=project / "flows").code == 0
