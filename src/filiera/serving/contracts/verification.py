"""All that is asked of a candidate before it answers applications, in order: cheap parts first."""

from __future__ import annotations

import datetime as dt
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import field, replace
from typing import Any

from filiera.core.value import dataclass
from filiera.errors import FilieraError
from filiera.serving.answers import ANSWER_KEYS
from filiera.serving.app import App
from filiera.serving.contract import ModelContract
from filiera.serving.contracts import fuzz, meaning, replay, shift, speed
from filiera.serving.contracts.approval import Approval, Judged, judge
from filiera.serving.contracts.converting import Converting
from filiera.serving.contracts.differ import diff
from filiera.serving.contracts.finding import Finding
from filiera.serving.contracts.made_rows import MadeRows
from filiera.serving.contracts.pact import ROWS, Recorded
from filiera.serving.contracts.part import Part, State
from filiera.serving.contracts.promised import is_near
from filiera.serving.endpoint import Endpoint
from filiera.serving.in_process import InProcess
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel

_REFERENCE_ROWS = 64
_FEWEST_LOGGED = 20
"""Fewer rows from the log say less than rows made up from the contract."""
_PARITY, _FEW = 1e-4, 0.03


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What a candidate is held to."""

    deployed: ModelContract | None = None  #: what the version that answers now has promised
    answering: ServedModel | None = None  #: that version, if it can be loaded
    before: ModelContract | None = None  #: of the major before, if the candidate converts from it
    trained: ServedModel | None = None  #: the candidate in the library that trained it, if it is served by another
    logged: Sequence[Mapping[str, Any]] = ()  #: rows that it was asked lately
    recorded: Sequence[Recorded] = ()  #: contracts of the applications that count
    missing: Sequence[str] = ()  #: applications that run somewhere and have recorded nothing
    are_all: bool = False  #: no others than these applications call the model
    approvals: Sequence[Approval] = ()
    today: dt.date = field(default_factory=lambda: dt.datetime.now(dt.UTC).date())


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What came of it."""

    candidate: str
    deployed: str  #: what answers now, or ""
    findings: tuple[Judged, ...]
    parts: tuple[Part, ...]

    @property
    def blocks(self) -> bool:
        """Tell whether the candidate must not be deployed."""
        return any(part.state == "failed" for part in self.parts)


def verify(candidate: ServedModel, known: Known) -> Verification:
    """Return what all parts found; a part that fails does not keep the others from being asked."""
    findings = findings_of(candidate.contract, known)
    parts = [diff_part(findings, known), _consumers_part(known)]
    with _quiet():
        parts += _asked(candidate, known)
    return Verification(
        candidate=_ref(candidate.contract),
        deployed=_ref(known.deployed) if known.deployed is not None else "",
        findings=findings,
        parts=tuple(parts),
    )


def _asked(candidate: ServedModel, known: Known) -> list[Part]:
    """Return what the parts found that ask the candidate."""
    contract, path = candidate.contract, candidate.contract.predict_path
    rows = MadeRows(contract.signature).ordinary(min(_REFERENCE_ROWS, contract.signature.max_rows))
    converting = Converting(candidate, known.before)
    answering = converting.beside(candidate)
    service = InProcess(App([ModelMount(Endpoint(model)) for model in answering]))
    try:
        service.start()
    except FilieraError as error:
        return [Part(name="start", state="failed", reason=error.what, details=tuple(filter(None, (error.why,))))]
    with closing(service):
        return [
            Part(name="start", state="passed", reason=_started(contract)),
            *converting.parts(),
            replay.check_replay(service, known.recorded, [model.contract.address for model in answering]),
            fuzz.check_fuzz(service, contract, path),
            _parity_part(candidate, known.trained, rows),
            meaning.check_meaning(meaning.answers_by(candidate), contract.signature, rows),
            _shift_part(candidate, known),
            speed.check_speed(service, contract, path),
        ]


def _started(contract: ModelContract) -> str:
    signature = contract.signature
    are_known = signature.deterministic and len(signature.answers) == len(signature.examples)
    as_then = " as when it was published" if are_known and signature.answers else ""
    return f"it answers its {len(signature.examples)} examples{as_then}"


