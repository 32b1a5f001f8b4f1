"""Which versions a graph of the project's code shall ask: those that the aliases of its models mean, as of now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from filiera.core.delivery import Lineup, Report, Trial
from filiera.core.graphs import leaves
from filiera.errors import Rejected
from filiera.project.project import Project
from filiera.project.serving.moved_nodes import Placed, served_elsewhere
from filiera.project.serving.node_logs import NodeLogs

if TYPE_CHECKING:
    from filiera.core.signature import Signature
    from filiera.serving.served_model import ServedModel


class GraphDesk:
    """Gives a service a graph anew when an alias of a model in it moves; a Desk of ``filiera.serving.follower``.

    What it gives are editions, numbered from 1: each asks one set of versions, so that no answer is made of two.
    """

    def __init__(self, project: Project, placed: Placed, *, log: NodeLogs) -> None:
        """Begin with the versions of *placed*; answers go to *log*."""
        self._project = project
        self._placed = placed
        self._log = log
        self._editions: list[tuple[str, ...]] = [self._refs(placed)]
        self.signature: Signature | None = None  #: of the edition that was loaded last

    def lineup(self) -> Lineup:
        """Return the edition for the versions that the aliases mean. Raises UsageError, StoreError."""
        graph = self._placed.graph
        refs = tuple(self._project.versions.get("model", leaf.ref).ref for leaf in leaves(graph.node))
        if refs not in self._editions:
            self._editions.append(refs)
        return Lineup(stable=self._editions.index(refs) + 1)

    def load(self, number: int) -> ServedModel:
        """Return an edition, which takes and gives what the one before does, or more.

        Raises:
            Rejected: Callers of the one before would break.
            FilieraError: It cannot be loaded.
        """
        from filiera.serving.contracts.differ import diff
        from filiera.serving.served_model import ServedModel

        graph = self._placed.graph
        versions = {leaf: self._project.versions.resolve("model", leaf.ref) for leaf in leaves(graph.node)}
        placed = replace(self._placed, versions=versions)
        if self._refs(placed) != self._editions[number - 1]:
            raise Rejected(f"An alias of {graph.name} has moved on.")
        predictor, signature = served_elsewhere(self._project, placed)
        breaks = [one for one in diff(self.signature, signature) if one.level == "ERR"] if self.signature else []
        if breaks:
            predictor.stop()
            raise Rejected(
                f"Callers of {graph.name} would break: {'; '.join(one.text for one in breaks)}.",
                do="Point the alias elsewhere, or bring the answers into form with graphs.before or graphs.after.",
            )
        predictor.log_to(self._log.of)
        self.signature = signature
        return ServedModel(graph.name, predictor, version=0, signature=signature, log=self._log, edition=number)

    def shown(self, number: int) -> str:
        """Return which versions an edition asks, for people."""
        return f"{self._placed.graph.name} with {', '.join(self._editions[number - 1])}"

    def report(self, report: Report) -> bool:
        """Do nothing: only published versions are deployed."""
        return False

    def refuse(self, trial: Trial, why: str) -> None:
        """Do nothing: nothing is tried."""

    def leave(self) -> None:
        """Do nothing: nobody waits for it."""

    @staticmethod
    def _refs(placed: Placed) -> tuple[str, ...]:
        return tuple(version.ref for version in placed.versions.values())
