"""Clean-up: letting go of what no kept record needs, beside live runs, and whatever kills it in the middle.

What is kept follows from the runs that stay (``retention.py``) and from the versions, none of which goes by itself. Old
runs go first, with their steps, events and logs; then whatever no row that is left names: results in the cache, values,
closures of code, blobs.

**A live run loses nothing.** It comes to need something in one of three ways.

1. *It is given a result by the cache*, whose artifacts it names in its records some time later. A result that no
   recorded step used is *set aside*, by a transaction that moves its row and that sees no run under way: whoever was
   given it before is recorded by then, and whoever looks later finds nothing. Then all records are looked at once more;
   a result that was used meanwhile, by a run that came and went since the first look, is put back. Only then the rest
   goes; what the cache still has counts as needed. Before its run is recorded as running, a driver looks up what the
   newest run of its pipeline used, which always stays.
2. *It computes a value that is there already.* Of a blob the time of storing is renewed when it is put again and that
   time is more than an hour old (``folder_blobs.py``). Blobs stored after the *cutoff* stay, which lies the grace, at
   least two hours, before now, and two before the oldest live run began; now is read off the store's own disk. A
   blob older than that leaves its place first, and only if its time is then still old it goes (``folder_sweep.py``): a
   put before that has renewed the time, one after it finds no blob and writes one. Artifacts and closures in the
   records have no time; they are set aside and looked for once more as results are. A run that begins after that and
   puts one of them finds no row and adds it anew.
3. *It goes on from its own records*, when it is resumed. A run is forgotten in one transaction with its steps and
   events, which does nothing when another driver has taken it since; what a run that stays has recorded is needed.

So beside live runs, results, values and closures stay, and with them all that the cache can give; the next clean-up in
a quiet moment takes them.

**Killed at any point, nothing is lost**, since each step leaves a store in which all that is needed is in its place, in
a row or file that is set aside, or on its way out with nothing that needs it. The next clean-up first puts back all
that is aside and begins anew.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from filiera.adapters.folder_sweep import FolderSweep
from filiera.core.digest import is_digest
from filiera.core.products import ProductKind, ProductRef
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.ports import Row, Statement
from filiera.project import audit
from filiera.project.housekeeping import alone
from filiera.project.project import Project
from filiera.project.runs import log_folder
from filiera.project.serving.packages import require_unasked
from filiera.project.serving.predictions import forget_expired
from filiera.project.upkeep.abandoned import record_interruption
from filiera.project.upkeep.marks import Needed, Parts, Tell
from filiera.project.upkeep.retention import Kept, Retention
from filiera.project.upkeep.shelf import CLOSURES, RESULTS, VALUES, Shelf

_OF_RECORDS = ("predictions", "runs", "logs", "results", "values", "code")
KINDS = (*_OF_RECORDS, "checkpoints", "metrics", "studies", "blobs", "scratch")
_SHELVES = {"results": RESULTS, "values": VALUES, "code": CLOSURES}
_AT_ONCE = 1000
_STEPS_AT_ONCE = 2000
_LIVE_MARGIN_S = 7200.0
"""The hour after which a blob that is put again is marked as newly stored, and one for planning a run."""
_DIGEST_BYTES = 32


@dataclass(slots=True)
class Amount:
    """How much there is of one kind."""

    count: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """Count one more."""
        self.count += 1
        self.size_bytes += size_bytes


@dataclass(kw_only=True, slots=True)
class Removed:
    """What clean-up let go of, or would, by kind."""

    amounts: dict[str, Amount] = field(default_factory=lambda: {kind: Amount() for kind in KINDS})
    live: tuple[str, ...] = ()  #: runs under way, beside which results, values and code stay

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all kinds together."""
        return sum(amount.size_bytes for amount in self.amounts.values())


