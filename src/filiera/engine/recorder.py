"""The one write path of a run: events, and the projections that lists read, in the same transactions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.events import Event, RunEvent, StepExtended, StepHit, StepStarted
from filiera.core.key import KeyParts
from filiera.core.runstate import RunState, StepState
from filiera.core.value import dataclass
from filiera.engine.journal import Journal, Result
from filiera.engine.rows import (
    to_json,
    to_text,
    write_event,
    write_failure,
    write_json,
    write_log,
    write_logged,
    write_refs,
    write_whole_refs,
)
from filiera.ports import Clock

_ENDED = ("succeeded", "failed", "rejected", "cancelled")
_SHOWN_FAILURE = ("failed", "retrying", "caught")


@dataclass(slots=True)
class StepRecord:
    """What the projection of a step keeps beside its state."""

    parts: KeyParts | None = None
    key: str = ""
    written: tuple[str, str] = ("{}", "{}")  #: arguments and inputs of the key
    reason: str = ""  #: why it runs, or does not
    started_at: float | None = None


@dataclass(kw_only=True, eq=False)
class Recorder:
    """Folds a run's events into its state and has both written."""

    journal: Journal
    run_id: str
    clock: Clock
    seq: int = 0
    state: RunState = field(default_factory=RunState)
    steps: dict[str, StepRecord] = field(default_factory=dict)
    listener: Callable[[Event, RunState], None] | None = None
    _untold: list[Event] = field(default_factory=list)  #: told once they are written: what was shown is never lost
    _dirty: dict[str, None] = field(default_factory=dict)  #: steps whose projection is to be written

    def record(self, event: Event) -> None:
        """Apply an event and queue it for writing."""
        self.state.apply(event)
        now = self.clock()
        self.seq += 1
        kind, body = type(event).__name__, write_event(event)
        self.journal.add("add_event", {"run_id": self.run_id, "seq": self.seq, "at": now, "kind": kind, "body": body})
        self.journal.changed(self)
        if not isinstance(event, RunEvent):
            self._dirty[event.step] = None
            self._note(event, now)
        self._untold.append(event)

    def _note(self, event: Any, now: float) -> None:
        if isinstance(event, StepStarted):
            self.steps.setdefault(event.step, StepRecord()).started_at = now
        elif isinstance(event, StepExtended):
            self._dirty.update(dict.fromkeys(name for name, _ in event.steps))
        elif not isinstance(event, StepHit):  # the outputs of a hit are in the records
            for ref in getattr(event, "outputs", ()):
                self.journal.made(ref)
            if (logged := getattr(event, "metrics", None)) is not None:
                self.journal.made(logged.curves)

    def decided(self, step: str, record: StepRecord) -> None:
        """Note the key of a step and why it runs or not, for its next write."""
        self.steps[step] = record

    def keep(self, key: str, step: str, outputs: tuple[ArtifactRef, ...], blocked: str) -> None:
        """Put a result into the cache, in the same transaction as its event."""
        stored_at = self.clock()
        self.journal.results[key] = Result(outputs, blocked, self.run_id, stored_at, self.state.steps[step].metrics)
        row = {"key": key, "outputs": write_whole_refs(outputs), "blocked": blocked, "run_id": self.run_id}
        self.journal.add("put_cache_entry", {**row, "step": step, "stored_at": stored_at})

    def keep_code(self, digest: str, parts: bytes) -> None:
        """Keep the parts of a code closure, so that a later miss can be explained."""
        self.journal.add("put_closure", {"digest": digest, "parts": to_text(parts)})

    def flush(self, *, durable: bool = False) -> None:
        """Have written what is queued, of this run and of those beside it; *durable* survives a power cut."""
        self.journal.is_durable = self.journal.is_durable or durable
        self.journal.flush()

    def beat(self) -> None:
        """Say, with the next transaction, that the driver lives."""
        self.journal.add("update_run", self.run_row())

    def written(self) -> None:
        """Tell the listener what is in the records now; the journal calls it."""
        self._dirty.clear()
        told, self._untold = self._untold, []
        for event in told:
            if self.listener is not None:
                self.listener(event, self.state)

    def run_row(self) -> dict[str, Any]:
        """Return the run's projection."""
        now = self.clock()
        state = self.state
        return {
            "run_id": self.run_id,
            "state": state.status,
            "finished_at": now if state.status in _ENDED else None,
            "failure": state.message,
            "steps_total": len(state.steps),
            "steps_done": state.count("succeeded", "hit", "caught", "skipped"),
            "steps_hit": state.count("hit"),
            "heartbeat_at": now,
            "outcome": write_json({"published": state.published}),
        }

    def step_rows(self) -> list[dict[str, Any]]:
        """Return the projections of the steps that have changed since they were written; the journal calls it."""
        steps = self.state.steps
        return [self._step_row(steps[name]) for name in self._dirty]

    def _step_row(self, step: StepState) -> dict[str, Any]:
        record = self.steps.get(step.name) or StepRecord()
        parts = record.parts
        status, failure = step.status, step.failure
        return {
            "run_id": self.run_id,
            "step": step.name,
            "position": step.position,
            "stage": step.stage,
            "state": status,
            "attempt": step.attempt,
            "key": record.key,
            "closure_digest": parts.closure if parts else "",
            "arguments": record.written[0],
            "inputs": record.written[1],
            "outputs": write_refs(step.outputs),
            "started_at": record.started_at,
            "duration_s": step.duration_s,
            "failure": to_json(write_failure(failure)) if failure and status in _SHOWN_FAILURE else "",
            "reason": step.detail or record.reason,
            "log": write_json(write_log(step.log)) if step.log else "",
            "metrics": write_json(write_logged(step.metrics)) if step.metrics else "",
        }
