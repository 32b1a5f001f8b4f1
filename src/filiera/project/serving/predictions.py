"""What services of a project have answered: the segments that they write, and the tables that closed ones become.

**Compaction** moves the predictions of closed segments into Parquet tables, one for each version and day (UTC), in the
blob store. In one transaction the tables are recorded and their segments noted as moved; only then those are removed,
unless somebody reads them. So whenever it is killed, each prediction is in one place that counts: segments that are
noted are not read, tables that are not recorded are nobody's, and the next compaction or clean-up removes both.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.adapters.segment_folder import SegmentFolder
from filiera.core.value import dataclass
from filiera.ports import Statement
from filiera.project.housekeeping import alone
from filiera.project.project import Project

if TYPE_CHECKING:
    import polars as pl

    from filiera.adapters.prediction_parts import Spelling

_DAY_S = 86_400.0
_MIB = 1024 * 1024
_FUNCTIONS = "functions"
_BATCH_BYTES = 64 * _MIB
"""So much of small segments is moved at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A table of predictions of one version and day."""

    log: str  #: name of the model, or ``functions/NAME``
    number: int  #: from 1, in the order in which they were made
    version: str
    day: str  #: UTC, such as 2026-01-31
    digest: str  #: of the Parquet file
    size_bytes: int
    rows: int
    first_at: float  #: seconds since the epoch, UTC
    last_at: float
    spelling: str  #: what its types do not say, as JSON

    def unspelled(self) -> Spelling:
        """Return what its types do not say."""
        from filiera.adapters.prediction_parts import Spelling

        said = json.loads(self.spelling)
        return Spelling(texts=tuple(said["texts"]), gaps=tuple(said["gaps"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Compacted:
    """What compaction has moved."""

    log: str
    segments: int = 0
    segment_bytes: int = 0
    rows: int = 0
    part_bytes: int = 0
    damaged: int = 0  #: places of the segments that could not be read


class Predictions:
    """The predictions of one log."""

    def __init__(self, project: Project, log: str) -> None:
        """Look at what services of the model *log*, or the function in ``functions/NAME``, have answered."""
        self._project = project
        self._log = log
        self._folder = SegmentFolder(project.store / "predictions" / log)

    def read(self, *, since: float = 0.0, until: float | None = None) -> Iterator[Mapping[str, Any]]:
        """Yield the records with ``since <= at < until``, each once: those of tables first. Raises StoreError."""
        with self.held() as found:
            yield from found.read(since=since, until=until)

    def scan(self) -> pl.LazyFrame | None:
        """Return all tables as one query, or None while there are none. What is not compacted yet is not in it.

        Columns that only some tables have are null in the others; of two types the one that holds both.
        """
        from filiera.adapters.prediction_parts import together

        return together([file for _, file in self._files()])

    def parts(self) -> list[Part]:
        """Return the tables, in the order in which they were made. Raises StoreError."""
        return [Part(**row) for row in self._project.records.read("prediction_parts", {"log": self._log})]

    @contextmanager
    def held(self) -> Iterator[View]:
        """Return what there is, which stays where it is for the block. Raises StoreError."""
        with self._folder.held():
            parts, moved = self._files(), self._moved()
            yield View(self._folder, [name for name in self._folder.names() if name not in moved], parts)

    def segment_bytes(self) -> int:
        """Return how large the segments are together. Raises StoreError."""
        return self._folder.size_bytes()

    def compact(self) -> Compacted:
        """Move what closed segments hold into tables; return how much that was.

        Raises:
            StoreBusy: Another process keeps house in the store.
            StoreError: Something cannot be read or written; nothing is lost then.
        """
        with alone(self._project.store):
            return self.compact_alone()

    def compact_alone(self) -> Compacted:
        """Compact while this process holds the housekeeping lock."""
        moved, names = self._moved(), set(self._folder.names())
        gone = [{"log": self._log, "name": name} for name in moved - names]
        if gone:
            self._project.records.write([("drop_moved_segment", row) for row in gone])
        if moved & names:
            self._folder.try_remove(moved & names)
        segments = [(name, size) for name, size in self._folder.closed() if name not in moved]
        total = Compacted(log=self._log)
        for batch in _batches(segments):
            rows, size_bytes, damaged = self._move([name for name, _ in batch])
            total = Compacted(
                log=self._log,
                segments=total.segments + len(batch),
                segment_bytes=total.segment_bytes + sum(size for _, size in batch),
                rows=total.rows + rows,
                part_bytes=total.part_bytes + size_bytes,
                damaged=total.damaged + damaged,
            )
        return total

    def _move(self, names: Sequence[str]) -> tuple[int, int, int]:
        """Move some segments; return how many rows, bytes of tables and damaged places there were."""
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for record in self._folder.read(names):
            groups.setdefault((str(record.get("version", "")), _day(record["at"])), []).append(record)
        damaged = self._folder.damaged
        number = max((part.number for part in self.parts()), default=0)
        parts = [
            self._stored(number + place, key, records)
            for place, (key, records) in enumerate(sorted(groups.items()), start=1)
        ]
        statements: list[Statement] = [("add_prediction_part", part) for part in parts]
        statements += [("add_moved_segment", {"log": self._log, "name": name}) for name in names]
        self._project.blobs.settle([part["digest"] for part in parts])
        self._project.records.write(statements, durable=True)
        self._folder.try_remove(names)
        return sum(part["rows"] for part in parts), sum(part["size_bytes"] for part in parts), damaged

    def _stored(self, number: int, key: tuple[str, str], records: list[dict[str, Any]]) -> dict[str, Any]:
        from filiera.adapters.prediction_parts import encoded

        content, spelling = encoded(records)
        times = [record["at"] for record in records]
        return {
            "log": self._log,
            "number": number,
            "version": key[0],
            "day": key[1],
            "digest": self._project.blobs.put(content),
            "size_bytes": len(content),
            "rows": len(records),
            "first_at": min(times),
            "last_at": max(times),
            "spelling": json.dumps({"texts": spelling.texts, "gaps": spelling.gaps}),
        }

    def _moved(self) -> set[str]:
        return {row["name"] for row in self._project.records.read("moved_segments", {"log": self._log})}

    def _files(self) -> list[tuple[Part, Path]]:
        return [(part, self._project.blobs.path(part.digest)) for part in self.parts()]


class View:
    """What a log holds at one moment."""

    def __init__(self, folder: SegmentFolder, names: Sequence[str], parts: Sequence[tuple[Part, Path]]) -> None:
        self._folder = folder
        self._names = names
        self._parts = parts

    def read(self, *, since: float = 0.0, until: float | None = None) -> Iterator[Mapping[str, Any]]:
        """Yield the records with ``since <= at < until``: those of tables first, each in order of logging."""
        yield from self.read_parts([part for part, _ in self._parts], since=since, until=until)
        yield from self.read_segments(since=since, until=until)

    def read_segments(self, *, since: float = 0.0, until: float | None = None) -> Iterator[Mapping[str, Any]]:
        """Yield the records that are in no table."""
        yield from self._folder.read(self._names, since=since, until=until)

    def read_parts(
        self, parts: Collection[Part], *, since: float = 0.0, until: float | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the records of some tables."""
        from filiera.adapters.prediction_parts import decoded

        for part, file in self._parts:
            if part in parts and part.last_at >= since and (until is None or part.first_at < until):
                yield from decoded(file, part.unspelled(), since=since, until=until)

    def tables(self, *, version: int, since: float) -> tuple[list[pl.LazyFrame], list[Part]]:
        """Return the predictions of a version: tables whose types say all, and the parts that must be read as records.

        Columns are ``at``, ``inputs.NAME`` and ``outputs.NAME``.
        """
        from filiera.adapters.prediction_parts import scanned

        tables, others = [], []
        for part, file in self._parts:
            if part.last_at < since or part.version != str(version):
                continue
            if any(name.startswith(("inputs.", "outputs.")) for name in part.unspelled().texts):
                others.append(part)
            else:
                tables.append(scanned(file, since=since))
        return tables, others

    def left_out(self, version: int) -> int:
        """Return how many predictions of tables are of other versions."""
        return sum(part.rows for part, _ in self._parts if part.version != str(version))