def replay_recorded(candidate: ServedModel, recorded: Sequence[Recorded], before: ModelContract | None) -> Part:
    """Return whether a model answers what applications recorded as they need, also those of the major *before*."""
    answering = Converting(candidate, before).beside(candidate)
    service = InProcess(App([ModelMount(Endpoint(model)) for model in answering]))
    with _quiet(), service:
        return replay.check_replay(service, recorded, [model.contract.address for model in answering])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what a service logs of failed requests, and what libraries warn of: the report says it."""
    log = logging.getLogger("filiera.serving")
    before, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = before


def _ref(contract: ModelContract) -> str:
    return f"{contract.name}@{contract.version}"


def findings_of(contract: ModelContract, known: Known) -> tuple[Judged, ...]:
    """Return how a contract differs from that of the version that answers, each change with its approval."""
    if known.deployed is None:
        return ()
    old = known.deployed.signature
    changes = diff(old, contract.signature)
    if known.are_all and known.recorded and not known.missing:
        read = {place for one in known.recorded for place in one.reads}
        unread = {output.name for output in old.outputs if f"{ROWS}.{ANSWER_KEYS[output.semantics]}" not in read}
        changes = tuple(_unless_unread(change, unread) for change in changes)
    return judge(changes, known.approvals, model=contract.name, today=known.today)


def _unless_unread(change: Finding, unread: set[str]) -> Finding:
    """Return a change of an output, which does not break when none of the applications reads it."""
    if change.level == "ERR" and change.at.removeprefix("outputs.") in unread:
        return replace(change, level="WARN", text=f"{change.text}; no application that is deployed reads it")
    return change


def diff_part(findings: Sequence[Judged], known: Known) -> Part:
    """Return the part that says whether the contract of the version that answers is kept."""
    if known.deployed is None:
        return Part(name="diff", state="skipped", reason="no version answers yet")
    blocking = [one for one in findings if one.blocks]
    lines = [f"{one.finding.fingerprint} {one.finding.at}: {one.finding.text}" for one in blocking]
    ref = _ref(known.deployed)
    if blocking:
        count = f"{len(blocking)} change{'s' if len(blocking) > 1 else ''} of {ref}'s contract"
        return Part(name="diff", state="failed", reason=f"{count} would break applications", details=tuple(lines))
    told = [one for one in findings if one.finding.level != "INFO"]
    notes = tuple(f"{one.finding.at}: {one.finding.text} {one.standing}".rstrip() for one in told)
    if told:
        return Part(name="diff", state="warned", reason=f"{ref}'s contract is kept, but it is told", details=notes)
    return Part(name="diff", state="passed", reason=f"{ref}'s contract is kept")


def _consumers_part(known: Known) -> Part:
    if known.missing:
        reason = f"no contract of {', '.join(known.missing)}, which is deployed"
        return Part(name="consumers", state="failed", reason=reason)
    who = ", ".join(one.who for one in known.recorded)
    reason = who or "no application is known"
    return Part(name="consumers", state="passed" if who else "skipped", reason=reason)


def _parity_part(candidate: ServedModel, trained: ServedModel | None, rows: Sequence[Mapping[str, Any]]) -> Part:
    if trained is None:
        return Part(name="runtime", state="skipped", reason="it is served by the library that trained it")
    try:
        pairs = zip(meaning.answers_by(candidate)(rows), meaning.answers_by(trained)(rows), strict=True)
        others = sum(not is_near(one, other, tolerance=_PARITY) for one, other in pairs)
    except FilieraError as error:
        return Part(name="runtime", state="failed", reason=error.what, details=(error.why,))
    if others:
        # Computed with fewer digits, a row may fall on the other side of a threshold of a tree: of few, not of many.
        state: State = "failed" if others > _FEW * len(rows) else "warned"
        reason = f"{others} of {len(rows)} rows get other answers than from the library that trained it"
        return Part(name="runtime", state=state, reason=reason)
    return Part(name="runtime", state="passed", reason=f"{len(rows)} rows get the answers of the training library")


def _shift_part(candidate: ServedModel, known: Known) -> Part:
    if known.deployed is None or known.answering is None:
        reason = "no version answers yet" if known.deployed is None else f"{_ref(known.deployed)} cannot be loaded"
        return Part(name=shift.NAME, state="skipped", reason=reason)
    thresholds = {place: value for one in known.recorded for place, value in one.thresholds.items()}
    moved = shift.Moved(known.answering, candidate, thresholds)
    if len(known.logged) >= _FEWEST_LOGGED:
        part = moved.check(known.logged, "logged")
        if part.state != "skipped":
            return part
    return moved.check(MadeRows(known.deployed.signature).ordinary(_REFERENCE_ROWS), "made-up")
