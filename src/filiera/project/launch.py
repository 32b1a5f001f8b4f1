"""Starting, resuming and ending runs of a project."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.events import RunInterrupted, RunResumed, RunStarted
from filiera.core.graph import Graph
from filiera.core.pipeline import Pipeline
from filiera.core.products import Dataset, Model, Source
from filiera.core.runstate import RunState
from filiera.core.stages import Stage
from filiera.engine.driver import Driver, EarlierResult
from filiera.engine.planner import Planner
from filiera.engine.recorder import Recorder
from filiera.engine.rows import read_event, read_refs, to_json, to_text, write_event
from filiera.errors import Cancelled, FilieraError, Rejected, StepFailed, UsageError
from filiera.ports import Row
from filiera.project import identity, record
from filiera.project.assemble import Assembled
from filiera.project.drive import drive
from filiera.project.index import import_module
from filiera.project.project import Listener, Project
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
    _outputs: dict[str, tuple[ArtifactRef, ...]] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """Return ``succeeded``, ``failed``, ``rejected`` or ``cancelled``."""
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

    def require_success(self) -> Run:
        """Return the run itself if it succeeded. Raises StepFailed, Rejected or Cancelled else."""
        kinds: dict[str, type[FilieraError]] = {"failed": StepFailed, "rejected": Rejected, "cancelled": Cancelled}
        if self.state.status in kinds:
            raise kinds[self.state.status](
                f"Run {self.run_id} {self.state.status}.",
                why=self.state.message,
                do=f"filiera show {self.run_id}",
            )
        return self


def start(
    project: Project,
    pipeline: str,
    values: Mapping[str, Any],
    *,
    fresh: frozenset[str] = frozenset(),
    listener: Listener | None = None,
) -> Run:
    """Run a pipeline by name and return the run, however it ended.

    Raises:
        UsageError, GraphError, SourceError: The run could not be planned; nothing was recorded.
        StoreError: The store could not be written.
    """
    return start_pipeline(project, project.pipeline(pipeline), values, fresh=fresh, listener=listener)


def start_pipeline(
    project: Project,
    pipeline: Pipeline,
    values: Mapping[str, Any],
    *,
    fresh: frozenset[str] = frozenset(),
    listener: Listener | None = None,
) -> Run:
    """Run a pipeline object; see ``start``."""
    assembled = project.assemble(pipeline, values)
    planner = project.planner(assembled, fresh=fresh)
    planner.read_code()
    graph = assembled.graph
    shown = {p.name: _text(values.get(p.name, p.default)) for p in pipeline.parameters}
    event = RunStarted(pipeline=graph.pipeline, kind=graph.kind, steps=_steps(graph), parameters=shown)
    run = {**_new_run(project, assembled, values), "record": to_json(_record(project, assembled, fresh))}
    first = {
        **{name: run[name] for name in ("pipeline", "driver")},
        "at": run["started_at"],
        "kind": type(event).__name__,
        "body": write_event(event),
    }
    # In one transaction: a run without its first event could be neither resumed nor explained.
    row = project.records.write([("create_run", run), ("add_first_event", first)])[0][0]
    state = RunState.fold([event])
    recorder = Recorder(
        records=project.records, run_id=row["run_id"], clock=project.clock, seq=1, state=state, listener=listener
    )
    if listener is not None:
        listener(event, state)
    return _drive(project, assembled, planner, recorder, _Following({}, listener))


def start_in_its_project(pipeline: Pipeline, values: Mapping[str, Any]) -> Run:
    """Run a pipeline object in the project that its file lies in, or else the current folder.

    Raises:
        ProjectError: There is no project.
        StepFailed, Rejected, Cancelled: How the run ended, unless it succeeded.
    """
    file = Path(pipeline.function.__code__.co_filename).absolute()
    project = Project.open(file.parent if file.is_file() else None)
    if pipeline.function.__module__ == "__main__":
        project, pipeline = _importable(project, pipeline, file)
    return start_pipeline(project, pipeline, values).require_success()


def _importable(project: Project, pipeline: Pipeline, file: Path) -> tuple[Project, Pipeline]:
    """Return the pipeline of a script as other processes find it: by the module its file is.

    What is defined in a notebook or at a prompt no other process can find: it runs in this one.
    """
    config = project.config
    if file.is_file() and file.is_relative_to(config.root):
        module = ".".join(file.relative_to(config.root).with_suffix("").parts)
        return project, getattr(import_module(config, module), pipeline.function.__name__)
    return Project(replace(config, profile=replace(config.profile, executor="inline"))), pipeline


def resume(project: Project, run_id: str, *, listener: Listener | None = None) -> Run:
    """Go on with a run that was interrupted, failed, rejected or cancelled; finished steps are not repeated.

    Raises:
        UsageError: There is no such run, it succeeded, or its driver is alive.
    """
    row = get_run(project, run_id)
    if row["state"] == "succeeded":
        raise UsageError(
            f"Run {run_id} has succeeded.", why="There is nothing left to do.", do=f"filiera show {run_id}"
        )
    if row["state"] == "running" and _lives(project, row):
        raise UsageError(f"Run {run_id} is running.", do=f"filiera log {run_id} --follow, or filiera cancel {run_id}")
    pipeline = project.pipeline(row["pipeline"])
    recorded = json.loads(row["record"])
    values = plain.decode(row["parameters"].encode()) | _versions_used(pipeline, recorded["inputs"])
    assembled = project.assemble(pipeline, values)
    graph = assembled.graph
    earlier = _earlier(project, run_id)
    names = {node.name for node in graph.nodes}
    planner = project.planner(assembled, fresh=frozenset(recorded["fresh"]) & names - earlier.keys())
    planner.read_code()
    last = project.records.read("last_event_of_run", {"run_id": run_id})[0]["seq"]
    recorder = Recorder(
        records=project.records,
        run_id=run_id,
        clock=project.clock,
        seq=last,
        state=recorded_state(project, run_id),
        listener=listener,
    )
    _adopt(project, row, names)
    if recorder.state.status == "running":
        recorder.record(RunInterrupted(reason="its driver was gone"))
    recorder.record(RunResumed(pid=os.getpid(), steps=_steps(graph)))
    return _drive(project, assembled, planner, recorder, _Following(earlier, listener))


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
    return RunState.fold(read_event(row["body"]) for row in rows)


def shown_state(project: Project, row: Row) -> str:
    """Return a run's state for people: ``interrupted`` when it says running but its driver is dead."""
    return "interrupted" if row["state"] == "running" and not _lives(project, row) else str(row["state"])