def collect(project: Project, retention: Retention, *, dry_run: bool, tell: Tell) -> Removed:
    """Let go of what no kept record needs, or only count it; return how much of each kind.

    Args:
        project: Whose store is cleaned.
        retention: Which runs stay, and how young what must be that stays in any case.
        dry_run: Change nothing.
        tell: Told what long work has come to.

    Raises:
        StoreBusy: Another process keeps house there.
        StoreError: The store cannot be read or written.
    """
    if not project.store.is_dir():
        return Removed()
    if dry_run:
        return _Collection(project, retention, tell, dry_run=True).run()
    with alone(project.store):
        put_back(project)
        for row in Kept(project.records, retention, now=project.clock()).abandoned:
            record_interruption(project, row)
        removed = _Collection(project, retention, tell, dry_run=False).run()
        counts = {kind: amount.count for kind, amount in removed.amounts.items() if amount.count}
        if counts:
            project.records.write([audit.entry("gc", str(project.store), at=project.clock(), detail=counts)])
    return removed


def put_back(project: Project) -> None:
    """Put back all that a clean-up that was killed had set aside. Raises StoreError."""
    FolderSweep(project.store / "blobs").put_back()
    for shelf in _SHELVES.values():
        shelf.put_needed_back(project.records, lambda name: True)


def drop_version(project: Project, ref: ProductRef) -> None:
    """Forget a version of a product; clean-up then treats its run and values as any others.

    Raises:
        UsageError: There is no such version, an alias means it, a service asks it, or it is the newest.
        StoreBusy: Another process keeps house there.
    """
    kind = project.versions.kind_of(ref.name)
    version = project.versions.get(kind, ref)
    where = {"kind": kind, "name": version.name, "number": version.number}
    require_unasked(project.versions, version)
    noted = audit.entry("gc", version.ref, at=project.clock(), detail={"digest": version.artifact.digest})
    with alone(project.store):
        if project.records.write([("drop_version", where), ("drop_signatures_of_dropped_version", where), noted])[0]:
            return
    if version.aliases:
        raise UsageError(
            f"{version.ref} cannot be dropped: it is {', '.join(version.aliases)}.",
            why="A version that an alias means is in use.",
            do=f"Point the alias at another one first: filiera promote {version.name}@NUMBER {version.aliases[0]}",
        )
    raise UsageError(
        f"{version.ref} cannot be dropped: it is the newest version.",
        why="The next one would get its number, and mean something else.",
        do="Publish another one first.",
    )


def drop_product(project: Project, kind: ProductKind, name: str) -> None:
    """Forget all versions of a product, aliases and signatures too; its name is free then.

    Raises:
        StoreBusy: Another process keeps house there.
    """
    where = {"kind": kind, "name": name}
    noted = audit.entry("gc", name, at=project.clock())
    dropped: list[Statement] = [(f"drop_{what}_of_product", where) for what in ("aliases", "signatures", "versions")]
    with alone(project.store):
        project.records.write([*dropped, noted])


