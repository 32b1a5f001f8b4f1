"""What an archive says, checked row by row before any of it is believed: types, names, and that nothing is missing."""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, get_args

from filiera.adapters.run_archive import ArchiveReader
from filiera.core.artifact import INLINE_LIMIT_BYTES, ArtifactRef
from filiera.core.digest import blob_digest, is_digest
from filiera.core.products import ProductKind, check_product_name
from filiera.core.runstate import RunState, RunStatus, StepStatus
from filiera.core.stages import Kind
from filiera.core.value import dataclass
from filiera.engine.rows import read_event, read_metrics, read_refs, write_refs
from filiera.errors import FilieraError, SchemaTooNew
from filiera.project import plugins
from filiera.project.record import blobs_named
from filiera.project.upkeep.exporting import FORMAT, FORMAT_VERSION, TABLES
from filiera.sql.loader import SCHEMA_VERSION

Line = dict[str, Any]
_RUN_ID = re.compile(r"[A-Za-z_][\w-]{0,99}-[1-9][0-9]{0,11}", re.ASCII)
_JSON = object  # a text that holds a JSON object
COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "run": {
        "run_id": str, "pipeline": str, "number": int, "kind": str, "state": str, "parameters": _JSON,
        "started_at": float, "finished_at": float | None, "driver": _JSON, "heartbeat_at": float | None,
        "record": _JSON, "failure": str, "steps_total": int, "steps_done": int, "steps_hit": int, "project": str,
        "profile": str, "outcome": _JSON,
    },
    "step_run": {
        "run_id": str, "step": str, "position": int, "stage": str, "state": str, "attempt": int, "key": str,
        "closure_digest": str, "arguments": _JSON, "inputs": _JSON, "outputs": str, "started_at": float | None,
        "duration_s": float | None, "failure": str, "reason": str, "log": str, "metrics": str,
    },
    "event": {"run_id": str, "seq": int, "at": float, "kind": str, "body": _JSON},
    "artifact": {"digest": str, "codec": str, "size_bytes": int, "inline": str | None},
    "cache_entry": {
        "key": str, "outputs": str, "blocked": str, "run_id": str, "step": str, "stored_at": float,
    },
    "closure": {"digest": str, "parts": str},
    "product_version": {
        "kind": str, "name": str, "number": int, "artifact": str, "content": str, "run_id": str,
        "created_at": float, "body": _JSON,
    },
}  # fmt: skip
"""The columns of each table and what may be in them."""


@dataclass(kw_only=True)
class Arrivals:
    """All that an archive holds, checked."""

    runs: dict[str, Line] = field(default_factory=dict)  #: by the run's name there
    steps: list[Line] = field(default_factory=list)
    events: list[Line] = field(default_factory=list)
    artifacts: dict[tuple[str, str], ArtifactRef] = field(default_factory=dict)
    results: list[Line] = field(default_factory=list)
    closures: list[Line] = field(default_factory=list)
    versions: list[Line] = field(default_factory=list)
    blobs: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()  #: names of members


def read_arrivals(archive: ArchiveReader) -> Arrivals:
    """Return what a verified archive holds.

    Raises:
        ArchiveError: A row is not what ours are, or names what is not there.
        SchemaTooNew: A newer version of Filiera wrote it.
    """
    try:
        _check_versions(archive.manifest)
        return _Reading(archive).arrivals()
    except SchemaTooNew:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise archive.broken(f"its records are not what they should be: {error}") from error
    except FilieraError as error:
        raise archive.broken(f"its records are not what they should be: {error.what}") from error


