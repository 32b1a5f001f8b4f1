"""How rows flow through a serving graph, for drawings; and what its nodes do, for people. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from filiera.core.graph_names import Names
from filiera.core.graphs import (
    After,
    Before,
    Condition,
    Ensemble,
    Fallback,
    Leaf,
    Node,
    Router,
    Shadow,
    Split,
    Stack,
    parts_of,
)
from filiera.core.value import dataclass

REQUEST, ANSWER = "request", "answer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """The boxes of a drawing, in an order in which rows reach them."""

    upstream: Mapping[str, Sequence[str]]  #: from where each box gets rows or answers
    labels: Mapping[str, str]  #: a few words on each


def flow_of(node: Node, models: Mapping[str, str]) -> Flow:
    """Return how rows flow from a request to its answer.

    Args:
        node: The outermost node of a graph.
        models: Which version answers for each model that it names: "tree@champion" → "tree@3".

    >>> from filiera import Model, graphs
    >>> mean = graphs.ensemble(Model("a"), Model("b"), how="mean")
    >>> flow_of(mean, {}).upstream
    {'request': [], 'a': ['request'], 'b': ['request'], 'ensemble': ['a', 'b'], 'answer': ['ensemble']}
    """
    drawing = _Drawing(Names(node), models)
    drawing.upstream[ANSWER] = drawing.visit(node, [REQUEST])
    return Flow(upstream=drawing.upstream, labels=drawing.labels)


def outline(node: Node, models: Mapping[str, str]) -> list[tuple[int, str]]:
    """Return a line on each node, with how deep it lies in others, from the outermost on.

    >>> from filiera import Model, graphs
    >>> for depth, line in outline(graphs.fallback(Model("a"), Model("b"), timeout_s=0.5), {"a@champion": "a@3"}):
    ...     print("  " * depth + line)
    fallback: the second when the first fails, or takes longer than 0.5 s
      a: a@3
      b: b@champion
    """
    names = Names(node)

    def lines(node: Node, depth: int) -> list[tuple[int, str]]:
        own = (depth, f"{names.of(node)}: {told(node, models)}")
        parts = [line for part in parts_of(node) for line in lines(part, depth + 1)]
        return [own, *parts]

    return lines(node, 0)


def told(node: Node, models: Mapping[str, str]) -> str:
    """Return in words what a node does."""
    match node:
        case Leaf(ref=ref):
            return models.get(str(ref), str(ref))
        case Ensemble(how=how, weights=weights):
            return f"{how}{_weights(weights)}"
        case Stack():
            return "the last of the answers of the others"
        case Router(cases=cases):
            return f"by {', '.join(_condition(condition) for condition, _ in cases)}"
        case Split(shares=shares, by=by):
            return f"{', '.join(f'{share:.0%}' for share, _ in shares)} by {', '.join(by)}"
        case Fallback(timeout_s=timeout_s):
            late = f", or takes longer than {timeout_s:g} s" if timeout_s < math.inf else ""
            return f"the second when the first fails{late}"
        case Shadow():
            return "the second is asked too, and not heard"
    return "before" if isinstance(node, Before) else "after"


class _Drawing:
    def __init__(self, names: Names, models: Mapping[str, str]) -> None:
        self.upstream: dict[str, Sequence[str]] = {REQUEST: []}
        self.labels: dict[str, str] = {}
        self._names = names
        self._models = models

    def visit(self, node: Node, given: Sequence[str]) -> list[str]:
        """Add the boxes of a node that gets rows from those *given*; return those that give its answers."""
        match node:
            case Leaf():
                return [self._box(node, given)]
            case Before(node=inner):
                return self.visit(inner, [self._box(node, given)])
            case After(node=inner):
                return [self._box(node, self.visit(inner, given))]
            case Stack(members=members, last=last):
                return self.visit(last, [box for member in members for box in self.visit(member, given)])
            case Shadow(node=inner, shadowed=shadowed):
                answers = self.visit(inner, given)
                self.visit(shadowed, [self._box(node, given)])
                return answers
            case Router() | Split():
                chosen = [self._box(node, given)]
                return [box for part in parts_of(node) for box in self.visit(part, chosen)]
        return [self._box(node, [box for part in parts_of(node) for box in self.visit(part, given)])]

    def _box(self, node: Node, given: Sequence[str]) -> str:
        base = self._names.of(node)
        count, name = 1, base
        while name in self.upstream:
            count += 1
            name = f"{base} ({count})"
        self.upstream[name] = list(dict.fromkeys(given))
        self.labels[name] = _brief(node, self._models)
        return name


def _brief(node: Node, models: Mapping[str, str]) -> str:
    match node:
        case Fallback(timeout_s=timeout_s):
            return f"after {timeout_s:g} s" if timeout_s < math.inf else "on errors"
        case Shadow():
            return "not heard"
        case Stack():
            return ""
        case Router(cases=cases) if len(cases) > 1:
            return f"{len(cases)} conditions"
    return told(node, models).removeprefix("by ")


def _weights(weights: Sequence[float]) -> str:
    return "" if len(set(weights)) == 1 else f" {' : '.join(f'{weight:.3g}' for weight in weights)}"


def _condition(condition: Condition) -> str:
    field = f"header {condition.header}" if condition.header else condition.field
    return f"{field} {condition.operator} {condition.value!r}"
