"""``filiera data suggest-checks`` prints Python to paste."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Ask
from tests.projects import SmallProject

pytest.importorskip("polars")


def test_checks_are_printed_as_python(tmp_path: Path, ask: Ask) -> None:
    """From a file or a version; what is printed runs."""
    project = SmallProject(tmp_path, {"flows.py": "x = 1\n"})
    (project.root / "rows.csv").write_text("rate,kind\n" + "0.5,tcp\n0.25,udp\n" * 40)
    answer = ask("data", "suggest-checks", "rows.csv", cwd=project.root)
    assert answer.code == 0, answer.err
    assert '    Check.in_set("kind", ["tcp", "udp"]),' in answer.out.splitlines()
    found: dict[str, object] = {}
    exec(answer.out, found)
    assert found["CHECKS"]