def expired(project: Project) -> list[Part]:
    """Return the tables that the project does not keep: too old as a whole, or the oldest of a log that has too much.

    Raises:
        StoreError: The store cannot be read.
    """
    rules = project.config.predictions
    parts = [Part(**row) for row in project.records.read("all_prediction_parts")]
    before = project.clock() - (rules.keep_days or 0) * _DAY_S
    found = [part for part in parts if rules.keep_days is not None and part.last_at < before]
    if rules.keep_mib is None:
        return found
    room: dict[str, int] = {}
    for part in sorted(parts, key=lambda part: part.last_at, reverse=True):
        room[part.log] = room.get(part.log, rules.keep_mib * _MIB) - part.size_bytes
        if room[part.log] < 0 and part not in found:
            found.append(part)
    return found


def forget_expired(project: Project, *, dry_run: bool) -> int:
    """Let go of the tables that the project does not keep, for clean-up, which holds the housekeeping lock.

    What can be compacted is first, so that nothing escapes the rules for long. The bytes go with the other blobs.

    Returns:
        How many predictions are gone, or would be.

    Raises:
        StoreError: The store cannot be read or written.
    """
    rules = project.config.predictions
    if rules.keep_days is None and rules.keep_mib is None:
        return 0
    if not dry_run:
        for log in logs_of(project):
            Predictions(project, log).compact_alone()
    parts = expired(project)
    if parts and not dry_run:
        rows = [{"log": part.log, "number": part.number} for part in parts]
        project.records.write([("drop_prediction_part", row) for row in rows])
    return sum(part.rows for part in parts)


def logs_of(project: Project) -> list[str]:
    """Return the names of all logs of predictions, functions' too. Raises StoreError."""
    folder = project.store / "predictions"
    names = {row["log"] for row in project.records.read("all_prediction_parts")}
    with suppress(FileNotFoundError):
        names |= {entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name != _FUNCTIONS}
        names |= {f"{_FUNCTIONS}/{entry.name}" for entry in (folder / _FUNCTIONS).iterdir() if entry.is_dir()}
    return sorted(names)


def _day(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).date().isoformat()


def _batches(segments: Sequence[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Yield segments in lists that are small enough together; a large one is alone."""
    batch: list[tuple[str, int]] = []
    for segment in segments:
        if batch and sum(size for _, size in batch) + segment[1] > _BATCH_BYTES:
            yield batch
            batch = []
        batch.append(segment)
    if batch:
        yield batch