def cancel(project: Project, run_id: str) -> None:
    """Ask the driver of a running run to stop it, as Ctrl-C there would.

    Raises:
        UsageError: The run is not running, or its driver is on another host.
    """
    row = get_run(project, run_id)
    state = shown_state(project, row)
    if state != "running":
        raise UsageError(
            f"Run {row['run_id']} is not running: its state is {state}.", why="Only a running run can be cancelled."
        )
    pid = identity.pid_of(row["driver"])
    if pid is None:
        host = json.loads(row["driver"])["host"]
        raise UsageError(f"Run {row['run_id']} is driven on host {host!r}.", do="Cancel it there.")
    try:
        os.kill(pid, signal.SIGINT)
    except PermissionError as error:
        raise UsageError(
            f"Run {row['run_id']} is driven by another user.",
            why=f"Process {pid} takes no signals from us.",
            do="Let that user cancel it.",
        ) from error
    except ProcessLookupError:
        return  # it has just ended


def _drive(
    project: Project,
    assembled: Assembled,
    planner: Planner,
    recorder: Recorder,
    following: _Following,
) -> Run:
    log_dir = log_folder(project, recorder.run_id)
    listener = following.listener
    if listener is not None:
        listener.begins(log_dir)
    executor = project.executor(log_dir)
    driver = Driver(
        graph=assembled.graph,
        planner=planner,
        recorder=recorder,
        executor=executor,
        earlier=following.earlier,
        on_wait=listener.waits if listener is not None else None,
    )
    run = Run(project=project, run_id=recorder.run_id, state=recorder.state, graph=assembled.graph)
    published = drive(project, assembled, driver)
    if published is not None:
        run.version, run.is_new_version = published
    return run


@dataclass(frozen=True, slots=True)
class _Following:
    """What a driver goes on from, and who follows it."""

    earlier: Mapping[str, EarlierResult]
    listener: Listener | None


def _new_run(project: Project, assembled: Assembled, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pipeline": assembled.graph.pipeline,
        "kind": assembled.graph.kind,
        "parameters": to_text(plain.encode({name: _given(value) for name, value in values.items()})),
        "started_at": project.clock(),
        "driver": identity.me(),
        "steps_total": len(assembled.graph.nodes),
        "project": project.config.name,
        "profile": project.config.profile.name,
    }


def _record(project: Project, assembled: Assembled, fresh: frozenset[str]) -> dict[str, Any]:
    """Return what a run is made from, for people, for resuming it and for proving it."""
    return record.made_from(project, assembled, fresh)


def _steps(graph: Graph) -> tuple[tuple[str, Stage], ...]:
    return tuple((node.name, node.stage) for node in graph.nodes)


def _versions_used(pipeline: Pipeline, inputs: Mapping[str, str]) -> dict[str, str]:
    """Return, for the parameters that name products, the versions that the run began with: newer ones may have come."""
    products = [p.name for p in pipeline.parameters if isinstance(p.default, Dataset | Model)]
    return {name: inputs[name] for name in products if name in inputs}


def _given(value: Any) -> Any:
    if isinstance(value, Source):
        return value.name
    return str(value.ref) if isinstance(value, Dataset | Model) else value


def _text(value: Any) -> str:
    return str(_given(value))


def _lives(project: Project, row: Row) -> bool:
    return identity.is_alive(row["driver"], last_seen_at=row["heartbeat_at"], now=project.clock())


def _adopt(project: Project, row: Row, steps: Set[str]) -> None:
    """Make this process the driver of a run, whose steps are now these."""
    statement = {
        "run_id": row["run_id"],
        "driver": identity.me(),
        "seen_driver": row["driver"],
        "at": project.clock(),
        "steps_total": len(steps),
    }
    if not project.records.write([("adopt_run", statement)])[0]:
        raise UsageError(f"Run {row['run_id']} is being resumed by another process.")
    recorded = project.records.read("steps_of_run", {"run_id": row["run_id"]})
    gone = [step["step"] for step in recorded if step["step"] not in steps]
    project.records.write([("drop_step_run", {"run_id": row["run_id"], "step": step}) for step in gone])


def _earlier(project: Project, run_id: str) -> dict[str, EarlierResult]:
    found = {}
    for row in project.records.read("steps_of_run", {"run_id": run_id}):
        if row["state"] in ("succeeded", "hit"):
            found[row["step"]] = EarlierResult(row["key"], read_refs(row["outputs"], project.versions.inline))
    return found


def log_folder(project: Project, run_id: str) -> Path:
    """Return where the output of a run's steps lies."""
    return project.store / "logs" / run_id
