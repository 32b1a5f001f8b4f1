"""ONNX graphs whose bytes depend on what they compute: converters draw names at random, and order nodes by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from filiera.core.digest import digest


def canonical(model: Any) -> Any:
    """Return an ``onnx.ModelProto`` that computes the same, and is the same however *model* was named and ordered.

    Each constant is named by its content and each node by its place. Of the nodes that can come next, the one with the
    least operator, inputs and attributes does; a node that computes what another does is left out.

    Raises:
        ValueError: A node has a graph of its own, such as a loop, or an input that nothing computes.
    """
    graph = model.graph
    made = type(model)()
    made.CopyFrom(model)
    made.producer_name = made.producer_version = made.doc_string = made.graph.doc_string = ""
    for part in (
        made.graph.node,
        made.graph.initializer,
        made.graph.value_info,
        made.opset_import,
        made.metadata_props,
    ):
        del part[:]
    made.opset_import.extend(sorted(model.opset_import, key=lambda each: each.domain))
    kept = {each.name for each in graph.output}
    names = {each.name: each.name for each in graph.input} | {"": ""}
    names |= dict(_constants(graph, made.graph))
    made.graph.node.extend(_ordered(list(graph.node), names, kept))
    return made


def _constants(graph: Any, made: Any) -> Iterator[tuple[str, str]]:
    """Add the constants to *made*, each once and by the name of its content, and yield their former and new names."""
    found: dict[str, Any] = {}
    for constant in graph.initializer:
        copied = type(constant)()
        copied.CopyFrom(constant)
        copied.name = copied.doc_string = ""
        copied.name = f"constant {digest('constant/1', copied.SerializeToString(deterministic=True))[:16]}"
        found[copied.name] = copied
        yield constant.name, copied.name
    made.initializer.extend(found[name] for name in sorted(found))


def _ordered(nodes: list[Any], names: dict[str, str], kept: set[str]) -> Iterator[Any]:
    places: dict[tuple[Any, ...], int] = {}
    while nodes:
        ready = [node for node in nodes if all(name in names for name in node.input)]
        if not ready:
            raise ValueError("a graph with an input that nothing computes")
        node = min(ready, key=lambda each: _key(each, names))
        nodes.remove(node)
        key = _key(node, names)
        is_new = key not in places
        place = places.setdefault(key, len(places))
        for number, name in enumerate(node.output):
            names[name] = name if name in kept or not name else f"value {place}.{number}"
        if is_new or kept & set(node.output):
            yield _renamed(node, place, names)


def _key(node: Any, names: dict[str, str]) -> tuple[Any, ...]:
    if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
        raise ValueError(f"a {node.op_type} with a graph of its own")
    attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
    return node.op_type, node.domain, tuple(names[name] for name in node.input), tuple(attributes), len(node.output)


def _renamed(node: Any, place: int, names: dict[str, str]) -> Any:
    made = type(node)()
    made.CopyFrom(node)
    made.name, made.doc_string = f"node {place}", ""
    made.input[:] = [names[name] for name in node.input]
    made.output[:] = [names[name] for name in node.output]
    del made.attribute[:]
    made.attribute.extend(sorted(node.attribute, key=lambda each: each.name))
    return made
