"""What experiments keep in their branches: how each began, and each of its runs. A record is written once."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, field, fields
from typing import Any, Literal

from filiera.adapters.git_repository import Repository
from filiera.core.gate import GateReport
from filiera.core.metric import Metric
from filiera.core.value import dataclass
from filiera.errors import ProjectError
from filiera.experiments.names import RECORDS

Kind = Literal["start", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StartRecord:
    """How an experiment began, or began again when it was brought up to date with its target."""

    id: str
    experiment: str
    at: float  #: seconds since the epoch, UTC
    by: str
    base: str  #: commit of the target that it has in it
    target: str  #: the branch it will be merged into: "refs/heads/main"
    is_carried: bool = False  #: uncommitted changes of the folder it was started from came along
    only: Sequence[str] = ()  #: folders whose files its own folder has, from the top of the repository; none: all
    pins: Mapping[str, int] = field(default_factory=dict)  #: dataset → number of the version it uses
    contents: Mapping[str, str] = field(default_factory=dict)  #: dataset → digest of that version
    kind: Kind = "start"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a gate said of a run."""

    state: Literal["passed", "waived", "FAILED"]
    observed: str  #: the metric's value, or with a sign the improvement over the champion; "": nothing to look at
    reason: str  #: one line for people


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run of an experiment."""

    id: str
    experiment: str
    at: float
    by: str
    run_id: str
    pipeline: str
    status: str  #: "succeeded" or "rejected"
    message: str = ""  #: why it was rejected
    tree: str  #: what ran: the tree of all the repository's files
    parameters: Mapping[str, Any] = field(default_factory=dict)  #: those that were given
    step_parameters: Mapping[str, Any] = field(default_factory=dict)  #: all that steps had, by "step.parameter"
    inputs: Mapping[str, str] = field(default_factory=dict)  #: name → version, or source and fingerprint
    contents: Mapping[str, str] = field(default_factory=dict)  #: version in ``inputs`` → its digest
    sources: Sequence[str] = ()  #: what all of it was made from in the end: "raw" and the digest of its content
    steps: Mapping[str, str] = field(default_factory=dict)  #: step → digest of the code it reaches
    product: str = ""  #: what its pipeline publishes: "flow-classifier"
    gates: Mapping[str, str] = field(default_factory=dict)  #: as they are printed → the metric each decides on
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)  #: gate → what it said, where gates were reached
    published: str = ""  #: "flow-classifier~deeper@1", or "" when it was rejected
    artifact: str = ""  #: digest of what was published
    task: str = ""
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  #: name → fields of a Metric
    evaluation: str = ""  #: artifact of the evaluation: digest, codec and size in bytes; "" where there is none
    split: str = ""  #: digest of the rows that were evaluated and their truths; "" where none are kept
    rows: int = 0  #: how many these are
    started_at: float = 0.0  #: by which a run is known in other stores, where it may be called otherwise
    took_s: float = 0.0
    kind: Kind = "run"

    def metric(self, name: str) -> Metric | None:
        """Return one of its metrics."""
        found = self.metrics.get(name)
        return (
            None
            if found is None
            else Metric(**{key: value for key, value in found.items() if key != "name"}, name=name)
        )

    @property
    def again(self) -> str:
        """Return the command that runs the same once more, with the parameters that were given."""
        texts = {name: each if isinstance(each, str) else json.dumps(each) for name, each in self.parameters.items()}
        given = [word for name, text in texts.items() for word in ("--set", f"{name}={text}")]
        return shlex.join(("filiera", "experiment", "run", self.experiment, "--pipeline", self.pipeline, *given))


Record = StartRecord | RunRecord
_KINDS: dict[str, type[StartRecord] | type[RunRecord]] = {"start": StartRecord, "run": RunRecord}
_FIELDS = {kind: {each.name for each in fields(kind)} for kind in _KINDS.values()}


def write_record(record: Record) -> bytes:
    """Return a record as JSON text, a line for each field."""
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in asdict(record).items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def read_record(content: bytes, where: str) -> Record:
    """Return the record that ``write_record`` wrote. Raises ProjectError when it is none."""
    with damaged_records(where):
        told = json.loads(content)
        kind = _KINDS[told["kind"]]
        told["verdicts"] = {gate: Verdict(**each) for gate, each in told.get("verdicts", {}).items()}
        return kind(**{name: told[name] for name in _FIELDS[kind] & told.keys()})


@contextmanager
def damaged_records(where: str) -> Iterator[None]:
    """Say of what cannot be read in the block that it is no record. Raises ProjectError."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(
            f"{where} is no record of an experiment.", why=f"{type(error).__name__}: {error}", do="git log -- that file"
        ) from error


def verdicts_of(report: object) -> dict[str, Verdict]:
    """Return what gates said; nothing when *report* is no ``GateReport``."""
    if not isinstance(report, GateReport):
        return {}
    found = {}
    for each in report.results:
        state: Literal["passed", "waived", "FAILED"] = (
            "passed" if each.passed else "FAILED" if each.blocks else "waived"
        )
        sign = "+" if each.gate.compares else ""
        observed = "" if each.observed is None else f"{each.observed:{sign}.4f}"
        found[str(each.gate)] = Verdict(state=state, observed=observed, reason=each.reason)
    return found


def path_of(record: Record, prefix: str) -> str:
    """Return where a record lies, from the top of the repository; *prefix* is where the project lies: ``sub/``."""
    return f"{prefix}{RECORDS}/{record.experiment}/{record.id}.json"


def records_at(repository: Repository, commits: Mapping[str, str], prefix: str) -> dict[str, list[Record]]:
    """Return the records of experiments, the oldest first, from the commits they are at; nothing is checked out."""
    names = list(commits)
    trees = repository.read([f"{commits[name]}:{prefix}{RECORDS}/{name}" for name in names])
    places = [
        (name, file, oid)
        for name, tree in zip(names, trees, strict=True)
        for file, oid in files_in(tree or b"", len(commits[name]) // 2)
    ]
    contents = repository.read([oid for _, _, oid in places])
    found: dict[str, list[Record]] = {name: [] for name in names}
    for (name, file, _), content in zip(places, contents, strict=True):
        if content is not None:
            found[name].append(read_record(content, f"{prefix}{RECORDS}/{name}/{file}"))
    return found


def runs_in(records: Sequence[Record]) -> list[RunRecord]:
    """Return the runs among records."""
    return [each for each in records if isinstance(each, RunRecord)]


def newest_runs(records: Sequence[Record]) -> tuple[RunRecord, ...]:
    """Return the newest run of each pipeline, those that make datasets first."""
    newest = {run.pipeline: run for run in runs_in(records)}
    return tuple(sorted(newest.values(), key=lambda run: bool(run.task)))


def start_in(records: Sequence[Record]) -> StartRecord | None:
    """Return how the experiment began, the last time; None where no record says."""
    return next((each for each in reversed(records) if isinstance(each, StartRecord)), None)


def files_in(tree: bytes, oid_bytes: int) -> list[tuple[str, str]]:
    """Return names and object names of the files in a tree object, in the order of their names."""
    found, at = [], 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        mode, _, name = tree[at:end].partition(b" ")
        at = end + 1 + oid_bytes
        if mode == b"100644" and name.endswith(b".json"):
            found.append((name.decode(), tree[end + 1 : at].hex()))
    return found
