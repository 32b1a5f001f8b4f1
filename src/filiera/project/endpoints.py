"""What services of this project shall serve: where an alias points, as of now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filiera.core.delivery import Lineup
from filiera.core.products import ProductRef
from filiera.ports import PredictionLog
from filiera.project import runtimes
from filiera.project.project import Project

if TYPE_CHECKING:
    from filiera.serving.served_model import ServedModel


class AliasDesk:
    """Gives a service the version that an alias means; a Desk of ``filiera.serving.follower``."""

    def __init__(self, project: Project, ref: ProductRef, *, log: PredictionLog | None) -> None:
        """Follow *ref*; versions log to *log*."""
        self._project = project
        self._ref = ref
        self._log = log

    def lineup(self) -> Lineup:
        """Return what shall be served now. Raises UsageError, StoreError."""
        return Lineup(stable=self._project.versions.get("model", self._ref).number)

    def load(self, number: int) -> ServedModel:
        """Return a version, trusted as the project asks for. Raises FilieraError."""
        from filiera.serving.served_model import ServedModel

        version = self._project.versions.resolve("model", ProductRef(self._ref.name, str(number)))
        model, signature = runtimes.model_to_serve(self._project, version)
        return ServedModel(version.name, model, version=number, signature=signature, log=self._log)
