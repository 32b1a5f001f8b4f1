from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import done, filiera, make_project
from tests.cli.conftest import Ask
from tests.cli.shapes import CODE


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "small", code=CODE)


def test_a_run_waits_until_somebody_says_yes(project: Path) -> None:
    """The run ends with its own code and says what is asked about what; nothing runs meanwhile; then it goes on."""
    waiting = filiera("run", "asking", cwd=project)
    assert (waiting.code, waiting.err) == (9, "")
    assert "  approve  gate       waiting    Publish these numbers?" in waiting.out
    assert "asking-1 waiting: 1 ran, 0 from cache, 1 waiting, 1 pending" in waiting.out
    assert "approve asks: Publish these numbers?" in waiting.out
    assert "  {'mae': 4, 'rows': 12}" in waiting.out
    assert "yes:  filiera approve asking-1 approve\n" in waiting.out
    assert [run["run"] for run in done("runs", "--state", "waiting", "--json", cwd=project).data] == ["asking-1"]
    answered = done("approve", "asking", "--why", "as before", cwd=project).out
    assert answered.startswith("approved approve of asking-1\n")
    assert answered.endswith("asking-1 succeeded: 2 ran, 1 from cache\n")
    row = done("audit", "asking-1", "--action", "approve", "--json", cwd=project).data[0]
    assert (row["detail"]["question"], row["detail"]["why"]) == ("Publish these numbers?", "as before")
    assert "asking-2 succeeded" in done("run", "asking", cwd=project).out
    assert filiera("run", "asking", "--x", "5", cwd=project).code == 9


def test_no_rejects_the_run_until_somebody_says_yes(project: Path) -> None:
    """Whoever refuses is named with the reason, in later runs too; the answer can be changed."""
    assert filiera("run", "asking", cwd=project).code == 9
    env = {"FILIERA_ACTOR": "ada@lab"}
    refused = filiera("approve", "asking-1", "--no", "--why", "too few", cwd=project, env=env)
    assert (refused.code, refused.err) == (3, "")
    assert "step approve stops the run: refused by ada@lab: too few" in refused.out
    assert filiera("run", "asking", cwd=project).code == 3
    assert "asking-2 succeeded" in done("approve", "asking-2", cwd=project).out


def test_of_several_questions_one_is_named(project: Path, ask: Ask) -> None:
    """All are listed; the run goes on as far as it can with one answer, and waits for the other."""
    assert filiera("run", "asking_twice", cwd=project).code == 9
    ask("approve", "asking_twice", cwd=project).said(2, "2 steps of asking_twice-1 wait", "approve-2: Better?", "STEP")
    ask("approve", "asking_twice/aprove", cwd=project).said(2, "No step 'aprove'", "Did you mean 'approve'?")
    first = filiera("approve", "asking_twice", "approve-2", cwd=project)
    assert (first.code, "approve asks: Good?" in first.out) == (9, True)
    assert filiera("approve", "asking_twice-1/approve", "--json", cwd=project).data["status"] == "succeeded"


def test_an_answer_can_be_recorded_only(project: Path, ask: Ask) -> None:
    """Then somebody goes on with the run later."""
    assert filiera("run", "asking", cwd=project).code == 9
    data = ask("approve", "asking", "--only-record", "--json", cwd=project).data
    assert data == {"run": "asking-1", "step": "approve", "answer": "approved"}
    assert done("runs", "--json", cwd=project).data[0]["state"] == "waiting"
    assert done("resume", "asking", cwd=project).out.endswith("asking-1 succeeded: 2 ran, 1 from cache\n")
    ask("approve", "asking", cwd=project).said(2, "Nothing in asking-1 waits", "succeeded", "--state waiting")
    assert filiera("run", "asking", "--x", "7", cwd=project).code == 9
    said = ask("approve", "asking", "--only-record", cwd=project).out
    assert said == "approved approve of asking-2; it goes on by: filiera resume asking-2\n"


def test_what_is_asked_can_be_looked_at(project: Path, tmp_path: Path) -> None:
    """``show`` has the question with its value, which can be written to a file."""
    assert filiera("run", "asking", cwd=project).code == 9
    shown = done("show", "asking/approve", cwd=project).out
    assert "approve asks: Publish these numbers?" in shown and "{'mae': 4, 'rows': 12}" in shown
    done("show", "asking/approve", "--open", tmp_path / "value", cwd=project)
    assert (tmp_path / "value").read_text() == '{"mae":4,"rows":12}'
