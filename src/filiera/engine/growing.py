"""The branches of a step that becomes others one after another, and how they end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.graph import Node
from filiera.core.growing import Grower, Outcome
from filiera.core.runstate import StepState
from filiera.core.stages import Kind
from filiera.core.step import active_tracer
from filiera.core.task import Failure
from filiera.core.trace import GraphTracer
from filiera.core.value import dataclass
from filiera.engine.failures import failure_from
from filiera.engine.planner import Call

_ENDED_BADLY = ("failed", "rejected", "blocked", "cancelled")


@dataclass(slots=True)
class Branch:
    """Some steps that were called together."""

    number: int
    names: tuple[str, ...]
    missing: set[str]  #: those that have not ended
    result: Any  #: what was returned of them, with futures in it


@dataclass(kw_only=True, slots=True)
class Growing:
    """A step on its way to become others."""

    call: Call
    grower: Grower
    branches: dict[int, Branch] = field(default_factory=dict)  #: that have not ended
    branch_of: dict[str, Branch] = field(default_factory=dict)  #: by the name of a step
    duration_s: float = 0.0  #: of all their steps that have ended
    error: Exception | None = None  #: why no more branches come

    def more(self, kind: Kind) -> tuple[Node, ...]:
        """Return the steps of the branches that are to begin now."""
        nodes: list[Node] = []
        while (found := self._next()) is not None:
            number, body = found
            tracer = GraphTracer(kind)
            token = active_tracer.set(tracer)
            try:
                with tracer.prefixed(f"{self.call.node.name}[{number}]"):
                    result = tracer.result(body())
            except Exception as error:  # noqa: BLE001  the function is the user's: a branch that cannot be is a failed one
                self._tell(number, Outcome(value=_nothing, failure=failure_from(error, "raised")))
                continue
            finally:
                active_tracer.reset(token)
            names = tuple([node.name for node in tracer.nodes])
            branch = Branch(number, names, set(names), result)
            if names:
                self.branches[number] = branch
                self.branch_of.update(dict.fromkeys(names, branch))
                nodes += tracer.nodes
            else:
                self._tell(number, Outcome(value=functools.partial(_same, result)))
        return tuple(nodes)

    def results(self) -> tuple[Any, ...]:
        """Return what the step returns, when all branches have ended. Raises what the grower has raised."""
        if self.error is not None:
            raise self.error
        return self.grower.results()

    def _next(self) -> tuple[int, Callable[[], Any]] | None:
        try:
            return self.grower.next(len(self.branches)) if self.error is None else None
        except Exception as error:  # noqa: BLE001  ends this step when its branches have ended, and not the driver of all
            self.error = error
            return None

    def _tell(self, number: int, outcome: Outcome) -> None:
        try:
            self.grower.ended(number, outcome)
        except Exception as error:  # noqa: BLE001  as above
            self.error = self.error or error

    def left(
        self,
        name: str,
        steps: Mapping[str, StepState],
        value_of: Callable[[Any], Any],
        load: Callable[[ArtifactRef], Any],
    ) -> bool:
        """Take note that a step has ended; tell whether its branch has.

        Args:
            name: Which step.
            steps: Where all steps of the run are.
            value_of: Returns the value of futures.
            load: Returns a stored value.
        """
        branch = self.branch_of.get(name)
        if branch is None:
            return False
        branch.missing.discard(name)
        if branch.missing:
            return False
        del self.branches[branch.number]
        for one in branch.names:
            del self.branch_of[one]
        own = [steps[one] for one in branch.names]
        logged = tuple([step.metrics for step in own if step.metrics is not None])
        outcome = Outcome(value=lambda: value_of(branch.result), load=load, logged=logged, failure=_failure(own))
        self.duration_s += sum(step.duration_s for step in own)
        self._tell(branch.number, outcome)
        return True


def _nothing() -> None:
    return None


def _same(value: Any) -> Any:
    return value


def _failure(steps: list[StepState]) -> Failure | None:
    """Return why a branch did not succeed; None when it did."""
    bad = [step for step in steps if step.status in _ENDED_BADLY]
    if not bad:
        return None
    first = next((step for step in bad if step.status in ("failed", "rejected")), bad[0])
    if first.failure is not None and first.status == "failed":
        return first.failure
    return Failure(kind="raised", error=first.status, message=first.detail or f"{first.name} was {first.status}")
