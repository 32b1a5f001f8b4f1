"""Contracts between a project's models and the applications that call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filiera.core.products import OF_EXPERIMENT
from filiera.core.signature import Signature
from filiera.errors import UsageError

if TYPE_CHECKING:
    from filiera.project.project import Project
    from filiera.project.versions import Version
    from filiera.serving.contract import ModelContract

FOLDER = "contracts"
"""Where a project keeps what applications recorded, what runs where, and which breaks are approved."""


def contract_of(project: Project, version: Version) -> ModelContract:
    """Return what a model version promises. Raises UsageError when it cannot be served."""
    from filiera.serving.contract import ModelContract

    if "signature" not in version.attachments:
        raise UsageError(
            f"{version.ref} has no signature.",
            why="Whoever published it did not say what it takes and gives.",
            do="Publish it by a pipeline of kind model.",
        )
    signature: Signature = project.value(version.attachments["signature"])
    name = version.name.partition(OF_EXPERIMENT)[0]
    return ModelContract(name=name, version=version.number, signature=signature)
