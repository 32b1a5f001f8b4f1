"""What waits to be written, of all runs of one driver: many events share one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from time import monotonic
from typing import TYPE_CHECKING, Any

from filiera.core.artifact import ArtifactRef
from filiera.core.logged import Logged
from filiera.core.value import dataclass
from filiera.ports import MetadataStore, Statement

if TYPE_CHECKING:
    from filiera.engine.recorder import Recorder

FLUSH_AFTER_S = 0.02
"""Records wait at most so long for others to share a commit with."""
FLUSH_AT = 4000
"""So many rows are written without waiting for more."""
PAUSES = 10
"""Records wait so many times longer than the last write took: a slow disk, or a durable write, is asked less often."""
LONGEST_PAUSE_S = 0.25
_WITHOUT_PARTS = "json/1"
"""By far the most frequent encoding of small values; of others, a small one may name blobs."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a step returned, under its cache key."""

    outputs: tuple[ArtifactRef, ...]
    blocked: str  #: the verdict's summary, when it blocks
    run_id: str  #: the run that made it
    stored_at: float  #: seconds since the epoch, UTC
    metrics: Logged | None = None  #: what the step logged that made it


@dataclass(kw_only=True)
class Journal:
    """Collects rows and writes them in one transaction, in the order in which kinds of rows first came."""

    records: MetadataStore
    results: dict[str, Result] = field(default_factory=dict)  #: of keys whose results are not written yet
    on_written: Callable[[list[str]], None] | None = None  #: told the keys whose results others can read now
    settle: Callable[[list[ArtifactRef]], None] | None = None  #: has the bytes of artifacts survive a power cut
    is_durable: bool = False  #: the next transaction must survive a power cut: a run's end is in it
    _rows: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    _count: int = 0
    _since: float = 0.0
    _changed: dict[Recorder, None] = field(default_factory=dict)
    _took_s: float = 0.0  #: by the last write
    _unsettled: list[ArtifactRef] = field(default_factory=list)

    def add(self, statement: str, row: Mapping[str, Any]) -> None:
        """Queue a row."""
        if not self._rows:
            self._since = monotonic()  # the clock of the day may be set back
        rows = self._rows.get(statement)
        if rows is None:
            rows = self._rows[statement] = []
        rows.append(row)
        self._count += 1

    def made(self, ref: ArtifactRef) -> None:
        """Queue the name of a value, and its bytes when it is small."""
        if ref.inline is None or ref.codec != _WITHOUT_PARTS:
            self._unsettled.append(ref)
        row = {"digest": ref.digest, "codec": ref.codec, "size_bytes": ref.size_bytes, "inline": ref.inline}
        self.add("put_artifact", row)

    def changed(self, recorder: Recorder) -> None:
        """Note that a run's projections are to be written with the next transaction."""
        self._changed[recorder] = None

    @property
    def due_in_s(self) -> float | None:
        """Return how long the queue may still wait, or None when it is empty."""
        if not self._rows:
            return None
        if self._count >= FLUSH_AT:
            return 0.0
        pause_s = FLUSH_AFTER_S and max(FLUSH_AFTER_S, min(self._took_s * PAUSES, LONGEST_PAUSE_S))
        return max(0.0, self._since + pause_s - monotonic())

    def flush(self) -> None:
        """Write what is queued, then tell the listeners: what was shown as done is never lost."""
        if not self._rows and not self._changed and not self.is_durable:
            return
        if self.is_durable and self.settle is not None:  # hits too: who stored them may not have come so far
            self.settle(self._unsettled)
            self._unsettled = []
        recorders = list(self._changed)
        statements: list[Statement] = [(name, row) for name, rows in self._rows.items() for row in rows]
        # Equal statements next to each other: the store runs them as one.
        statements += [("put_step_run", row) for recorder in recorders for row in recorder.step_rows()]
        statements += [("update_run", recorder.run_row()) for recorder in recorders]
        start = monotonic()
        self.records.write(statements, durable=self.is_durable)
        self._took_s = monotonic() - start
        written = list(self.results)
        self._rows, self._count, self._changed, self.is_durable = {}, 0, {}, False
        self.results.clear()
        if written and self.on_written is not None:
            self.on_written(written)
        for recorder in recorders:
            recorder.written()
