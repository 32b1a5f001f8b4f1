"""What must be so in a store whatever was killed: records that agree, bytes that are there, keys that are free."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filiera.adapters.flight_locks import _ENTRY, FlightLocks
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.core.events import Event, Published, RunEvent, RunFinished, RunResumed, StepExtended
from filiera.core.runstate import RunState, StepState
from filiera.engine.planner import is_fresh
from filiera.engine.rows import read_event, read_refs, write_refs
from filiera.ports import Row
from filiera.project import plugins
from filiera.project.project import Project

_RESUMED_FROM = ("interrupted", "waiting", "failed", "rejected", "cancelled")


@dataclass
class Told:
    """What the listener of a run was told."""

    events: Counter[str] = field(default_factory=Counter)
    run_id: str = ""  #: of the run, once it has ended
    status: str = ""

    def hear(self, line: str) -> None:
        """Take note of a line, if it is one of ``line_of`` or tells the end."""
        if line.startswith("event "):
            self.events[line] += 1
        elif line.startswith("ended "):
            _, self.run_id, _, self.status = line.split()


def line_of(event: Event) -> str:
    """Return an event as one line, the same whether it is told or read."""
    outputs = write_refs(getattr(event, "outputs", ())).replace(" ", ",")
    place = getattr(event, "step", "") or getattr(event, "product", "") or getattr(event, "outcome", "")
    return f"event {type(event).__name__} {place} {outputs}\n"


def check_store(project: Project, *, may_lack: bool = False) -> None:
    """Assert that projections are the fold of events, and that all bytes are held that any record names.

    With *may_lack*, bytes may be gone that no version and no run that succeeded names: the disk has lost them.
    """
    file = project.store / "records.sqlite"
    if not file.exists():
        return
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        tables = database.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'run'").fetchone()[0]
        if not tables:
            return
        found = {run_id for (run_id,) in database.execute("SELECT run_id FROM run")}
        assert found >= {run_id for (run_id,) in database.execute("SELECT DISTINCT run_id FROM event")}
        cached = [text for (text,) in database.execute("SELECT outputs FROM cache_entry")]
    for run_id in sorted(found):
        state = check_run(project, run_id)
        if not may_lack or state.status == "succeeded":
            for event in events_of(project, run_id):
                check_held(project, _named_by(project, event))
    for text in () if may_lack else cached:
        check_held(project, read_refs(text))
    for version in project.versions.find(limit=1000):
        check_held(project, (version.artifact, *version.attachments.values()))


def check_run(project: Project, run_id: str) -> RunState:
    """Assert that what lists read of a run is what its events say; return that."""
    events = events_of(project, run_id)
    assert events, "a run without its first event could be neither resumed nor explained"
    state = RunState.fold(events)
    run = project.records.read("get_run", {"run_id": run_id})[0]
    is_adopted = run["state"] == "running" and state.status in _RESUMED_FROM  # by a driver that said nothing yet
    if not is_adopted:
        assert (run["state"], run["failure"]) == (state.status, state.message), run_id
        assert run["steps_total"] == len(state.steps)
        assert run["steps_done"] == state.count("succeeded", "hit", "caught", "skipped")
        assert run["steps_hit"] == state.count("hit")
        assert json.loads(run["outcome"]).get("published", []) == state.published
        assert (run["finished_at"] is not None) == (state.status in ("succeeded", "failed", "rejected", "cancelled"))
    expected = shown_steps(events)
    rows = {row["step"]: row for row in project.records.read("steps_of_run", {"run_id": run_id})}
    assert set(rows) <= set(expected) if is_adopted else set(rows) == set(expected), run_id
    for name, row in rows.items():
        _check_step(row, expected[name])
    return state


def _named_by(project: Project, event: Event) -> tuple[ArtifactRef, ...]:
    return read_refs(write_refs(getattr(event, "outputs", ())), project.versions.inline)


def events_of(project: Project, run_id: str) -> list[Event]:
    """Return the recorded events of a run, which are numbered without a gap."""
    rows = project.records.read("events_of_run", {"run_id": run_id, "since": 0})
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    return [read_event(row["kind"], row["body"]) for row in rows]


def shown_steps(events: Iterable[Event]) -> dict[str, StepState]:
    """Return what lists show of each step: its state after its last event.

    A step that has had none since the run was resumed is shown as before, so that whoever resumes it again knows what
    was finished; one that the resumed run does not have is not shown.
    """
    state, shown = RunState(), dict[str, StepState]()
    for event in events:
        state.apply(event)
        if isinstance(event, RunResumed):
            names = frozenset(name for name, _ in event.steps)
            shown = {name: step for name, step in shown.items() if is_fresh(name, names)}
        elif not isinstance(event, RunEvent):
            shown[event.step] = state.steps[event.step]
            if isinstance(event, StepExtended):
                shown |= {name: state.steps[name] for name, _ in event.steps}
    return shown


def _check_step(row: Row, step: StepState) -> None:
    what = f"{row['run_id']} {row['step']}"
    assert (row["state"], row["attempt"], row["stage"]) == (step.status, step.attempt, step.stage), what
    assert row["outputs"] == write_refs(step.outputs), what
    assert row["position"] == step.position, what
    assert bool(row["failure"]) == (step.status in ("failed", "retrying", "caught")), what


def check_held(project: Project, refs: Iterable[ArtifactRef]) -> None:
    """Assert that all bytes of artifacts are there, whole and readable as the values that they are."""
    for ref in refs:
        if ref.inline is not None:
            assert blob_digest(ref.inline) == ref.digest
        for digest in plugins.blobs_of(ref, project.blobs.get):
            project.blobs.get(digest)


def check_told(project: Project, told: Told) -> None:
    """Assert that what a listener was told of the newest run is recorded."""
    if not told.events:
        return
    recorded: Counter[str] = Counter()
    ends: dict[str, str] = {}
    for row in project.records.read("find_runs", {"before_at": 1e18, "before_id": "", "limit": 1000}):
        events = events_of(project, row["run_id"])
        recorded.update(map(line_of, events))
        ends[row["run_id"]] = row["state"]
    assert not told.events - recorded, f"told, but not recorded: {dict(told.events - recorded)}"
    if told.run_id:
        assert ends[told.run_id] == told.status


def published_by(events: Iterable[Event]) -> list[str]:
    """Return the versions that a run says it published, when it succeeded."""
    found = list(events)
    is_done = any(isinstance(event, RunFinished) and event.outcome == "succeeded" for event in found)
    return [event.product for event in found if isinstance(event, Published)] if is_done else []


def check_flights(file: Path) -> None:
    """Assert that another driver can take every key that anybody has ever taken and not given back."""
    if not file.exists():
        return
    locks = FlightLocks(file)
    try:
        for key in _taken(file.read_bytes()):
            assert locks.try_take(key), "a dead process still has a key"
            locks.release(key)
    finally:
        locks.close()


def _taken(table: bytes) -> Iterator[str]:
    whole = len(table) - len(table) % _ENTRY.size
    entry: tuple[Any, ...]
    for entry in _ENTRY.iter_unpack(table[:whole]):
        if entry[0]:
            yield f"{entry[0] << 2:016x}"
