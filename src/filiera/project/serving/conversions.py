"""Versions of a new major that answer applications of the one before; see ``filiera.serving.conversion``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filiera.core.delivery import Lineup, Report, Trial
from filiera.core.products import ProductRef
from filiera.core.signature import Signature
from filiera.errors import UsageError
from filiera.ports import PredictionLog
from filiera.project.project import Project
from filiera.project.serving import runtimes
from filiera.project.serving.endpoints import AliasDesk
from filiera.project.versions import Version

if TYPE_CHECKING:
    from filiera.serving.contract import ModelContract
    from filiera.serving.served_model import ServedModel

_AT_ONCE = 50


def contract_before(project: Project, version: Version) -> ModelContract:
    """Return what the newest version of the major before has promised. Raises UsageError when there is none."""
    from filiera.serving.contract import ModelContract

    wanted = _signature(project, version).major - 1
    last: Version | None = version
    while last is not None:
        older = project.versions.find(kind="model", name=version.name, before=last, limit=_AT_ONCE)
        for one in older:
            if "signature" in one.attachments and (signature := _signature(project, one)).major == wanted:
                return ModelContract(name=version.name, version=one.number, signature=signature)
        last = older[-1] if len(older) == _AT_ONCE else None
    raise UsageError(
        f"{version.ref} converts from major {wanted} of its contract, of which there is no version.",
        why="What applications of that major count on is read from its newest version.",
        do="Leave conversion=… out of the Contract.",
    )


def converting(project: Project, version: Version, *, log: PredictionLog | None = None) -> ServedModel:
    """Return a version that answers as the major before has promised.

    Raises:
        UsageError: There is no such major, or its contract cannot be kept.
        CodecError, BlobMissing, BlobCorrupted, PredictionFailed: The version cannot be loaded.
    """
    from filiera.serving.conversion import converted

    model, signature = runtimes.model_to_serve(project, version)
    before = contract_before(project, version)
    return converted(model, before, version=version.number, signature=signature, log=log)


class ConvertingDesk(AliasDesk):
    """Gives a service the version that an alias means, for applications of the major before.

    Of stages they get none: they are answered by the version before until a deployment has ended.
    """

    def lineup(self) -> Lineup:
        """Return what shall be served now. Raises UsageError, StoreError."""
        return Lineup(stable=super().lineup().stable)

    def load(self, number: int) -> ServedModel:
        """Return a version, trusted as the project asks for. Raises FilieraError."""
        version = self._project.versions.resolve("model", ProductRef(self._ref.name, str(number)))
        return converting(self._project, version, log=self._log)

    def report(self, report: Report) -> bool:
        """Leave it to the service of the version's own address, which is beside."""
        return False

    def refuse(self, trial: Trial, why: str) -> None:
        """Do nothing: nothing is tried."""

    def leave(self) -> None:
        """Do nothing."""


def _signature(project: Project, version: Version) -> Signature:
    signature: Signature = project.value(version.attachments["signature"])
    return signature
