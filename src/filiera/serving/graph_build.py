"""Puts a serving graph together with the versions that it names, and checks that its parts fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from filiera.core import graphs
from filiera.core.graph_names import Names
from filiera.core.graphs import Leaf, Node, ServingGraph
from filiera.core.signature import FIELD_TYPES, Field, Output, Signature
from filiera.errors import GraphError
from filiera.serving.batch import Batch
from filiera.serving.course import Watched
from filiera.serving.graph_fields import (
    joined_examples,
    joined_inputs,
    require_covered,
    require_same_outputs,
)
from filiera.serving.graph_parts import (
    AfterPart,
    BeforePart,
    EnsemblePart,
    FallbackPart,
    ModelPart,
    MovedPart,
    Part,
    ShadowPart,
    StackPart,
    SwitchPart,
    router,
    splitter,
    stacked_columns,
)
from filiera.serving.graph_predictor import GraphPredictor, Member
from filiera.serving.records import RowDecoder

Moved = Mapping[str, Any]
"""What answers for nodes that run elsewhere, by name: each has ``predict``, as ``predictor.Predicts``."""


def build(
    graph: ServingGraph,
    members: Callable[[Leaf], Member],
    *,
    moved: Moved = MappingProxyType({}),
    node: Node | None = None,
) -> tuple[GraphPredictor, Signature]:
    """Return what answers for a graph, and its signature.

    Args:
        graph: What was declared.
        members: Gives the version that a leaf means; asked once for each.
        moved: What answers for nodes that run elsewhere; of members below them only the signature is used.
        node: The one of its nodes that answers; None: the outermost one.

    Raises:
        GraphError: Parts do not fit; the message names them.
    """
    top = graph.node if node is None else node
    known = {leaf.ref: members(leaf) for leaf in graphs.leaves(top)}
    names = Names(graph.node)
    builder = _Builder(known, names, moved)
    part = builder.part(top)
    signatures = [member.signature for member in known.values()]
    signature = Signature(
        task=signatures[0].task,
        inputs=part.inputs,
        outputs=part.outputs,
        max_rows=min(each.max_rows for each in signatures),
        deterministic=all(each.deterministic for each in signatures),
        examples=part.examples,
    )
    headers = {each.field: each.header for each in _conditions(top) if each.header}
    models = {names.of(leaf): known[leaf.ref] for leaf in graphs.leaves(top)}
    return GraphPredictor(part, builder.watched, headers=headers, models=models), signature


class _Builder:
    """Builds parts of nodes, from the leaves on."""

    def __init__(self, members: Mapping[Any, Member], names: Names, moved: Moved) -> None:
        self.watched: dict[str, Watched] = {}  #: nodes at work here, and those that are asked elsewhere, by name
        self.name_of = names.of
        self._members = members
        self._names = names
        self._moved = moved

    def part(self, node: Node) -> Part:
        """Return a node at work; equal nodes are one. Raises GraphError."""
        name = self.name_of(node)
        if name not in self.watched:
            made: Part
            if name in self._moved:
                made = MovedPart(_Builder(self._members, self._names, {}).part(node), self._moved[name])
            else:
                made = self._made(node)
            self.watched[name] = Watched(name, made, is_noted=isinstance(node, Leaf))
        return self.watched[name]

    def _made(self, node: Node) -> Part:
        match node:
            case Leaf(ref=ref):
                member = self._members[ref]
                return ModelPart(member.name, member.signature, member.predictor)
            case graphs.Ensemble():
                return self._ensemble(node)
            case graphs.Stack():
                return self._stack(node)
            case graphs.Router():
                return self._router(node)
            case graphs.Split():
                return self._split(node)
            case graphs.Fallback():
                first, second = self.part(node.first), self.part(node.second)
                return FallbackPart(first, second, node.timeout_s, **_switched("fallback", [first, second]))
            case graphs.Shadow():
                part, shadowed = self.part(node.node), self.part(node.shadowed)
                return ShadowPart(part, shadowed, **_about("shadow", [part, shadowed], part.outputs))
            case graphs.Before():
                return self._before(node)
        return self._after(node)

    def _ensemble(self, node: graphs.Ensemble) -> Part:
        members = [self.part(member) for member in node.members]
        wanted = {"mean": ("probability", "label", "value", "score"), "vote": ("label",)}[node.how]
        groups = [
            (member.name, [output for output in member.outputs if output.semantics in wanted]) for member in members
        ]
        outputs = require_same_outputs("An ensemble", groups)
        if not outputs or (node.how == "mean" and all(output.semantics == "label" for output in outputs)):
            raise GraphError(
                f"An ensemble cannot join these answers by {node.how!r}.",
                why=f"{members[0].name} gives only: {', '.join(each.semantics for each in members[0].outputs)}.",
                do='Join labels by "vote"; numbers and probabilities by "mean".',
            )
        return EnsemblePart(members, node.weights, **_about("ensemble", members, outputs))

    def _stack(self, node: graphs.Stack) -> Part:
        members, last = [self.part(member) for member in node.members], self.part(node.last)
        names = [
            self._members[each.ref].name if isinstance(each, Leaf) else f"member{number}"
            for number, each in enumerate(node.members, 1)
        ]
        if len(set(names)) < len(names):
            raise GraphError(f"Two members of a stack are called {max(names, key=names.count)!r}.")
        made = {
            column: Field(name=column, type=output.type)
            for name, part in zip(names, members, strict=True)
            for output in part.outputs
            for column in stacked_columns(name, output)
        }
        rest = [field for field in last.inputs if field.name not in made]
        inputs = joined_inputs([*(member.inputs for member in members), rest])
        require_covered("What a stack makes", [each for each in last.inputs if each.name in made], [*made.values()])
        if any("." in field.name and field.name.partition(".")[0] in names for field in rest):
            require_covered("What a stack makes", rest, [*made.values()])
        examples = joined_examples([member.examples for member in members])
        about: dict[str, Any] = {"name": "stack", "inputs": inputs, "outputs": last.outputs, "examples": examples}
        return StackPart(list(zip(names, members, strict=True)), last, **about)

    def _router(self, node: graphs.Router) -> Part:
        parts = [self.part(each) for each in graphs.parts_of(node)]
        about = _switched("router", parts)
        conditions = [condition for condition, _ in node.cases]
        added = {
            each.field: Field(name=each.field, type="string", nullable=True, optional=True)
            for each in conditions
            if each.header and each.field not in {field.name for field in about["inputs"]}
        }
        about["inputs"] = (*about["inputs"], *added.values())
        about["examples"] = tuple({**dict.fromkeys(added), **row} for row in about["examples"])
        _require_inputs("A condition", [each.field for each in conditions], about["inputs"])
        return SwitchPart(parts, router(conditions, about["inputs"]), **about)

    def _split(self, node: graphs.Split) -> Part:
        parts = [self.part(each) for each in graphs.parts_of(node)]
        about = _switched("split", parts)
        _require_inputs("A split", node.by, about["inputs"])
        shares = [share for share, _ in node.shares]
        return SwitchPart(parts, splitter(shares, node.by, node.seed, about["inputs"]), **about)

    def _before(self, node: graphs.Before) -> Part:
        inner = self.part(node.node)
        inputs = node.inputs or inner.inputs
        about = {"name": node.function.__name__, "inputs": inputs, "outputs": inner.outputs}
        part = BeforePart(node.function, inner, examples=node.examples or inner.examples, **about)
        if part.examples:
            made = part.try_made(_rows(part))
            given = [
                Field(name=name, type=FIELD_TYPES[kind.base_type().__name__])
                for name, kind in made.schema.items()
                if kind.base_type().__name__ in FIELD_TYPES
            ]
            require_covered(f"What {node.function.__name__} makes", inner.inputs, given)
        return part

    def _after(self, node: graphs.After) -> Part:
        inner = self.part(node.node)
        about = {"name": node.function.__name__, "inputs": inner.inputs, "outputs": node.outputs or inner.outputs}
        return AfterPart(inner, node.function, examples=inner.examples, **about)


def _about(name: str, parts: Sequence[Part], outputs: tuple[Output, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "inputs": joined_inputs([part.inputs for part in parts]),
        "outputs": outputs,
        "examples": joined_examples([part.examples for part in parts]),
    }


def _switched(name: str, parts: Sequence[Part]) -> dict[str, Any]:
    outputs = require_same_outputs(f"A {name}", [(part.name, part.outputs) for part in parts])
    return _about(name, parts, outputs)


def _require_inputs(what: str, names: Sequence[str], inputs: Sequence[Field]) -> None:
    known = [field.name for field in inputs]
    for name in names:
        if name not in known:
            raise GraphError(f"{what} decides by {name!r}, which is no input.", why=f"There are: {', '.join(known)}.")


def _rows(part: Part) -> Batch:
    from filiera.serving.served_model import request_body

    signature = Signature(task="regression", inputs=part.inputs, outputs=part.outputs)
    return RowDecoder(replace(signature, max_rows=len(part.examples))).decode(request_body(part.examples))


def _conditions(node: Node) -> list[graphs.Condition]:
    own = [condition for condition, _ in node.cases] if isinstance(node, graphs.Router) else []
    return own + [each for part in graphs.parts_of(node) for each in _conditions(part)]
