"""Deployments: a version on its way to the callers of an alias, as the records have it.

Nobody is in charge: each service that follows the alias adds what it counted to the records, judges all that was
counted, and takes the next step. A step has a number, so that of services that would take one both only the first does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, field
from typing import Any

from filiera.core.delivery import SHADOW, DeploymentPlan, State, Tally, Trial, judge, stage_name
from filiera.core.products import ProductKind, ProductRef, check_name
from filiera.core.value import dataclass
from filiera.engine.rows import to_json
from filiera.errors import StoreError, UsageError
from filiera.ports import Clock, MetadataStore, Row, Statement
from filiera.project import audit
from filiera.project.versions import Versions

SERVICE_LEASE_S = 15.0
"""A service that has said nothing for so long is gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """One step of a deployment."""

    at: float  #: seconds since the epoch, UTC
    by: str
    what: str  #: the stage that begins, or the state that it ends in
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A version that is tried before an alias points at it."""

    number: int
    name: str
    alias: str
    version: int  #: the candidate
    before: int  #: the version that answers meanwhile
    plan: DeploymentPlan
    stage: int
    stage_at: float  #: since when, seconds since the epoch, UTC
    state: State
    steps: int
    at: float
    notes: tuple[Note, ...] = field(default=())

    @property
    def trial(self) -> Trial:
        """Return what services do with the candidate in the present stage."""
        share = self.plan.shares[self.stage]
        return Trial(deployment=self.number, stage=self.stage, candidate=self.version, share=share)

    @property
    def refs(self) -> tuple[str, str]:
        """Return candidate and version before as ``name@number``."""
        return f"{self.name}@{self.version}", f"{self.name}@{self.before}"


class Deployments:
    """The deployments of one store."""

    def __init__(self, records: MetadataStore, versions: Versions, clock: Clock) -> None:
        self._records = records
        self._versions = versions
        self._clock = clock

    def start(self, ref: ProductRef, alias: str, plan: DeploymentPlan, *, reason: str = "") -> Deployment:
        """Begin to deploy a version to the callers of an alias, and return that.

        Raises:
            UsageError: There is no such version or alias, it points there already, or another deployment is under way.
            Untrusted: The version must be signed and is not.
        """
        check_name(alias, "alias")
        kind = self._versions.served_kind(ref.name)
        version = self._versions.resolve(kind, ref)
        before = self._versions.get(kind, ProductRef(ref.name, alias))
        at, by = self._clock(), audit.actor()
        if version.number == before.number:
            raise UsageError(
                f"{ref.name}@{alias} is version {version.number} already.", do="filiera versions " + ref.name
            )
        row = {"name": ref.name, "alias": alias, "version": version.number, "before": before.number, "at": at}
        said: dict[str, Any] = {"by": by, "what": stage_name(plan.shares[0]), "why": reason, "at": at}
        statements: list[Statement] = [
            ("add_deployment", {**row, "kind": kind, "plan": to_json(asdict(plan))}),
            ("note_new_deployment", said),
        ]
        added = self._records.write(statements, durable=True)[0]
        if not added:
            raise UsageError(
                f"Another version is being deployed to {ref.name}@{alias}.",
                why="One at a time: else it could not be told which one did it.",
                do=f"Wait for it, or end it: filiera rollback {ref.name}",
            )
        detail = {"alias": alias, "stages": [stage_name(share) for share in plan.shares], "reason": reason}
        self._records.write([audit.entry("deploy", version.ref, at=at, detail=detail)])
        return self.get(int(added[0]["number"]))

    def get(self, number: int) -> Deployment:
        """Return a deployment with its notes. Raises UsageError."""
        rows = self._records.read("get_deployment", {"number": number})
        if not rows:
            raise UsageError(f"There is no deployment {number}.", do="filiera deployments")
        notes = self._records.read("notes_of_deployment", {"number": number})
        told = ("at", "by", "what", "why")
        return _read(rows[0], tuple(Note(**{name: note[name] for name in told}) for note in notes))

    def find(self, name: str = "", *, limit: int = 20) -> list[Deployment]:
        """Return the newest deployments, of one model when its *name* is given, without notes."""
        return [_read(row) for row in self._records.read("find_deployments", {"name": name, "limit": limit})]

    def try_running(self, name: str, alias: str) -> Deployment | None:
        """Return the deployment under way for an alias, without notes, or None."""
        rows = self._records.read("running_deployment", {"name": name, "alias": alias})
        return _read(rows[0]) if rows else None

    def tallies(self, deployment: Deployment) -> tuple[Tally, Tally]:
        """Return what all services have counted in the present stage: of the candidate, and of the version before."""
        where = {"deployment": deployment.number, "stage": deployment.stage}
        tried = usual = Tally()
        for row in self._records.read("tallies_of_stage", where):
            tried += Tally(**json.loads(row["tried"]))
            usual += Tally(**json.loads(row["usual"]))
        return tried, usual

    def add_tallies(self, trial: Trial, service: str, *, tried: Tally, usual: Tally) -> None:
        """Write down what a service has counted in a stage so far."""
        row: dict[str, Any] = {"deployment": trial.deployment, "stage": trial.stage, "service": service}
        counts = {"tried": to_json(asdict(tried)), "usual": to_json(asdict(usual))}
        self._records.write([("put_tally", {**row, **counts})])

    def judge(self, deployment: Deployment, *, monitor: Callable[[], object]) -> bool:
        """Take the next step if what was counted, or what monitoring said, asks for it.

        Args:
            deployment: Under way.
            monitor: Lets monitoring look at the candidate's predictions in the present stage, and keeps its verdict.

        Returns:
            Whether the deployment is another one now.
        """
        drift = self._drift(deployment)
        if drift:
            return self.end(deployment, "rolled-back", drift)
        tried, usual = self.tallies(deployment)
        for_s = self._clock() - deployment.stage_at
        verdict = judge(deployment.plan, deployment.trial, tried=tried, usual=usual, for_s=for_s)
        if verdict.move == "advance" and deployment.plan.is_monitored and deployment.trial.share != SHADOW:
            monitor()
            drift = self._drift(deployment)
            if drift:
                return self.end(deployment, "rolled-back", drift)
        if verdict.move == "stay":
            return False
        if verdict.move == "roll-back":
            return self.end(deployment, "rolled-back", verdict.why)
        if deployment.stage + 1 == len(deployment.plan.shares):
            return self.end(deployment, "done", verdict.why)
        stage = deployment.stage + 1
        what = stage_name(deployment.plan.shares[stage])
        return self._step(deployment, to=(stage, "running"), what=what, why=verdict.why)

    def end(self, deployment: Deployment, state: State, why: str) -> bool:
        """End a deployment; *done* moves the alias. Tell whether it was this call that ended it."""
        more: list[Statement] = []
        at, (candidate, before) = self._clock(), deployment.refs
        if state == "done":
            kind = self._versions.served_kind(deployment.name)
            move = {"kind": kind, "name": deployment.name, "alias": deployment.alias, "number": deployment.version}
            reason = f"deployment {deployment.number}: {why}"
            more = [
                ("set_alias", {**move, "at": at}),
                ("add_alias_move", {**move, "at": at, "reason": reason, "by": audit.actor()}),
                audit.entry("promote", candidate, at=at, detail={"alias": deployment.alias, "reason": reason}),
            ]
        elif state == "rolled-back":
            detail = {"alias": deployment.alias, "to": before, "reason": why}
            more = [audit.entry("rollback", candidate, at=at, detail=detail)]
        return self._step(deployment, to=(deployment.stage, state), what=state, why=why, more=more)

    def roll_back(self, name: str, alias: str, *, reason: str) -> tuple[int, int]:
        """Go back at once: end the deployment under way, or else let the alias point where it did before.

        Returns:
            The version that callers no longer get, and the one that they get.

        Raises:
            UsageError: There is nothing to go back to.
        """
        running = self.try_running(name, alias)
        if running is not None:
            self.end(running, "rolled-back", reason or "asked for")
            return running.version, running.before
        kind = self._versions.served_kind(name)
        now = self._versions.get(kind, ProductRef(name, alias)).number
        before = self._before(kind, name, alias)
        at = self._clock()
        move = {"kind": kind, "name": name, "alias": alias, "number": before, "at": at}
        detail = {"alias": alias, "to": f"{name}@{before}", "reason": reason}
        self._versions.resolve(kind, ProductRef(name, str(before)))
        told = {**move, "reason": reason or "rollback", "by": audit.actor()}
        noted = audit.entry("rollback", f"{name}@{now}", at=at, detail=detail)
        self._records.write([("set_alias", move), ("add_alias_move", told), noted], durable=True)
        return now, before

    def _drift(self, deployment: Deployment) -> str:
        """Return what monitoring has found in the candidate's predictions since the deployment began, if it has."""
        since = {"since": deployment.at, "limit": 1}
        found = self._records.read(
            "monitor_verdicts", {"name": deployment.name, "version": deployment.version, **since}
        )
        return f"monitoring: {found[0]['summary']}" if found and found[0]["verdict"] == "drift" else ""

    def _before(self, kind: ProductKind, name: str, alias: str) -> int:
        """Return the version before the present one, where going back to one undoes what came after it."""
        path: list[int] = []
        for move in reversed(self._versions.moves(kind, name)):
            if move.alias == alias:
                path = path[: path.index(move.number)] if move.number in path else path
                path.append(move.number)
        if len(path) < 2:
            raise UsageError(
                f"There is no version to go back to: {name}@{alias} has pointed at one only.",
                do=f"filiera versions {name} --moves; filiera promote {name}@NUMBER {alias}",
            )
        return path[-2]

    def _step(
        self,
        deployment: Deployment,
        *,
        to: tuple[int, State],
        what: str,
        why: str,
        more: Sequence[Statement] = (),
    ) -> bool:
        step = {"number": deployment.number, "step": deployment.steps + 1, "at": self._clock()}
        statements: list[Statement] = [
            ("note_deployment", {**step, "by": audit.actor(), "what": what, "why": why}),
            ("move_deployment", {**step, "stage": to[0], "state": to[1]}),
        ]
        try:
            self._records.write([*statements, *more], durable=True)
        except StoreError:
            if self.get(deployment.number).steps == deployment.steps:
                raise
            return False
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceState:
    """A service that follows an alias."""

    id: str
    name: str
    alias: str
    place: str  #: "host:pid"
    version: int
    candidate: int | None
    trouble: str
    seen_at: float


def services(records: MetadataStore, *, now: float, name: str = "") -> list[ServiceState]:
    """Return the services that follow aliases now, of one model when its *name* is given."""
    rows = records.read("find_services", {"since": now - SERVICE_LEASE_S, "name": name})
    return [ServiceState(**row) for row in rows]


def _read(row: Row, notes: tuple[Note, ...] = ()) -> Deployment:
    plan = json.loads(row["plan"])
    plan["shares"] = tuple(plan["shares"])
    return Deployment(**{**row, "plan": DeploymentPlan(**plan), "notes": notes})
