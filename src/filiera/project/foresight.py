"""What a run would do with steps that are decided while it runs, as far as it can be told before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import field, replace

from filiera.core.approval import approval_step
from filiera.core.artifact import ArtifactRef
from filiera.core.graph import Future, Known, Node
from filiera.core.plan import Decision
from filiera.core.value import dataclass
from filiera.engine.artifacts import Artifacts
from filiera.engine.planner import Planner, Skipped, is_true, resolve
from filiera.errors import FilieraError


def foresee(planner: Planner, artifacts: Artifacts) -> Iterator[Decision]:
    """Yield a decision for every node, in order: of branches which is taken, of maps how many calls there are.

    Raises:
        StoreError: The records cannot be read.
    """
    look = _Look(planner, artifacts)
    for decision, node in zip(planner.plan(), planner.graph.nodes, strict=True):
        told = look.at(node, decision)
        if told.status == "hit" and not told.blocked:
            look.outputs[node.name] = told.outputs
        elif told.status == "skip":
            look.skipped.add(node.name)
        yield told


@dataclass
class _Look:
    planner: Planner
    artifacts: Artifacts
    outputs: dict[str, tuple[ArtifactRef, ...]] = field(default_factory=dict)  #: of hits
    skipped: set[str] = field(default_factory=set)

    def at(self, node: Node, decision: Decision) -> Decision:
        """Return what can be told of a node beyond what was decided."""
        if decision.status == "blocked":
            return decision
        if node.step.function is approval_step.function:
            question = f"a person is asked, unless the answer is known: {node.arguments['question']}"
            return replace(decision, status="after", reason=question)
        if decision.status != "after":
            return decision
        reason = self._why_skipped(node)
        if reason:
            return replace(decision, status="skip", reason=reason)
        unknown = [name for name in node.upstream if name not in self.outputs and name not in self.skipped]
        conditions = [f"{ref.node} returns {wanted}" for ref, wanted in node.when if ref.node in unknown]
        if conditions:
            return replace(decision, reason=f"only if {' and '.join(conditions)}")
        if node.each:
            return replace(decision, reason=self._calls(node, unknown))
        if node.step.options.dynamic:
            after = f"; after {', '.join(unknown)}" if unknown else ""
            return replace(decision, reason=f"makes its steps while it runs{after}")
        if unknown:
            return replace(decision, reason=f"decided after {', '.join(unknown)}")
        try:
            return self.planner.decide(self.planner.call(node, self.outputs))
        except Skipped as skipped:
            return replace(decision, status="skip", reason=f"{skipped} is skipped")

    def _why_skipped(self, node: Node) -> str:
        for condition, wanted in node.when:
            if condition.node in self.skipped:
                return f"{condition.node} is skipped"
            if condition.node in self.outputs and is_true(condition, self.outputs) is not wanted:
                return f"{condition.node} returned {not wanted}"
        return ""

    def _calls(self, node: Node, unknown: list[str]) -> str:
        """Return how many calls of its step a map makes, and of what."""
        sizes = [self._size(node.arguments[name]) for name in node.each]
        per = f"per {'combination' if node.crossed else 'item'} of {' and '.join(node.each)}"
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes):
            return f"a call {per}; decided after {', '.join(unknown)}" if unknown else f"a call {per}"
        count = math.prod(known) if node.crossed else known[0]
        return f"{count:,} call{'' if count == 1 else 's'}, one {per}; decided while it runs"

    def _size(self, items: object) -> int | None:
        """Return how many items there are, or None while that is not known."""
        try:
            found = resolve(items, self.outputs) if isinstance(items, Future) else items
            if isinstance(found, Known):
                return len(self.artifacts.parts(found.artifact))
        except (Skipped, FilieraError):  # a run will tell what is wrong with it
            return None
        return len(found) if isinstance(found, list | tuple | range) else None
