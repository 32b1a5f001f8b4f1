"""Runs in the records that nobody drove."""

from __future__ import annotations

from typing import Any

from filiera.project.project import Project

DEAD_DRIVER = '{"boot": "none", "host": "elsewhere", "pid": 1, "start": "1"}'
_RECORD = '{"inputs": {}, "commit": "", "is_dirty": null}'


def add_run(
    project: Project, pipeline: str, *, at: float = 1.0, state: str = "succeeded", driver: str = DEAD_DRIVER
) -> str:
    """Record a run without steps and return its id."""
    row: dict[str, Any] = {"pipeline": pipeline, "kind": "data", "started_at": at, "driver": driver, "steps_total": 0}
    row |= {"project": "small", "profile": "local", "parameters": "{}", "record": _RECORD}
    run_id = project.records.write([("create_run", row), ("note_pipeline", row)])[0][0]["run_id"]
    add_steps(project, run_id, 0, state=state)
    return str(run_id)


def add_steps(project: Project, run_id: str, count: int, *, state: str = "succeeded", failing: int = -1) -> None:
    """Record the steps s0, s1, … of a run, of which one may have failed, and how the run stands."""
    failure = '{"kind": "raised", "error": "ValueError", "message": "no", "traceback": ""}'
    step = {"run_id": run_id, "stage": "clean", "attempt": 1, "arguments": "{}", "inputs": "{}", "started_at": 1.0}
    step |= dict.fromkeys(("key", "closure_digest", "outputs", "reason", "log", "metrics"), "") | {"duration_s": 0.1}
    rows = [
        {**step, "step": f"s{i}", "position": i, "state": "failed" if i == failing else "succeeded",
         "failure": failure if i == failing else ""} for i in range(count)
    ]  # fmt: skip
    run = {"run_id": run_id, "state": state, "finished_at": None, "failure": "", "heartbeat_at": 1.0, "outcome": "{}"}
    counts = {"steps_total": count, "steps_done": count, "steps_hit": 0}
    project.records.write([*(("put_step_run", row) for row in rows), ("update_run", {**run, **counts})])
