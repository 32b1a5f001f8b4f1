"""Proving a run: rebuilding it in a clean place and comparing what every step returns, digest by digest."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from filiera.core.closure import changes, decode
from filiera.core.key import differences
from filiera.core.products import ProductRef
from filiera.core.value import dataclass
from filiera.engine.rows import read_key_parts, to_json
from filiera.errors import UsageError
from filiera.ports import MetadataStore, Row
from filiera.project import plugins
from filiera.project.assemble_model import TIMING
from filiera.project.audit import actor, came_from
from filiera.project.project import Project
from filiera.project.proving.divergence import (
    Divergence,
    differing_facts,
    explain_chance,
    explain_difference,
    explain_failure,
)
from filiera.project.proving.proof_place import Place, prepare, recorded_lock, run_again
from filiera.project.proving.suspects import Suspect
from filiera.project.runs import shown_state

Tell = Callable[[str], None]
Comparison = Literal["equal", "diverges", "taken over", "not compared"]
_HAS_OUTPUTS = ("succeeded", "hit", "rejected")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvedStep:
    """What one step returned then and in the clean place."""

    step: str
    stage: str
    comparison: Comparison
    recorded: tuple[str, ...]  #: digests of its outputs in the record
    proved: tuple[str, ...]  #: of those in the clean place
    detail: str = ""
    has_equal_inputs: bool = True  #: it was given the same then and in the clean place: a difference began here


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What came of repeating a run."""

    run_id: str
    steps: tuple[ProvedStep, ...]  #: in the order of the plan
    told: Mapping[str, str] = field(default_factory=dict)  #: how code and environment were rebuilt, what was taken over
    divergence: Divergence | None = None  #: None: every output is equal

    @property
    def is_proven(self) -> bool:
        """Tell whether every output that was compared is equal."""
        return self.divergence is None


def prove(
    project: Project,
    run: Row,
    *,
    this_environment: bool = False,
    is_trusted: bool = False,
    tell: Tell = lambda line: None,
) -> Proof:
    """Return what came of repeating a run from its record, in a clean place that is removed afterwards.

    Nothing is written into the project, its repository or its store, but for a note in the store that the run was
    proven.

    Args:
        project: Whose run it is.
        run: Its record.
        this_environment: Use what is installed here, though the run had other distributions.
        is_trusted: Also if the run was imported: the code and the distributions that its record names are then run.
        tell: Told what goes on.

    Raises:
        UsageError: The run is still running, was imported and is not trusted, or a version that it was made from was
            dropped.
        ProjectError: Code or environment cannot be rebuilt, or the rebuilt pipeline cannot run.
        StoreError: What the proof starts from is gone.
    """
    if shown_state(project, run) == "running":
        run_id = run["run_id"]
        raise UsageError(
            f"Run {run_id} is running.", why="What it returns is not known yet.", do=f"filiera show {run_id}"
        )
    if not is_trusted:
        _require_ours(project, run["run_id"])
    _require_inputs(project, run)
    with tempfile.TemporaryDirectory(prefix="filiera-prove-") as name:
        place = prepare(project, run, Path(name).resolve(), this_environment=this_environment, tell=tell)
        tell("running again in a clean place, with an empty cache")
        answer = run_again(place)
        records = plugins.metadata_store(place.store)
        try:
            proof = _compared(project, run, place, records, answer)
        finally:
            records.close()
    if proof.is_proven:
        facts = {name: place.facts[name] for name in ("python", "platform", "processor", "filiera")}
        row = {"run_id": run["run_id"], "at": project.clock(), "by": actor(), "body": to_json(facts)}
        project.records.write([("add_proof", row)], durable=True)
    return proof


def _require_ours(project: Project, run_id: str) -> None:
    """Refuse a run that came in an archive: its changes are code, and its lock is installed. Raises UsageError."""
    if file := came_from(project.records, "import", run_id):
        raise UsageError(
            f"Run {run_id} was imported from {file}.",
            why="To prove it is to run the uncommitted changes and to install the distributions that are named in it.",
            do=f"If you trust who made {file}: add --imported.",
        )


def _require_inputs(project: Project, run: Row) -> None:
    """Refuse a run that was made from a version which is no longer there. Raises UsageError."""
    for text in json.loads(run["record"]).get("inputs", {}).values():
        for one in text.split(", "):
            name, _, number = one.partition("@")
            if number.isdigit():
                try:
                    project.versions.get(project.versions.kind_of(name), ProductRef(name, number))
                except UsageError as error:
                    why = f"It was made from {one}, which the store has no longer. {error.why}"
                    do = "Prove what was made from versions that are there: filiera versions"
                    raise UsageError(f"Run {run['run_id']} cannot be repeated.", why=why, do=do) from error


