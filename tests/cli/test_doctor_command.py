from __future__ import annotations

from pathlib import Path

from tests.cli.command import done, filiera


def test_a_sound_project_is_ok(project: Path) -> None:
    """Nothing but ok; pipelines that need parameters are no problem."""
    done("run", "hello", cwd=project)
    findings = done("doctor", "--json", cwd=project).data
    assert {finding["state"] for finding in findings} == {"ok"}
    assert {"environment", "extras", "pipelines", "blobs"} <= {finding["what"] for finding in findings}
    assert set(findings[0]) == {"what", "state", "detail"}


def test_a_module_that_raises_is_a_problem(project: Path) -> None:
    """The doctor goes on after it and names file and line."""
    (project / "flows" / "bad.py").write_text(
        "# pipeline\nfrom filiera import pipeline\n@pipeline(kind='data')\ndef x(): 1 / 0\n1 / 0\n"
    )
    answer = filiera("doctor", cwd=project)
    assert answer.code == 5
    assert "flows.bad" in answer.out and "bad.py, line 5" in answer.out and "blobs" in answer.out
