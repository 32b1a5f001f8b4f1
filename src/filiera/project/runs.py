"""Runs as they are recorded, and one that this process has driven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from filiera.core.graph import Graph
from filiera.core.runstate import RunState
from filiera.core.value import dataclass
from filiera.engine.rows import read_event
from filiera.errors import Cancelled, FilieraError, Rejected, StepFailed, UsageError, Waiting
from filiera.ports import Row
from filiera.project import identity
from filiera.project.project import Project
from filiera.project.versions import Version


@dataclass(kw_only=True)
class Run:
    """A run that has ended: its state, its steps' values, and what it published."""

    project: Project
    run_id: str
    state: RunState
    graph: Graph
    version: Version | None = None
    is_new_version: bool = False

    @property
    def status(self) -> str:
        """Return ``succeeded``, ``failed``, ``rejected``, ``waiting`` or ``cancelled``."""
        return self.state.status

    def value(self, step: str, index: int = 0) -> Any:
        """Return what a step of the run returned.

        Raises:
            UsageError: There is no such step, or it did not finish.
        """
        found = self.state.steps.get(step)
        if found is None or index >= len(found.outputs):
            raise UsageError(
                f"Run {self.run_id} has no output {index} of step {step!r}.",
                why=f"Its steps are: {', '.join(self.state.steps)}.",
            )
        return self.project.value(found.outputs[index])

    def metrics(self, step: str = "") -> Any:
        """Return what its steps have logged, or one of them: a Polars table with a row per point.

        The columns are ``run``, ``pipeline_step``, ``metric``, ``step``, ``value`` and ``at``, a time in UTC.
        """
        from filiera.project.metrics import curves_of_run, curves_table

        return curves_table(list(curves_of_run(self.project, self.run_id, step=step)))

    def require_success(self) -> Run:
        """Return the run itself if it succeeded. Raises StepFailed, Rejected, Waiting or Cancelled else."""
        kinds: dict[str, type[FilieraError]] = {"failed": StepFailed, "rejected": Rejected, "cancelled": Cancelled}
        kinds["waiting"] = Waiting
        if self.state.status in kinds:
            is_waiting = self.state.status == "waiting"
            raise kinds[self.state.status](
                f"Run {self.run_id} {'is waiting' if is_waiting else self.state.status}.",
                why=self.state.message,
                do=f"filiera {'approve' if is_waiting else 'show'} {self.run_id}",
            )
        return self


def get_run(project: Project, run_id: str) -> Row:
    """Return a run's record; ``latest`` is the newest. Raises UsageError when there is none."""
    if run_id == "latest":
        rows = project.records.read("latest_run")
    else:
        rows = project.records.read("get_run", {"run_id": run_id})
    if not rows:
        known = project.records.read("latest_run")
        raise UsageError(
            f"There is no run {run_id!r}.",
            why=f"The newest run is {known[0]['run_id']}." if known else "Nothing has run yet.",
            do="filiera runs",
        )
    return rows[0]


def recorded_state(project: Project, run_id: str) -> RunState:
    """Return the fold of a run's recorded events."""
    rows = project.records.read("events_of_run", {"run_id": run_id, "since": 0})
    return RunState.fold(read_event(row["kind"], row["body"]) for row in rows)


def shown_state(project: Project, row: Row) -> str:
    """Return a run's state for people: ``interrupted`` when it says running but its driver is dead."""
    return "interrupted" if row["state"] == "running" and not is_driven(project, row) else str(row["state"])


def is_driven(project: Project, row: Row) -> bool:
    """Tell whether the driver that a run's record names is alive."""
    return identity.is_alive(row["driver"], last_seen_at=row["heartbeat_at"], now=project.clock())


def log_folder(project: Project, run_id: str) -> Path:
    """Return where the output of a run's steps lies."""
    return project.store / "logs" / run_id
