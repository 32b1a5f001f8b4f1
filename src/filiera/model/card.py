"""What is recorded of a model version beside its bytes."""

from __future__ import annotations

from filiera.core.metric import Metrics
from filiera.core.reference import ReferenceProfile
from filiera.core.signature import Signature, Task
from filiera.core.value import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """All that serving, monitoring and people need to know of a model version."""

    model: str  #: class of the model: "module:qualified.name"
    signature: Signature  #: what it takes and gives
    metrics: Metrics  #: how good it was
    reference: ReferenceProfile  #: what it was trained on and what it answered
    notes: tuple[str, ...] = ()  #: what a reader must know before trusting the rest

    @property
    def task(self) -> Task:
        """Return what the model is for."""
        return self.signature.task
