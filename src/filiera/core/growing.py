"""Steps that become others one after another: what comes next depends on how those before it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from filiera.core.artifact import ArtifactRef
from filiera.core.key import KeyParts
from filiera.core.logged import Logged
from filiera.core.task import Failure
from filiera.core.value import dataclass

GROWER = "__filiera_grower__"
"""A function of this attribute is never called: where a step of it would run, the attribute returns a ``Grower``."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A metric that steps log, and what they are compared with: an attempt that is worse ends with TrialPruned."""

    metric: str
    is_more_better: bool
    file: str  #: with a JSON object: from the step of the curve to what was usual there


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a branch ended: the steps that were called together."""

    value: Callable[[], Any]  #: returns what the branch returned; raises CodecError, StoreError
    load: Callable[[ArtifactRef], Any] | None = None  #: returns a stored value, such as curves; raises the same
    logged: tuple[Logged, ...] = ()  #: what its steps have logged
    failure: Failure | None = None  #: of the first step that did not succeed


class Grower(Protocol):
    """Decides, in the driver, which steps a step becomes. It must be quick: no step begins meanwhile."""

    watched: Watched | None  #: what ends steps that are worse than others

    def next(self, running: int) -> tuple[int, Callable[[], Any]] | None:
        """Return the next branch: its number, and what calls its steps and returns their result.

        None: nothing is to begin now, while *running* branches have not ended; nothing at all when none has.
        """

    def ended(self, number: int, outcome: Outcome) -> None:
        """Take note of how a branch ended."""

    def results(self) -> tuple[Any, ...]:
        """Return what the step returns, when all have ended. Raises UsageError when there is nothing to return."""

    def close(self) -> None:
        """Let go of its notes: it is not asked any more. Doing it twice is harmless."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What a grower is given."""

    arguments: Mapping[str, Any]  #: of the step, with futures in them
    parts: KeyParts  #: of its cache key
    folder: Path | None  #: where it may keep notes, so that it can go on where a killed driver stopped
    place: tuple[str, str]  #: its run and step
    slots: int  #: so many steps run at once
    is_fresh: bool  #: it was asked to forget its notes


MakeGrower = Callable[[Ground], Grower]