def _check_versions(manifest: Mapping[str, Any]) -> None:
    if manifest.get("format") != FORMAT:
        raise ValueError("it is not an archive of runs")
    version, schema = manifest.get("version"), manifest.get("schema")
    if not isinstance(version, int) or not isinstance(schema, int):
        raise ValueError("its manifest does not say of which version it is")
    if version > FORMAT_VERSION or schema > SCHEMA_VERSION:
        raise SchemaTooNew(
            "The archive was written by a newer Filiera.",
            why=f"It has format {version} and tables of version {schema}; "
            f"this program knows them up to {FORMAT_VERSION} and {SCHEMA_VERSION}.",
            do="pip install --upgrade filiera, then import it again. Nothing was changed.",
        )


class _Reading:
    """Reads the tables of one archive, each row checked on its own and then against the others."""

    def __init__(self, archive: ArchiveReader) -> None:
        self._archive = archive
        self._found = Arrivals()

    def arrivals(self) -> Arrivals:
        known = {f"records/{table}.jsonl" for table in TABLES}
        _require(set(self._archive.names("records/")) == known, "it has other tables")
        self._found.blobs = tuple(name.removeprefix("blobs/") for name in self._archive.names("blobs/"))
        self._found.logs = tuple(self._archive.names("logs/"))
        for table, take in self._takers().items():
            for line in self._lines(table):
                take(line)
        self._check_events()
        self._check_parts()
        for name in self._found.logs:
            _require(name.split("/")[1] in self._found.runs, f"{name} is of no run in it")
        return self._found

    def _takers(self) -> Mapping[str, Callable[[Line], None]]:
        return {
            "artifact": self._artifact,
            "run": self._run,
            "step_run": self._step,
            "event": self._event,
            "closure": self._closure,
            "cache_entry": self._result,
            "product_version": self._version,
        }

    def _lines(self, table: str) -> Iterator[Line]:
        columns = COLUMNS[table]
        for content in self._archive.lines(f"records/{table}.jsonl"):
            row = json.loads(content)
            _require(isinstance(row, dict) and set(row) == set(columns), f"a row of {table} has other columns")
            for column, kind in columns.items():
                row[column] = _checked(row[column], kind, f"{table}.{column}")
            yield row

    def _artifact(self, row: Line) -> None:
        content = None if row["inline"] is None else b64decode(row["inline"], validate=True)
        ref = ArtifactRef(digest=row["digest"], codec=row["codec"], size_bytes=row["size_bytes"], inline=content)
        if content is None:
            _require(self._archive.size_bytes(f"blobs/{ref.digest}") == ref.size_bytes, f"value {ref.short} is missing")
        else:
            is_sound = len(content) == ref.size_bytes <= INLINE_LIMIT_BYTES and blob_digest(content) == ref.digest
            _require(is_sound, f"value {ref.short} is damaged")
        _require((ref.digest, ref.codec) not in self._found.artifacts, f"value {ref.short} is there twice")
        self._found.artifacts[ref.digest, ref.codec] = ref

    def _run(self, row: Line) -> None:
        run_id = row["run_id"]
        is_named = _RUN_ID.fullmatch(run_id) and run_id == f"{row['pipeline']}-{row['number']}"
        _require(bool(is_named) and run_id not in self._found.runs, f"{run_id!r} cannot name a run, or does twice")
        _require(row["kind"] in get_args(Kind), f"{run_id} is of kind {row['kind']!r}")
        _require(row["state"] in set(get_args(RunStatus)) - {"new", "running"}, f"{run_id} is {row['state']!r}")
        driver = json.loads(row["driver"])
        _require(
            {name: type(value) for name, value in driver.items()}
            == {"host": str, "boot": str, "pid": int, "start": str},
            f"the driver of {run_id} is not told",
        )
        for digest in blobs_named(json.loads(row["record"])):
            self._require_blob(digest, f"what {run_id} was made from")
        self._found.runs[run_id] = row

    def _step(self, row: Line) -> None:
        self._of_run(row)
        _require(row["state"] in get_args(StepStatus), f"step {row['step']} is {row['state']!r}")
        _require(not row["key"] or is_digest(row["key"]), f"step {row['step']} has the key {row['key']!r}")
        for column in ("failure", "log"):
            _require(not row[column] or json.loads(row[column]) is not None, f"step {row['step']} has no {column}")
        self._named(row["outputs"])
        if (logged := read_metrics(row["metrics"])) is not None:
            self._named(write_refs([logged.curves]))
        self._found.steps.append(row)

    def _event(self, row: Line) -> None:
        self._of_run(row)
        self._found.events.append(row)

    def _closure(self, row: Line) -> None:
        _require(is_digest(row["digest"]), "code has no digest")
        json.loads(row["parts"])
        self._found.closures.append(row)

    def _result(self, row: Line) -> None:
        self._of_run(row)
        _require(is_digest(row["key"]), f"a cached result has the key {row['key']!r}")
        self._named(row["outputs"])
        self._found.results.append(row)

    def _version(self, row: Line) -> None:
        self._of_run(row)
        _require(row["kind"] in get_args(ProductKind), f"{row['name']} is of kind {row['kind']!r}")
        check_product_name(row["name"], row["kind"])
        body = json.loads(row["body"])
        parts = {name: type(value) for name, value in body.items()}
        _require(parts == dict.fromkeys(("description", "inputs", "attachments"), dict), "a version is not described")
        for text in (row["artifact"], *body["attachments"].values()):
            _require(len(self._named(text)) == 1, f"{row['name']}@{row['number']} is not one value")
        self._found.versions.append(row)

    def _of_run(self, row: Line) -> None:
        _require(row["run_id"] in self._found.runs, f"a row is of run {row['run_id']!r}, which it has not")

    def _named(self, outputs: str) -> tuple[ArtifactRef, ...]:
        refs = read_refs(outputs, lambda digest, codec: None)
        for ref in refs:
            known = self._found.artifacts.get((ref.digest, ref.codec))
            _require(known is not None and known.size_bytes == ref.size_bytes, f"value {ref.short} is missing")
            _require(ref.inline is None or blob_digest(ref.inline) == ref.digest, f"value {ref.short} is damaged")
        return refs

    def _check_events(self) -> None:
        """Fold the events of each run, as everybody does who looks at it."""
        of_run: dict[str, list[Line]] = {run_id: [] for run_id in self._found.runs}
        for row in self._found.events:
            of_run[row["run_id"]].append(row)
        for run_id, rows in of_run.items():
            _require([row["seq"] for row in rows] == list(range(1, len(rows) + 1)), f"events of {run_id} are missing")
            state = RunState.fold(read_event(row["kind"], row["body"]) for row in rows)
            told = self._found.runs[run_id]["state"]
            _require(state.status == told or told == "interrupted", f"the events of {run_id} say {state.status}")

    def _check_parts(self) -> None:
        """See that all files and items of folders and lists are there."""
        for ref in self._found.artifacts.values():
            for digest in plugins.blobs_of(ref, self._archive.blob):
                self._require_blob(digest, f"a part of value {ref.short}")

    def _require_blob(self, digest: str, what: str) -> None:
        _require(self._archive.size_bytes(f"blobs/{digest}") is not None, f"{what} is missing")


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise ValueError(what)


def _checked(value: Any, kind: Any, name: str) -> Any:
    """Return a column's value if it is of its kind. Raises ValueError."""
    if kind is _JSON:
        _require(type(value) is str and isinstance(json.loads(value), dict), f"{name} is no JSON")
        return _stored(value)
    if value is None and None.__class__ in get_args(kind):
        return None
    plain = get_args(kind)[0] if get_args(kind) else kind
    if plain is float and type(value) is int:
        return float(value)
    _require(type(value) is plain and (plain is not float or math.isfinite(value)), f"{name} is {value!r:.50}")
    if plain is int:
        _require(0 <= value < 2**62, f"{name} is {value}")
    return _stored(value) if plain is str else value


def _stored(text: str) -> str:
    """Return a text that every database takes. Raises ValueError."""
    _require("\0" not in text, "a text has a zero in it")
    return text.encode().decode()
