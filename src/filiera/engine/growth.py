"""Steps that become others while a run goes on: the calls of a map, the graph that a dynamic step returns."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.graph import Future, Known, Node, futures_in, map_futures
from filiera.core.runstate import StepState
from filiera.core.stages import Kind
from filiera.core.task import Failure
from filiera.core.value import dataclass
from filiera.engine.artifacts import Artifacts
from filiera.engine.growing import Growing
from filiera.engine.planner import Outputs, Skipped, resolve
from filiera.errors import StepFailed


@dataclass(kw_only=True, slots=True)
class Parent:
    """A step that has become others."""

    node: Node
    children: tuple[Node, ...]
    result: Any = None  #: of a dynamic step: what its function returned, with futures in it
    missing: int = 0  #: children that have not ended
    held: deque[str] = field(default_factory=deque)  #: children that wait until fewer run
    growing: Growing | None = None  #: of one whose children come one after another

    @property
    def is_map(self) -> bool:
        """Tell whether the children are calls of one step."""
        return bool(self.node.each)

    @property
    def tolerates_failures(self) -> bool:
        """Tell whether it can succeed without all of its children."""
        return self.growing is not None or (self.is_map and self.node.step.options.min_success < 1.0)


def calls_of_map(node: Node, outputs: Outputs, artifacts: Artifacts) -> Parent:
    """Return one node per item of the lists that *node* maps over, or per combination of them.

    Raises:
        StepFailed: The lists differ in length, or something is no list.
        Skipped: A list comes from a step that was skipped.
    """
    lists = [_items(node, name, outputs, artifacts) for name in node.each]
    sizes = {len(items) for items in lists}
    if not node.crossed and len(sizes) > 1:
        shown = ", ".join(f"{name} has {len(items)}" for name, items in zip(node.each, lists, strict=True))
        raise StepFailed(
            f"Step {node.name!r} maps over lists of different lengths: {shown}.",
            why="They are taken item by item, the first of one with the first of the others.",
            do="Make them equally long, or use product() for every combination.",
        )
    combinations: Iterable[tuple[Any, ...]]
    combinations = itertools.product(*lists) if node.crossed else zip(*lists, strict=True)
    children = tuple(
        replace(
            node,
            name=f"{node.name}[{number}]",
            arguments={**node.arguments, **dict(zip(node.each, items, strict=True))},
            when=(),
            each=(),
            crossed=False,
        )
        for number, items in enumerate(combinations)
    )
    return Parent(node=node, children=children, missing=len(children))


def _items(node: Node, name: str, outputs: Outputs, artifacts: Artifacts) -> list[Any]:
    value = node.arguments[name]
    if isinstance(value, Future):
        value = resolve(value, outputs)
    if isinstance(value, Known):
        origin = value.origin
        return [Known(part, f"{origin}[{number}]") for number, part in enumerate(artifacts.parts(value.artifact))]
    if isinstance(value, list | tuple | range):
        return list(value)
    raise StepFailed(f"Step {node.name!r} maps over {name}, which is a {type(value).__name__} and no list.")


def graph_of_dynamic(node: Node, description: ArtifactRef, artifacts: Artifacts, kind: Kind) -> Parent:
    """Return the nodes that a dynamic step's function called. Raises StepFailed when there is no such step."""
    from filiera.core.subgraph import read_subgraph

    # Its first part; the others are the values that it names, so that whoever keeps it keeps them.
    found = read_subgraph(artifacts.get(artifacts.parts(description)[0]), node.name, kind=kind)
    return Parent(node=node, children=found.nodes, result=found.result, missing=len(found.nodes))


def failure_of(parent: Parent, bad: list[StepState]) -> Failure:
    """Return the failure of a step of whose children too many did not succeed."""
    shown = ", ".join(step.name for step in bad[:3]) + (" …" if len(bad) > 3 else "")
    message = f"{len(bad)} of its {len(parent.children)} steps did not succeed: {shown}"
    return Failure(kind="raised", error="StepFailed", message=message)


def outputs_of(parent: Parent, outputs: Outputs, artifacts: Artifacts) -> tuple[ArtifactRef, ...]:
    """Return what a step returns that has become others, once these have ended.

    Raises:
        StepFailed: A dynamic step's function returned something else than its annotation says.
    """
    count = len(parent.node.step.outputs)
    if not parent.is_map:
        return tuple(artifacts_of(parent, outputs, artifacts, count))
    nothing: ArtifactRef | None = None
    columns: list[list[ArtifactRef]] = [[] for _ in range(count)]
    for child in parent.children:
        made = outputs.get(child.name)
        if made is None:
            nothing = nothing or artifacts.put(None)
            made = (nothing,) * count
        for column, ref in zip(columns, made, strict=True):
            column.append(ref)
    return tuple(artifacts.manifest(column) for column in columns)


def artifacts_of(parent: Parent, outputs: Outputs, artifacts: Artifacts, count: int) -> Iterator[ArtifactRef]:
    """Yield the artifact of each of *count* outputs of a dynamic step."""
    result = parent.result
    if count == 0:
        return
    values = (result,) if count == 1 else result
    if not isinstance(values, tuple | list) or len(values) != count:
        raise StepFailed(
            f"Dynamic step {parent.node.name!r} returned something else than {count} values.",
            do=f"Return a tuple of {count}, as its return type says.",
        )
    for value in values:
        yield stored(value, outputs, artifacts)


def stored(value: Any, outputs: Outputs, artifacts: Artifacts) -> ArtifactRef:
    """Return the artifact of a value in which futures may lie; what was skipped is None."""
    if isinstance(value, Future):
        try:
            value = resolve(value, outputs)
        except Skipped:
            value = None
    if isinstance(value, Known):
        return value.artifact
    if type(value) in (list, tuple) and any(isinstance(item, Future) for item in value):
        return artifacts.manifest([stored(item, outputs, artifacts) for item in value])
    if next(futures_in(value), None) is not None:
        value = map_futures(value, lambda future: artifacts.get(stored(future, outputs, artifacts)))
    return artifacts.put(value)
