from __future__ import annotations

from pathlib import Path

from tests.cli.command import done, filiera


def test_a_sound_project_is_ok(project: Path) -> None:
    """Nothing but ok; pipelines that need parameters are no problem."""
    done("run", "hello", cwd=project)
    findings = done("doctor", "--json", cwd=project).data
    assert {finding["state"] for finding in findings} == {"ok"}
    assert {"environment", "extras", "pipelines", "blobs"} <= {finding["what"] for finding in findings}
    assert set(findings[0]) == {"what", "state", "detail", "area"}


def test_a_module_that_raises_is_a_problem(project: Path) -> None:
    """The doctor goes on after it and names file and line."""
    (project / "flows" / "bad.py").write_text(
        "# pipeline\nfrom filiera import pipeline\n@pipeline(kind='data')\ndef x(): 1 / 0\n1 / 0\n"
    )
    answer = filiera("doctor", cwd=project)
    assert answer.code == 4
    assert "flows.bad" in answer.out and "bad.py, line 5" in answer.out and "blobs" in answer.out


def test_a_damaged_store_is_told_apart(project: Path) -> None:
    """Damage has the store's exit code, whatever else is wrong; once repaired, the step runs again."""
    (project / "flows" / "small.py").write_text(
        (project / "flows" / "small.py").read_text() + "\n\n@step\ndef much() -> bytes:\n    return bytes(9000)\n"
        "\n\n@pipeline(kind='data')\ndef long():\n    return much()\n"
    )
    done("run", "long", cwd=project)
    (blob,) = [file for file in (project / ".filiera" / "blobs").glob("??/*") if file.stat().st_size == 9000]
    blob.chmod(0o600)
    blob.write_bytes(b"?" * 9000)
    answer = filiera("doctor", cwd=project)
    assert answer.code == 5
    assert "long-1/much" in answer.out
    (project / "flows" / "bad.py").write_text("from filiera import pipeline\n@pipeline(kind='data')\n1 / 0\n")
    assert filiera("doctor", cwd=project).code == 5
    assert filiera("doctor", "--repair", cwd=project).code == 4
    (project / "flows" / "bad.py").unlink()
    done("doctor", cwd=project)
    assert "1 ran, 0 from cache" in done("run", "long", cwd=project).out
