"""Runs whose driver died: recorded as interrupted, which they are shown as anyway."""

from __future__ import annotations

from filiera.core.events import RunInterrupted
from filiera.engine.rows import write_event
from filiera.ports import Row, Statement
from filiera.project.project import Project
from filiera.project.runs import recorded_state

_REASON = "its driver was gone"


def record_interruption(project: Project, run: Row) -> bool:
    """Record that nobody drives a run any more; tell whether that is so.

    Args:
        project: Whose run it is.
        run: Its row, with the driver that was found dead. If another one has gone on with it since, nothing changes.

    Raises:
        StoreError: The records cannot be written.
    """
    run_id = run["run_id"]
    event, now = RunInterrupted(reason=_REASON), project.clock()
    seen = {"run_id": run_id, "driver": run["driver"]}
    statements: list[Statement] = [("interrupt_run", {**seen, "failure": _REASON})]
    if recorded_state(project, run_id).status == "running":  # else it was only adopted, by one that said no more
        seq = project.records.read("last_event_of_run", {"run_id": run_id})[0]["seq"] + 1
        said = {"seq": seq, "at": now, "kind": type(event).__name__, "body": write_event(event)}
        statements.insert(0, ("add_interruption", {**seen, **said}))
    return bool(project.records.write(statements, durable=True)[-1])
