"""Starting, resuming and ending runs of a project."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence, Set
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from filiera.core import plain
from filiera.core.events import RunInterrupted, RunResumed, RunStarted
from filiera.core.graph import Graph
from filiera.core.pipeline import Pipeline
from filiera.core.products import Dataset, Model, Source
from filiera.core.runstate import RunState
from filiera.core.stages import Stage
from filiera.core.value import dataclass
from filiera.engine.course import Course
from filiera.engine.history import EarlierResult
from filiera.engine.journal import Journal
from filiera.engine.planner import Planner, is_fresh
from filiera.engine.recorder import Recorder
from filiera.engine.rows import read_metrics, read_refs, to_json, to_text, write_event
from filiera.errors import FilieraError, UsageError
from filiera.ports import Row, Statement
from filiera.project import audit, identity, record
from filiera.project.assemble import Assembled
from filiera.project.drive import Journey, drive
from filiera.project.fresh import may_have
from filiera.project.index import import_module
from filiera.project.project import Listener, Project
from filiera.project.runs import Run, get_run, is_driven, recorded_state, shown_state

_CREATED_AT_ONCE = 500
"""So many runs are recorded as started in one transaction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """A pipeline to run, with its parameters."""

    pipeline: Pipeline
    values: Mapping[str, Any] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()  #: steps to run although they are in the cache


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
    return start_many(project, [Launch(pipeline=pipeline, values=values, fresh=fresh)], listener=listener)[0]


def start_many(project: Project, launches: Sequence[Launch], *, listener: Listener | None = None) -> list[Run]:
    """Run many pipelines together, on the same workers, and return their runs in the same order, however they ended.

    *listener* hears of all of them; which one, the state says.

    Raises:
        UsageError, GraphError, SourceError: One of them could not be planned; nothing was recorded.
        StoreError: The store could not be written.
    """
    if not launches:
        return []
    record.begin(project)
    planned = [_plan(project, launch, is_alone=len(launches) == 1) for launch in launches]
    journal = Journal(records=project.records)
    journeys = []
    first_numbers: dict[str, int] = {}
    for start in range(0, len(planned), _CREATED_AT_ONCE):
        journeys += _create(project, journal, planned[start : start + _CREATED_AT_ONCE], first_numbers)
    drive(project, journal, journeys, listener)
    return [journey.run for journey in journeys]


@dataclass(frozen=True, slots=True)
class _Planned:
    launch: Launch
    assembled: Assembled
    planner: Planner


def _plan(project: Project, launch: Launch, *, is_alone: bool) -> _Planned:
    try:
        assembled = project.assemble(launch.pipeline, launch.values, fresh=launch.fresh)
        planner = project.planner(assembled, fresh=launch.fresh)
        planner.read_code()
    except FilieraError as error:
        if not is_alone:
            error.what = f"Pipeline {launch.pipeline.name!r} cannot be planned, so none has started: {error.what}"
        raise
    return _Planned(launch, assembled, planner)


def _create(
    project: Project, journal: Journal, planned: Sequence[_Planned], first_numbers: dict[str, int]
) -> list[Journey]:
    """Record new runs, each with its first event: without that it could be neither resumed nor explained.

    *first_numbers* are those of the first run of each pipeline that is started along with the others.
    """
    statements: list[Statement] = []
    events = []
    driver = identity.me()
    for plan in planned:
        graph, pipeline, values = plan.assembled.graph, plan.launch.pipeline, plan.launch.values
        shown = {p.name: _text(values.get(p.name, p.default)) for p in pipeline.parameters}
        event = RunStarted(pipeline=graph.pipeline, kind=graph.kind, steps=_steps(graph), parameters=shown)
        row = {**_new_run(project, plan.assembled, values), "driver": driver}
        row["record"] = to_json(record.made_from(project, plan.assembled, plan.launch.fresh))
        first = {"at": row["started_at"], "kind": type(event).__name__, "body": write_event(event)}
        first |= {name: row[name] for name in ("pipeline", "driver")}
        act = audit.entry_of_new_run(
            pipeline=row["pipeline"], driver=row["driver"], at=row["started_at"], detail={"profile": row["profile"]}
        )
        statements += [("create_run", row), ("note_pipeline", row), ("add_first_event", first), act]
        events.append(event)
    created = [rows[0] for rows in project.records.write(statements)[::4]]
    journeys = []
    for new, event, plan in zip(created, events, planned, strict=True):
        plan.planner.before = first_numbers.setdefault(event.pipeline, new["number"])
        recorder = Recorder(
            journal=journal, run_id=new["run_id"], clock=project.clock, seq=1, state=RunState.fold([event])
        )
        course = _course(project, plan.planner, recorder)
        journeys.append(Journey(project, plan.assembled, course, event))
    return journeys


