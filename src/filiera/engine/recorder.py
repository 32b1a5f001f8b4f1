"""The one write path of a run: events, and the projections that lists read, in the same transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.events import Event, RunEvent, StepStarted, StepSucceeded
from filiera.core.key import KeyParts
from filiera.core.runstate import RunState, StepState
from filiera.engine.rows import to_json, to_text, write_arguments, write_event, write_inputs, write_refs
from filiera.ports import Clock, MetadataStore, Statement

FLUSH_AFTER_S = 0.02
"""Records wait at most so long for others to share a commit with."""
FLUSH_AT = 2000
_ENDED = ("succeeded", "failed", "rejected", "cancelled")


@dataclass(slots=True)
class StepRecord:
    """What the projection of a step keeps beside its state."""

    parts: KeyParts | None = None
    key: str = ""
    reason: str = ""
    started_at: float | None = None


@dataclass(kw_only=True)
class Recorder:
    """Folds events into the run's state and writes both, many in one transaction."""

    records: MetadataStore
    run_id: str
    clock: Clock
    seq: int = 0
    state: RunState = field(default_factory=RunState)
    steps: dict[str, StepRecord] = field(default_factory=dict)
    listener: Callable[[Event, RunState], None] | None = None
    _buffer: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)  #: rows to write, by statement
    _queued: int = 0
    _untold: list[Event] = field(default_factory=list)  #: told once they are written: what was shown is never lost
    _dirty: dict[str, None] = field(default_factory=dict)
    _buffered_at: float = 0.0

    def record(self, event: Event) -> None:
        """Apply an event and queue it for writing."""
        self.state.apply(event)
        now = self.clock()
        if not self._buffer:
            self._buffered_at = monotonic()  # the clock may be set back
        self.seq += 1
        body = write_event(event)
        row = {"run_id": self.run_id, "seq": self.seq, "at": now, "kind": type(event).__name__, "body": body}
        self._queue("add_event", row)
        if not isinstance(event, RunEvent):
            self._dirty[event.step] = None
            self._note(event, now)
        self._untold.append(event)

    def _note(self, event: Event, now: float) -> None:
        if isinstance(event, StepStarted):
            self.steps.setdefault(event.step, StepRecord()).started_at = now
        elif isinstance(event, StepSucceeded):  # the outputs of a hit are in the records
            for ref in event.outputs:
                self._queue("put_artifact", _artifact_row(ref))

    def decided(self, step: str, parts: KeyParts, key: str, reason: str) -> None:
        """Note the key of a step and why it runs or not, for its next write."""
        self.steps[step] = StepRecord(parts=parts, key=key, reason=reason)

    def keep(self, key: str, step: str, outputs: tuple[ArtifactRef, ...], blocked: str) -> None:
        """Put a result into the cache, in the same transaction as its event."""
        row = {"key": key, "outputs": write_refs(outputs), "blocked": blocked, "run_id": self.run_id, "step": step}
        self._queue("put_cache_entry", {**row, "stored_at": self.clock()})

    def keep_code(self, digest: str, parts: bytes) -> None:
        """Keep the parts of a code closure, so that a later miss can be explained."""
        self._queue("put_closure", {"digest": digest, "parts": to_text(parts)})

    def _queue(self, statement: str, row: Mapping[str, Any]) -> None:
        self._buffer.setdefault(statement, []).append(row)
        self._queued += 1

    @property
    def flush_due_in_s(self) -> float | None:
        """Return how long the queue may still wait, or None when it is empty."""
        if not self._buffer:
            return None
        if self._queued >= FLUSH_AT:
            return 0.0
        return max(0.0, self._buffered_at + FLUSH_AFTER_S - monotonic())

    def flush(self, *, durable: bool = False) -> None:
        """Write what is queued, in one transaction; *durable* survives a power cut."""
        if not self._buffer and not durable:
            return
        # Equal statements next to each other: the store runs them as one.
        statements: list[Statement] = [(name, row) for name, rows in self._buffer.items() for row in rows]
        statements += [("put_step_run", self._step_row(self.state.steps[name])) for name in self._dirty]
        self.records.write([*statements, ("update_run", self.run_row())], durable=durable)
        self._buffer, self._dirty, self._queued = {}, {}, 0
        told, self._untold = self._untold, []
        for event in told:
            if self.listener is not None:
                self.listener(event, self.state)

    def beat(self) -> None:
        """Say that the driver lives."""
        self.records.write([("update_run", self.run_row())])

    def run_row(self) -> dict[str, Any]:
        """Return the run's projection."""
        now = self.clock()
        state = self.state
        return {
            "run_id": self.run_id,
            "state": state.status,
            "finished_at": now if state.status in _ENDED else None,
            "failure": state.message,
            "steps_done": state.count("succeeded", "hit"),
            "steps_hit": state.count("hit"),
            "heartbeat_at": now,
            "outcome": to_json({"published": state.published}),
        }

    def _step_row(self, step: StepState) -> dict[str, Any]:
        record = self.steps.get(step.name) or StepRecord()
        parts = record.parts
        failure = step.failure
        return {
            "run_id": self.run_id,
            "step": step.name,
            "position": step.position,
            "stage": step.stage,
            "state": step.status,
            "attempt": step.attempt,
            "key": record.key,
            "closure_digest": parts.closure if parts else "",
            "arguments": write_arguments(dict(parts.arguments)) if parts else "{}",
            "inputs": write_inputs(parts) if parts else "{}",
            "outputs": write_refs(step.outputs),
            "started_at": record.started_at,
            "duration_s": step.duration_s,
            "failure": to_json(_failure(failure)) if failure and step.status in ("failed", "retrying") else "",
            "reason": step.detail if step.status in ("blocked", "rejected") else record.reason,
            "log": to_json([step.log.file, step.log.start, step.log.end]) if step.log else "",
        }


def _failure(failure: Any) -> dict[str, str]:
    names = ("kind", "error", "message", "traceback")
    return {name: getattr(failure, name) for name in names}


def _artifact_row(ref: ArtifactRef) -> dict[str, Any]:
    return {"digest": ref.digest, "codec": ref.codec, "size_bytes": ref.size_bytes, "inline": ref.inline}