def _compared(project: Project, run: Row, place: Place, records: MetadataStore, answer: Mapping[str, Any]) -> Proof:
    then = project.records.read("steps_of_run", {"run_id": run["run_id"]})
    now = records.read("steps_of_run", {"run_id": answer["run_id"]})
    steps = compare(then, now)
    inputs = json.loads(run["record"])["inputs"]
    taken = [f"{name} = {origin}" for name, origin in inputs.items()]
    told = {**place.told, **({"taken over": ", ".join(taken)} if taken else {})}
    first = first_of([step for step in steps if step.comparison == "diverges"])
    divergence = None
    if first is not None:
        before = next(row for row in then if row["step"] == first.step)
        after = next((row for row in now if row["step"] == first.step), None)
        divergence = _why(project, place, records, _Pair(before=before, after=after))
    return Proof(run_id=run["run_id"], steps=steps, told=told, divergence=divergence)


def compare(then: Sequence[Row], now: Sequence[Row]) -> tuple[ProvedStep, ...]:
    """Return for each recorded step how what it returned compares with what it returned in a clean place."""
    proved = {row["step"]: row for row in now}
    return tuple(_compare_step(row, proved.get(row["step"])) for row in then)


def _compare_step(then: Row, now: Row | None) -> ProvedStep:
    recorded = digests_in(then["outputs"])
    again = digests_in(now["outputs"]) if now is not None else ()
    comparison: Comparison
    detail = ""
    if now is None and (then["stage"] == "collect" or then["step"] == TIMING):
        comparison = "taken over"
    elif then["state"] not in _HAS_OUTPUTS:
        comparison, detail = "not compared", f"it was {then['state']} then"
    elif now is not None and now["state"] in _HAS_OUTPUTS and again == recorded:
        comparison = "equal"
    else:
        comparison = "diverges"
        detail = "it is not there any more" if now is None else "" if again else _failure(now)
    return ProvedStep(
        step=then["step"],
        stage=then["stage"],
        comparison=comparison,
        recorded=recorded,
        proved=again,
        detail=detail,
        has_equal_inputs=now is None or _inputs(then) == _inputs(now),
    )


def _inputs(row: Row) -> list[str]:
    return [identity for _, identity in read_key_parts(row).inputs]


def digests_in(outputs: str) -> tuple[str, ...]:
    """Return the digests of recorded outputs.

    >>> digests_in("ab json/1 3;cd json/1 4"), digests_in("")
    (('ab', 'cd'), ())
    """
    return tuple(item.partition(" ")[0] for item in outputs.split(";") if item)


def _failure(row: Row) -> str:
    found = json.loads(row["failure"]) if row["failure"] else {}
    first_line = str(found.get("message", "")).partition("\n")[0]
    return f"{found['error']}: {first_line}" if found else f"it is {row['state']}: {row['reason']}"


def first_of(diverging: Sequence[ProvedStep]) -> ProvedStep | None:
    """Return the step to look at first: one that was given the same as then; a call of a map rather than its list.

    The order of the plan does not say it: steps that a graph gets while it runs come behind those that wait for them.
    """
    began = [step for step in diverging if step.has_equal_inputs] or list(diverging)
    for step in began:
        if not any(other.step.startswith((f"{step.step}[", f"{step.step}.")) for other in diverging):
            return step
    return began[0] if began else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    """A step's record, and what was recorded of it in the clean place, if it came so far."""

    before: Row
    after: Row | None


def _why(project: Project, place: Place, records: MetadataStore, pair: _Pair) -> Divergence:
    """Return why a step diverges, after running it twice more on the same inputs."""
    step, after = str(pair.before["step"]), pair.after
    if after is None or not after["outputs"]:
        return explain_failure(step, "it is not in the rebuilt pipeline" if after is None else _failure(after))
    answers = [run_again(place, only=step) for _ in range(2)]
    values = {after["outputs"]}
    for answer in answers:
        rows = records.read("steps_of_run", {"run_id": answer["run_id"]})
        values.update(row["outputs"] for row in rows if row["step"] == step)
    suspects = [Suspect(**found) for found in answers[0]["suspects"]]
    made_by = _maker(project, pair.before)
    if len(values) > 1:
        return explain_chance(step, len(values), suspects, str(made_by.get("hash_seed", "")))
    code = _code_differences(project.records, pair.before, records, after)
    then = {**made_by, "distributions": recorded_lock(project, made_by)}
    return explain_difference(step, code, differing_facts(then, place.facts))


def _maker(project: Project, step: Row) -> dict[str, Any]:
    """Return the record of the run that computed what a step returned: of a hit, an earlier one."""
    run_id = step["run_id"]
    if step["state"] == "hit":
        cached = project.records.read("try_cache_entry", {"key": step["key"]})
        run_id = cached[0]["run_id"] if cached else run_id
    rows = project.records.read("get_run", {"run_id": run_id})
    record: dict[str, Any] = json.loads(rows[0]["record"]) if rows else {}
    return record


def _code_differences(then: MetadataStore, before: Row, now: MetadataStore, after: Row) -> list[str]:
    """Return in words how the keys of a step differ, part by part."""
    old, new = read_key_parts(before), read_key_parts(after)
    found = [change for change in differences(old, new) if change != "code changed"]
    closures = [records.read("get_closure", {"digest": parts.closure}) for records, parts in ((then, old), (now, new))]
    if old.closure != new.closure and all(closures):
        found += changes(*(decode(rows[0]["parts"].encode()) for rows in closures))
    return found