def _course(
    project: Project, planner: Planner, recorder: Recorder, earlier: Mapping[str, EarlierResult] | None = None
) -> Course:
    return Course(
        graph=planner.graph,
        planner=planner,
        recorder=recorder,
        artifacts=project.artifacts,
        notes=project.store / "studies",
        slots=project.slots,
        earlier=earlier or {},
    )


def start_in_its_project(pipeline: Pipeline, values: Sequence[Mapping[str, Any]]) -> list[Run]:
    """Run a pipeline, once for each of *values*, in the project that its file lies in, or else the current folder.

    Raises:
        ProjectError: There is no project.
        UsageError, GraphError, SourceError, StoreError: As ``start_many``.
    """
    file = Path(pipeline.function.__code__.co_filename).absolute()
    project = Project.open(file.parent if file.is_file() else None)
    if pipeline.function.__module__ == "__main__":
        project, pipeline = _importable(project, pipeline, file)
    return start_many(project, [Launch(pipeline=pipeline, values=one) for one in values])


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
    if row["state"] == "running" and is_driven(project, row):
        raise UsageError(f"Run {run_id} is running.", do=f"filiera log {run_id} --follow, or filiera cancel {run_id}")
    pipeline = project.pipeline(row["pipeline"])
    recorded = json.loads(row["record"])
    values = plain.decode(row["parameters"].encode()) | _versions_used(pipeline, recorded["inputs"])
    assembled = project.assemble(pipeline, values, fresh=frozenset(recorded["fresh"]))
    graph = assembled.graph
    earlier = _earlier(project, run_id)
    names = {node.name for node in graph.nodes}
    fresh = frozenset(name for name in recorded["fresh"] if may_have(graph, name) and name not in earlier)
    planner = project.planner(assembled, fresh=fresh)
    planner.before = row["number"]
    planner.read_code()
    last = project.records.read("last_event_of_run", {"run_id": run_id})[0]["seq"]
    journal = Journal(records=project.records)
    recorder = Recorder(
        journal=journal,
        run_id=run_id,
        clock=project.clock,
        seq=last,
        state=recorded_state(project, run_id),
        listener=listener,
    )
    _adopt(project, row, names)
    if recorder.state.status == "running":
        recorder.record(RunInterrupted(reason="its driver was gone"))
    event = RunResumed(pid=os.getpid(), steps=_steps(graph))
    recorder.record(event)
    course = _course(project, planner, recorder, earlier)
    journey = Journey(project, assembled, course, event)
    drive(project, journal, [journey], listener)
    return journey.run


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
    project.records.write([audit.entry("cancel", row["run_id"], at=project.clock())])
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


def _new_run(project: Project, assembled: Assembled, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pipeline": assembled.graph.pipeline,
        "kind": assembled.graph.kind,
        "parameters": to_text(plain.encode({name: _given(value) for name, value in values.items()})),
        "started_at": project.clock(),
        "steps_total": len(assembled.graph.nodes),
        "project": project.config.name,
        "profile": project.config.profile.name,
    }


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
    gone = [step["step"] for step in recorded if not is_fresh(step["step"], frozenset(steps))]
    dropped: list[Statement] = [("drop_step_run", {"run_id": row["run_id"], "step": step}) for step in gone]
    project.records.write([*dropped, audit.entry("resume", row["run_id"], at=project.clock())])


def _earlier(project: Project, run_id: str) -> dict[str, EarlierResult]:
    found = {}
    for row in project.records.read("steps_of_run", {"run_id": run_id}):
        if row["state"] in ("succeeded", "hit") and row["key"]:
            found[row["step"]] = EarlierResult(
                row["key"], read_refs(row["outputs"], project.versions.inline), read_metrics(row["metrics"])
            )
    return found
