from __future__ import annotations

import os
from pathlib import Path

from tests.cli.command import done, filiera, read_until, started
from tests.cli.conftest import Ask


def test_resume_goes_on_after_a_driver_that_was_killed(project: Path) -> None:
    """The run is interrupted in every list, also once doctor has recorded it, and goes on under its own name."""
    os.mkfifo(project / "gate")
    with started("run", "waiting", cwd=project) as process:
        read_until(process.stdout, "│ waiting")
        with started("log", "waiting-1", "--follow", cwd=project) as log:
            read_until(log.stdout, "waiting")  # now the records say that the step runs
            process.kill()
            process.wait()
            assert log.wait() == 0
    for _ in range(2):
        assert done("runs", "--json", cwd=project).data[0]["state"] == "interrupted"
        listed = done("runs", "--state", "interrupted", "--json", cwd=project).data
        assert [run["run"] for run in listed] == ["waiting-1"]
        assert done("runs", "--state", "running", "--json", cwd=project).data == []
        done("doctor", "--repair", cwd=project)
    assert "wait  transform  interrupted" in done("show", "waiting-1", cwd=project).out
    (project / "gate").unlink()
    (project / "gate").write_text("open")
    assert done("resume", "waiting", cwd=project).out.endswith("waiting-1 succeeded: 2 ran, 0 from cache\n")
    assert done("show", "waiting-1/wait", cwd=project).out.rstrip().endswith("open")


def test_finished_steps_are_not_repeated(project: Path) -> None:
    """A run that failed goes on where it failed, with its own parameters."""
    assert filiera("run", "broken", "--how", "curse", cwd=project).code == 1
    answer = filiera("resume", "broken-1", "--json", cwd=project)
    assert (answer.code, [step["status"] for step in answer.data["steps"]]) == (1, ["hit", "failed"])
    assert answer.data["message"].endswith("cannot curse Hello, you!")


def test_what_has_succeeded_cannot_be_resumed(history: Path, ask: Ask) -> None:
    """There is nothing left to do."""
    ask("resume", "hello-1", cwd=history).said(2, "Run hello-1 has succeeded", "filiera show hello-1")
    ask("resume", "nope", cwd=history).said(2, "no run 'nope'")
