"""The names of a serving graph's nodes: in configuration, metrics, the log, errors and drawings."""

from __future__ import annotations

from collections import Counter

from filiera.core.graphs import (
    After,
    Before,
    Ensemble,
    Fallback,
    Leaf,
    Node,
    Router,
    Shadow,
    Split,
    Stack,
    leaves,
    parts_of,
)

_KINDS = {
    Ensemble: "ensemble", Stack: "stack", Router: "route", Split: "split", Fallback: "fallback", Shadow: "shadow",
}  # fmt: skip


class Names:
    """The names of all nodes of a graph, from the outermost on.

    A model is called as it is, with its version or alias if the graph asks for several of them; a function's node as
    the function; any other as what it does. Where that is taken, ``-2``, ``-3`` and so on follow. Equal nodes are one.

    >>> from filiera import Model, graphs
    >>> dict(Names(graphs.fallback(graphs.ensemble(Model("a"), Model("b"), how="mean"), Model("a"))))
    {'fallback': ('ensemble', 'a'), 'ensemble': ('a', 'b'), 'a': (), 'b': ()}
    """

    def __init__(self, node: Node) -> None:
        names = Counter(leaf.ref.name for leaf in leaves(node))
        self._named: list[tuple[str, Node]] = [
            (leaf.ref.name if names[leaf.ref.name] == 1 else str(leaf.ref), leaf) for leaf in leaves(node)
        ]
        self._taken = {name for name, _ in self._named}
        self._order: dict[str, Node] = {}
        self._visit(node)

    def of(self, node: Node) -> str:
        """Return the name of a node of the graph."""
        return next(name for name, other in self._named if other == node)

    def try_node(self, name: str) -> Node | None:
        """Return the node that has a name, or None; a model also by its name and version or alias."""
        return self._order.get(name) or next(
            (node for node in self._order.values() if isinstance(node, Leaf) and str(node.ref) == name), None
        )

    def keys(self) -> list[str]:
        """Return all names, the outermost node's first."""
        return list(self._order)

    def __getitem__(self, name: str) -> tuple[str, ...]:
        """Return the names of a node's parts."""
        return tuple(map(self.of, parts_of(self._order[name])))

    def _visit(self, node: Node) -> None:
        known = next((name for name, other in self._named if other == node), None)
        name = known or self._free(node)
        if known is None:
            self._named.append((name, node))
        if name not in self._order:
            self._order[name] = node
            for part in parts_of(node):
                self._visit(part)

    def _free(self, node: Node) -> str:
        base = node.function.__name__ if isinstance(node, Before | After) else _KINDS[type(node)]
        count, name = 1, base
        while name in self._taken:
            count += 1
            name = f"{base}-{count}"
        self._taken.add(name)
        return name
