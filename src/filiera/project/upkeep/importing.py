"""Taking over the runs of another project, or of this one before something was lost: all of an archive, or nothing.

A run keeps its name where that is free; where it is not, ``train-3`` of another store becomes the pipeline's next
number. A run that is here already, told by pipeline, start, parameters and what it was made from, is not added again,
so that importing twice does what importing once does.

Everything is verified before the store is touched. Then the values are put, which changes nothing that anybody sees,
and all records are added in one transaction. Cached results come along for keys that have none here, so that the same
step with the same inputs is a hit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from filiera.adapters.local_disk import disk_error
from filiera.adapters.run_archive import ArchiveReader
from filiera.core.artifact import ArtifactRef
from filiera.core.products import CHAMPION, ProductRef
from filiera.core.value import dataclass
from filiera.engine.rows import read_refs
from filiera.errors import StoreError
from filiera.ports import Statement
from filiera.project import audit
from filiera.project.housekeeping import alone
from filiera.project.project import Project
from filiera.project.runs import log_folder
from filiera.project.upkeep.arrivals import Arrivals, Line, read_arrivals
from filiera.project.upkeep.marks import Tell
from filiera.project.versions import content_digest

_ATTEMPTS = 10
"""So often names are chosen anew, because runs were started meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedRun:
    """A run of the archive."""

    there: str  #: its name in the archive
    here: str  #: its name in this store
    is_new: bool  #: False: it was here already


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What became of an archive."""

    runs: tuple[ImportedRun, ...]
    versions: tuple[tuple[str, str, bool], ...] = ()  #: name there, name here, and whether it is new
    results: int = 0  #: cached results that this store had not


def import_runs(project: Project, file: Path, *, products: bool, tell: Tell) -> Imported:
    """Add the runs of an archive to a project's store; return what they are called there.

    Args:
        project: Whose store takes them.
        file: What ``export_runs`` wrote. Import only what you trust: its cached results are taken for this project's.
        products: Publish also the versions that these runs published, under this store's next numbers.
        tell: Told what long work has come to.

    Raises:
        UsageError: There is no such file, or a product of another kind has the name of one in it.
        ArchiveError: It is not an archive of runs, or damaged; nothing was changed.
        SchemaTooNew: A newer version of Filiera wrote it; nothing was changed.
        StoreError: The store cannot be written; of the records nothing was changed.
    """
    with ArchiveReader(file) as archive:
        read_bytes = 0
        for size_bytes in archive.verify():
            read_bytes += size_bytes
            tell(f"{read_bytes:,} bytes verified")
        arrivals = read_arrivals(archive)
        for version in arrivals.versions if products else ():
            project.versions.require_free(version["kind"], version["name"])
        try:
            project.store.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, project.store) from error
        with alone(project.store):
            return _Import(project, archive, arrivals, tell).add(products=products)


class _Import:
    """One archive on its way into a store."""

    def __init__(self, project: Project, archive: ArchiveReader, arrivals: Arrivals, tell: Tell) -> None:
        self._project = project
        self._records = project.records
        self._archive = archive
        self._arrivals = arrivals
        self._tell = tell

    def add(self, *, products: bool) -> Imported:
        self._put_blobs()
        for attempt in range(_ATTEMPTS):
            runs = self._named()
            results = self._new_results(runs)
            try:
                self._records.write([*self._statements(runs), *results], durable=True)
                break
            except StoreError:
                if attempt + 1 == _ATTEMPTS or not self._is_taken(runs):
                    raise
        self._put_logs(runs)
        versions = tuple(self._publish(runs)) if products else ()
        return Imported(runs=tuple(runs.values()), versions=versions, results=len(results))

    def _put_blobs(self) -> None:
        blobs = self._project.blobs
        for count, digest in enumerate(self._arrivals.blobs):
            self._archive.put_blob(digest, blobs)
            self._tell(f"{count + 1:,} of {len(self._arrivals.blobs):,} values stored")
        blobs.settle(self._arrivals.blobs)

    def _named(self) -> dict[str, ImportedRun]:
        """Return what each run is called here."""
        found: dict[str, ImportedRun] = {}
        last: dict[str, int] = {}
        for there, row in sorted(
            self._arrivals.runs.items(), key=lambda item: (item[1]["pipeline"], item[1]["number"])
        ):
            pipeline = row["pipeline"]
            same = self._records.read("same_run", row)
            if same:
                found[there] = ImportedRun(there=there, here=same[0]["run_id"], is_new=False)
                continue
            if pipeline not in last:
                last[pipeline] = self._records.read("highest_number", {"pipeline": pipeline})[0]["number"]
            number = row["number"]
            if number in self._taken(found, pipeline) or self._records.read("try_run", {"run_id": there}):
                number = last[pipeline] + 1
            last[pipeline] = max(last[pipeline], number)
            found[there] = ImportedRun(there=there, here=f"{pipeline}-{number}", is_new=True)
        return found

    def _taken(self, found: dict[str, ImportedRun], pipeline: str) -> set[int]:
        names = [run.here.rpartition("-") for run in found.values()]
        return {int(number) for name, _, number in names if name == pipeline}

    def _is_taken(self, runs: dict[str, ImportedRun]) -> bool:
        return any(run.is_new and self._records.read("try_run", {"run_id": run.here}) for run in runs.values())

    def _statements(self, runs: dict[str, ImportedRun]) -> Iterator[Statement]:
        now = self._project.clock()
        for ref in self._arrivals.artifacts.values():
            yield "put_artifact", _artifact_row(ref)
        for closure in self._arrivals.closures:
            yield "put_closure", closure
        new = {there: run.here for there, run in runs.items() if run.is_new}
        for there, row in self._arrivals.runs.items():
            if there in new:
                number = int(new[there].rpartition("-")[2])
                # Seen now: else clean-up would take a run of last year for one that nobody wants any more.
                yield "import_run", {**row, "run_id": new[there], "number": number, "heartbeat_at": now}
                yield "note_pipeline", {"pipeline": row["pipeline"]}
                detail = {"from": self._archive.name, "as": there}
                yield audit.entry("import", new[there], at=now, detail=detail)
        for query, rows in (("import_step_run", self._arrivals.steps), ("add_event", self._arrivals.events)):
            for row in rows:
                if row["run_id"] in new:
                    yield query, {**row, "run_id": new[row["run_id"]]}

    def _new_results(self, runs: dict[str, ImportedRun]) -> list[Statement]:
        """Return what adds the cached results for keys that have none here whose values are there."""
        found: list[Statement] = []
        for row in self._arrivals.results:
            here = self._records.read("try_cache_entry", {"key": row["key"]})
            if not here or not all(map(self._project.holds, read_refs(here[0]["outputs"], self._inline))):
                found.append(("put_cache_entry", {**row, "run_id": runs[row["run_id"]].here}))
        return found

    def _inline(self, digest: str, codec: str) -> bytes | None:
        ref = self._arrivals.artifacts.get((digest, codec))
        if ref is not None:
            return ref.inline
        rows = self._records.read("get_artifact", {"digest": digest, "codec": codec})
        return rows[0]["inline"] if rows else None

    def _put_logs(self, runs: dict[str, ImportedRun]) -> None:
        """Put the logs, also of a run that is here already and has lost them."""
        for name in self._arrivals.logs:
            _, there, file_name = name.split("/")
            target = log_folder(self._project, runs[there].here) / file_name
            with suppress(FileExistsError):
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    self._archive.copy(name, target)

    def _publish(self, runs: dict[str, ImportedRun]) -> Iterator[tuple[str, str, bool]]:
        for row in sorted(self._arrivals.versions, key=lambda row: (row["created_at"], row["kind"], row["name"])):
            there = f"{row['name']}@{row['number']}"
            known = {**row, "content": content_digest(row["artifact"], json.loads(row["body"]))}  # not what a file says
            same = self._records.read("same_version", known)
            if same:
                yield there, f"{row['name']}@{same[0]['number']}", False
                continue
            version = {**known, "run_id": runs[row["run_id"]].here}
            added, found, *_ = self._records.write(self._publishing(version), durable=True)
            ref = ProductRef(row["name"], str(found[0]["number"]))
            yield there, str(ref), bool(added)

    def _publishing(self, version: Line) -> list[Statement]:
        statements: list[Statement] = [("add_product_version", version), ("published_version", version)]
        if version["kind"] != "dataset":
            first: dict[str, Any] = {"alias": CHAMPION, "reason": "first version, imported", "by": audit.actor()}
            statements += [("note_first_alias", {**version, **first}), ("set_first_alias", {**version, **first})]
        said = {"kind": version["kind"], "run": version["run_id"], "from": self._archive.name}
        statements.append(audit.entry_of_new_version(version, at=self._project.clock(), detail=said))
        return statements


def _artifact_row(ref: ArtifactRef) -> Line:
    return {"digest": ref.digest, "codec": ref.codec, "size_bytes": ref.size_bytes, "inline": ref.inline}
