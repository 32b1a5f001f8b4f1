from __future__ import annotations

from pathlib import Path

from tests.cli.command import done


def test_plan_says_what_a_run_would_do(project: Path) -> None:
    """Each step with hit, run or what it waits for; nothing is recorded."""
    first = [line.split() for line in done("plan", "hello", cwd=project).out.splitlines()]
    assert first == [
        ["STEP", "STAGE", "STATUS", "WHY"],
        ["greet", "transform", "run", "first", "run"],
        ["count", "transform", "after", "decided", "after", "greet"],
    ]
    done("run", "hello", cwd=project)
    assert [step["status"] for step in done("plan", "hello", "--json", cwd=project).data] == ["hit", "hit"]
    plan = done("plan", "hello", "--fresh", "greet", "--json", cwd=project).data
    assert (plan[0]["status"], plan[0]["reason"]) == ("run", "asked for (--fresh)")
    assert len(done("runs", "--json", cwd=project).data) == 1
