"""What the pipeline's last two runs looked up: read at once, because most of it is looked up again.

Two, because a run for a try is often smaller: what it left out is in the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from filiera.core.artifact import ArtifactRef
from filiera.core.key import KeyParts, differences
from filiera.core.logged import Logged
from filiera.core.value import dataclass
from filiera.engine.journal import Result
from filiera.engine.rows import read_arguments, read_inputs, read_key_parts, read_metrics, read_refs
from filiera.ports import MetadataStore, Row

PAGE = 1000
"""So many steps are read at once."""
MOST_KEPT = 20_000
"""So many are kept; of more, those that were read first are looked up one by one."""
_ENDED_WELL = ("succeeded", "hit", "rejected")


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """What a step returned before this run was interrupted."""

    key: str
    outputs: tuple[ArtifactRef, ...]
    metrics: Logged | None = None  #: what it has logged


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step is to be called with, and what the records would keep of it."""

    step: str
    parts: KeyParts
    written: tuple[str, str]  #: its arguments and inputs as text
    code: bytes  #: parts of its closure


def read_result(row: Row) -> Result:
    """Return the result that a row of the cache holds, with what its step logged as far as that is recorded."""
    refs, metrics = read_refs(row["outputs"]), read_metrics(row["metrics"])
    return Result(refs, row["blocked"], row["made_in"], row["stored_at"], metrics)


@dataclass
class RunBefore:
    """The steps of an earlier run, read in pages, as steps are asked for in order."""

    records: MetadataStore
    pipeline: str
    before: int  #: our own run's number
    back: int  #: 0: the run before that, 1: the one before it
    has_no_step: bool = True  #: as far as it has been read
    has_forgotten: bool = False  #: the pages that were read first
    _steps: dict[str, Row] = field(default_factory=dict)  #: of the pages read last
    _position: int = 0  #: where the next page begins
    _is_read: bool = False  #: to the end

    def row(self, step: str) -> Row | None:
        """Return what the run looked up for a step, with the result there is now."""
        row = self._steps.get(step)
        while row is None and not self._is_read:
            where = {"pipeline": self.pipeline, "before": self.before, "back": self.back}
            rows = self.records.read("steps_before", {**where, "position": self._position, "limit": PAGE})
            self._is_read = len(rows) < PAGE
            self.has_no_step = self.has_no_step and not rows
            if len(self._steps) >= MOST_KEPT:
                self._steps, self.has_forgotten = {}, True
            self._steps.update((row["step"], row) for row in rows)
            self._position = rows[-1]["position"] + 1 if rows else 0
            row = self._steps.get(step)
        return row


@dataclass
class History:
    """Explains why a step is no hit, and finds results without a look into the records for each."""

    records: MetadataStore
    pipeline: str
    compare_code: Callable[[bytes, bytes], list[str]]
    before: int  #: only runs with smaller numbers are looked at

    def __post_init__(self) -> None:
        self._runs = tuple(RunBefore(self.records, self.pipeline, self.before, back) for back in range(2))

    def key(self, step: str, closure: str, written: tuple[str, str]) -> str | None:
        """Return the key of a call if the step's last run made the same one: no need to compute it again."""
        row = self._row(step)
        if row is None or row["closure_digest"] != closure or (row["arguments"], row["inputs"]) != written:
            return None
        return row["key"] or None

    def result(self, key: str, step: str) -> Result | None:
        """Return the result under *key* if the step's last run found one."""
        row = self._row(step)
        if row is None or row["key"] != key or row["outputs"] is None:
            return None
        return read_result(row if row["state"] in _ENDED_WELL else {**row, "metrics": ""})

    def why(self, call: Asked) -> str:
        """Return what differs from the step's last run, in words."""
        row = self._last(call.step)
        if row is None:
            return "first run"
        changes = self._changes(row, call)
        if changes:
            return "; ".join(changes)
        if row["state"] in _ENDED_WELL:
            return "its result is not in the cache"
        return f"it did not succeed in {row['run_id']}"

    def _changes(self, row: Row, call: Asked) -> list[str]:
        same_code = row["closure_digest"] == call.parts.closure
        if same_code and (row["arguments"], row["inputs"]) == call.written:
            return []
        before = self._before_parts(row, call)
        changes = differences(before, call.parts)
        if not same_code:
            changes = self._code_changes(before.closure, call.code) + [c for c in changes if c != "code changed"]
        return changes

    def _before_parts(self, row: Row, call: Asked) -> KeyParts:
        """Return the parts of a recorded key; those that are written as in *call* are not read again."""
        if row["inputs"] == call.written[1]:
            arguments = read_arguments(row["arguments"])
            return KeyParts(
                closure=row["closure_digest"],
                arguments=arguments,
                inputs=call.parts.inputs,
                codecs=call.parts.codecs,
            )
        if row["arguments"] == call.written[0]:
            inputs, codecs = read_inputs(row["inputs"])
            return KeyParts(closure=row["closure_digest"], arguments=call.parts.arguments, inputs=inputs, codecs=codecs)
        return read_key_parts(row)

    def _last(self, step: str) -> Row | None:
        row = self._row(step)
        if row is not None and row["key"]:
            return row
        if any(run.has_no_step for run in self._runs):
            return None  # there are no others to look at
        if row is None and "[" in step and not any(run.has_forgotten for run in self._runs):
            return None  # a call that the map did not make the last times
        rows = self.records.read("previous_step_run", {"pipeline": self.pipeline, "step": step, "before": self.before})
        return rows[0] if rows else None

    def _row(self, step: str) -> Row | None:
        """Return what one of the last two runs looked up for a step, the newest one if it has a key there."""
        found = None
        for run in self._runs:
            row = run.row(step)
            if row is not None and row["key"]:
                return row
            if run.has_no_step:
                return found
            found = found or row
        return found

    def _code_changes(self, old_digest: str, code: bytes) -> list[str]:
        rows = self.records.read("get_closure", {"digest": old_digest})
        if not rows:
            return ["code changed"]
        return self.compare_code(rows[0]["parts"].encode(), code) or ["code changed"]
