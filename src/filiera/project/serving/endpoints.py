"""What services of this project shall serve: where an alias points and what is being tried for it, as of now."""

from __future__ import annotations

import os
import secrets
from functools import partial
from typing import TYPE_CHECKING

from filiera.core.delivery import Lineup, Report, Trial
from filiera.core.products import LATEST, ProductRef
from filiera.ports import PredictionLog
from filiera.project.deployments import SERVICE_LEASE_S, Deployment
from filiera.project.project import Project
from filiera.project.serving import runtimes
from filiera.project.serving.monitoring import look
from filiera.project.serving.node_logs import NodeLogs

if TYPE_CHECKING:
    from filiera.serving.served_model import ServedModel

_SAY_EVERY_S = SERVICE_LEASE_S / 3


class AliasDesk:
    """Gives a service the versions that an alias means; a Desk of ``filiera.serving.follower``."""

    def __init__(self, project: Project, ref: ProductRef, *, log: PredictionLog | None) -> None:
        """Follow *ref*; versions log to *log*."""
        self._project = project
        self._ref = ref
        self._kind = project.versions.served_kind(ref.name)
        self._log = log
        self._logs = log if isinstance(log, NodeLogs) else None
        self._service = secrets.token_hex(8)
        self._said: tuple[object, ...] = ()
        self._said_at = 0.0

    def lineup(self) -> Lineup:
        """Return what shall be served now. Raises UsageError, StoreError."""
        # The deployment before the alias: a step that ends the one moves the other at the same moment.
        running = self._project.deployments.try_running(self._ref.name, self._ref.selector)
        stable = self._project.versions.get(self._kind, self._ref).number
        if running is None or self._ref.selector == LATEST:
            return Lineup(stable=stable)
        if stable != running.before:
            self._project.deployments.end(running, "stopped", f"{self._ref} was pointed at version {stable}")
            return Lineup(stable=stable)
        return Lineup(stable=stable, trial=running.trial)

    def load(self, number: int) -> ServedModel:
        """Return a version, trusted as the project asks for. Raises FilieraError."""
        from filiera.serving.served_model import ServedModel

        version = self._project.versions.resolve(self._kind, ProductRef(self._ref.name, str(number)))
        if version.kind == "service":
            from filiera.project.serving.moved_nodes import placed_service, served_elsewhere

            model, signature = served_elsewhere(self._project, placed_service(self._project, version))
            if self._logs is not None:
                model.log_to(self._logs.of)
        else:
            model, signature = runtimes.model_to_serve(self._project, version)
        return ServedModel(version.name, model, version=number, signature=signature, log=self._log)

    def shown(self, number: int) -> str:
        """Return the name of a version."""
        return f"{self._ref.name}@{number}"

    def report(self, report: Report) -> bool:
        """Write down what a service does and has counted, and judge that. Raises StoreError."""
        self._say(report)
        if report.trial is None:
            return False
        deployments = self._project.deployments
        deployments.add_tallies(report.trial, self._service, tried=report.tried, usual=report.usual)
        running = deployments.try_running(self._ref.name, self._ref.selector)
        if running is None or running.trial != report.trial:
            return True
        return deployments.judge(running, monitor=partial(self._monitor, running))

    def refuse(self, trial: Trial, why: str) -> None:
        """Roll a candidate back that cannot be served. Raises StoreError."""
        running = self._project.deployments.try_running(self._ref.name, self._ref.selector)
        if running is not None and running.trial == trial:
            self._project.deployments.end(running, "rolled-back", why)

    def leave(self) -> None:
        """Write down that the service ends. Raises StoreError."""
        self._project.records.write([("drop_service", {"id": self._service})])

    def _monitor(self, running: Deployment) -> None:
        version = self._project.versions.get(self._kind, ProductRef(running.name, str(running.version)))
        look(self._project, version, since=running.stage_at)

    def _say(self, report: Report) -> None:
        now = self._project.clock()
        candidate = report.trial.candidate if report.trial is not None else None
        said = (report.stable, candidate, report.trouble)
        if said == self._said and now - self._said_at < _SAY_EVERY_S:
            return
        place = f"{os.uname().nodename}:{os.getpid()}"
        row = {"id": self._service, "name": self._ref.name, "alias": self._ref.selector, "place": place, "at": now}
        row |= {"version": report.stable, "candidate": candidate, "trouble": report.trouble}
        old = {"before": now - 100 * SERVICE_LEASE_S}
        self._project.records.write([("put_service", row), ("drop_old_services", old)])
        self._said, self._said_at = said, now
