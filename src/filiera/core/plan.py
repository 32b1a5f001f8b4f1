"""What a run would do with each step, and why."""

from __future__ import annotations

from typing import Literal

from filiera.core.artifact import ArtifactRef
from filiera.core.key import KeyParts
from filiera.core.logged import Logged
from filiera.core.stages import Stage
from filiera.core.value import dataclass

PlanStatus = Literal["hit", "run", "after", "skip", "blocked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What happens with one step.

    ``hit``: its outputs are in the cache. ``run``: it runs. ``after``: known only when what it waits for has run; if
    that returns what it returned before, this is a hit. ``skip``: its branch is not taken. ``blocked``: another step
    stops the run before.
    """

    step: str
    stage: Stage
    status: PlanStatus
    reason: str  #: one line for people
    parts: KeyParts | None = None  #: of its key; None when an input is not known yet
    outputs: tuple[ArtifactRef, ...] = ()  #: of a hit
    blocked: str = ""  #: a hit whose verdict blocks: the verdict's summary
    metrics: Logged | None = None  #: of a hit: what was logged when its outputs were made