class _Collection:
    """One clean-up of a whole store, or one look at what it would do."""

    def __init__(self, project: Project, retention: Retention, tell: Tell, *, dry_run: bool) -> None:
        self._project = project
        self._records = project.records
        self._tell = tell
        self._dry_run = dry_run
        self._kept = Kept(project.records, retention, now=project.clock())
        self._results_before = project.clock() - retention.grace_s
        oldest = min((row["started_at"] for row in self._kept.live), default=math.inf)
        self._cutoff = min(_disk_time(project.store) - retention.grace_s, oldest - _LIVE_MARGIN_S)
        self._removed = Removed(live=tuple(row["run_id"] for row in self._kept.live))
        self._amounts = self._removed.amounts

    def run(self) -> Removed:
        """Clean up, or look, and return how much there was."""
        self._amounts["predictions"].count = forget_expired(self._project, dry_run=self._dry_run)
        self._runs()
        with Needed(self._project, self._tell) as needed:
            self._look(needed)
            self._unneeded_rows(needed)
            is_settled = all(shelf.is_empty(self._records) for shelf in _SHELVES.values())
            if is_settled or self._dry_run:
                self._files(needed)
        if not is_settled and not self._dry_run:
            with Needed(self._project, self._tell) as needed:
                self._look_again(needed)
                self._files(needed)
        return self._removed

    def _runs(self) -> None:
        for rows in self._kept.others():
            for some in _some_steps_at_a_time(rows):
                self._drop_runs(some)
                self._tell(f"{self._amounts['runs'].count:,} runs do not stay")
        for folder in _entries(self._project.store / "logs"):
            with suppress(FileNotFoundError):
                is_old = folder.stat().st_mtime < self._cutoff
                if is_old and not self._records.read("try_run", {"run_id": folder.name}):
                    self._drop_logs(folder)

    def _drop_runs(self, rows: list[Row]) -> None:
        if not self._dry_run:
            statements: list[Statement] = [("drop_run", row) for row in rows]
            for what in ("steps", "events", "approvals", "proofs"):
                statements += [(f"drop_{what}_of_dropped_run", {"run_id": row["run_id"]}) for row in rows]
            dropped = self._records.write(statements)
            rows = [row for row, gone in zip(rows, dropped, strict=False) if gone]
        for row in rows:
            self._amounts["runs"].add(0)
            self._drop_logs(log_folder(self._project, row["run_id"]))

    def _drop_logs(self, folder: Path) -> None:
        if folder.is_dir() and not folder.is_symlink():
            self._amounts["logs"].add(sum(file.stat().st_size for file in _files_below(folder)))
            if not self._dry_run:
                shutil.rmtree(folder)

    def _look(self, needed: Needed) -> None:
        """Mark what is needed, and set aside, or count, the results that are not."""
        needed.look(self._kept.stays if self._dry_run else _any_run)
        count = 0
        for rows in self._rows_of(RESULTS):
            unused = []
            for row in rows:
                if row["stored_at"] >= self._results_before or row["key"] in needed.keys:
                    needed.mark(row["outputs"])
                else:
                    unused.append(row)
            for row in self._staying("results", unused):
                needed.mark(row["outputs"])
            count += len(rows)
            self._tell(f"{count:,} results looked at")

    def _look_again(self, needed: Needed) -> None:
        """Mark what is needed now, put that back, and let go of the rest that is aside."""
        needed.look(_any_run)
        RESULTS.put_needed_back(self._records, needed.keys.__contains__)
        for rows in RESULTS.rows(self._records):
            for row in rows:
                needed.mark(row["outputs"])
        VALUES.put_needed_back(self._records, needed.values.__contains__)
        CLOSURES.put_needed_back(self._records, needed.code.__contains__)
        for kind, shelf in _SHELVES.items():
            for row in shelf.clear(self._records):
                self._amounts[kind].add(row["kept_bytes"])

    def _unneeded_rows(self, needed: Needed) -> None:
        """Set aside, or count, the values and closures that are not needed."""
        for kind, shelf, marks in (("values", VALUES, needed.values), ("code", CLOSURES, needed.code)):
            for rows in self._rows_of(shelf):
                self._staying(kind, [row for row in rows if row["digest"] not in marks])

    def _rows_of(self, shelf: Shelf) -> Iterator[list[Row]]:
        """Yield the rows in their place; in a look also those aside, which a clean-up would have put back first."""
        yield from shelf.rows(self._records)
        if self._dry_run:
            yield from shelf.rows_aside(self._records)

    def _staying(self, kind: str, rows: list[Row]) -> list[Row]:
        """Set unneeded rows aside, or count them, and return those that stay because a run is under way."""
        if not rows or self._kept.live:
            return rows
        if not self._dry_run:
            return _SHELVES[kind].move(self._records, rows)
        for row in rows:
            self._amounts[kind].add(row["kept_bytes"])
        return []

    def _files(self, needed: Needed) -> None:
        self._checkpoints(needed)
        self._curves(needed)
        self._studies()
        self._blobs(needed)
        self._scratch()

    def _checkpoints(self, needed: Needed) -> None:
        """Mark what steps that may go on have kept, and remove what others have, which only makes them begin anew."""
        for file in sorted(_entries(self._project.store / "checkpoints")):
            with suppress(FileNotFoundError):
                found = file.stat()
                if found.st_mtime >= self._cutoff or not is_digest(file.name) or file.name in needed.keys:
                    needed.mark_list(file.read_bytes())
                    continue
                self._amounts["checkpoints"].add(found.st_size)
                if not self._dry_run:
                    file.unlink()

    def _curves(self, needed: Needed) -> None:
        """Remove what steps have logged that were killed and are forgotten; of those that ended it is a value."""
        for file in sorted(_entries(self._project.store / "metrics")):
            with suppress(FileNotFoundError):
                found = file.stat()
                if found.st_mtime < self._cutoff and is_digest(file.name) and file.name not in needed.keys:
                    self._amounts["metrics"].add(found.st_size)
                    if not self._dry_run:
                        file.unlink()

    def _studies(self) -> None:
        """Remove the notes of studies that nobody has gone on with: their trials would be made again."""
        for file in sorted(_entries(self._project.store / "studies")):
            with suppress(FileNotFoundError):
                found = file.stat()
                if found.st_mtime < self._cutoff:
                    self._amounts["studies"].add(found.st_size)
                    if not self._dry_run:
                        file.unlink()

    def _blobs(self, needed: Needed) -> None:
        sweep = FolderSweep(self._project.store / "blobs")
        with Parts(self._project.store, _DIGEST_BYTES + 8) as old:
            for count, (digest, size_bytes, stored_at) in enumerate(self._project.blobs.blobs()):
                if stored_at < self._cutoff:
                    old.add(digest, size_bytes.to_bytes(8, "big"))
                if count % _AT_ONCE == 0:
                    self._tell(f"{count:,} blobs looked at")
            for digest, size_bytes in sweep.leaving():
                old.add(digest, size_bytes.to_bytes(8, "big"))
            for record in old:
                digest, size_bytes = record[:_DIGEST_BYTES].hex(), int.from_bytes(record[_DIGEST_BYTES:], "big")
                if digest in needed.values:
                    continue
                if self._dry_run or sweep.remove(digest, stored_before=self._cutoff):
                    self._amounts["blobs"].add(size_bytes)

    def _scratch(self) -> None:
        for entry in _entries(self._project.store / "blobs" / "scratch"):
            with suppress(FileNotFoundError):
                found = entry.stat()
                if found.st_mtime < self._cutoff and entry.is_file():
                    self._amounts["scratch"].add(found.st_size)
                    if not self._dry_run:
                        entry.unlink()


def _any_run(run: Row) -> bool:
    """Stand in for the rules once they were followed: what is still there stays, perhaps because it was resumed."""
    return True


def _some_steps_at_a_time(rows: list[Row]) -> Iterator[list[Row]]:
    """Yield runs in lists that have few enough steps together for one transaction; a large run is alone."""
    some: list[Row] = []
    steps = 0
    for row in rows:
        if some and steps + row["steps_total"] > _STEPS_AT_ONCE:
            yield some
            some, steps = [], 0
        some.append(row)
        steps += row["steps_total"] + 1
    if some:
        yield some


def _disk_time(folder: Path) -> float:
    """Return what time it is by the clock of the disk that *folder* is on, which stamps its files."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"?")
        file.flush()
        return os.fstat(file.fileno()).st_mtime


def _entries(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            yield Path(entry.path)


def _files_below(folder: Path) -> Iterator[Path]:
    for base, _, files in os.walk(folder):
        yield from (Path(base, file) for file in files)
