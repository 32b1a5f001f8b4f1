"""What a version of a service is made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from filiera.core import plain
from filiera.core.graphs import After, Before, Node, parts_of
from filiera.core.value import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A serving graph with all that its answers depend on. Equal packages answer alike."""

    graph: str  #: the outermost node, as JSON; functions by ``module:name``
    models: Mapping[str, str]  #: which version answers for a model that the graph names: "tree@champion" → "tree@3"
    contents: Mapping[str, str]  #: the digest of each of these versions, by "tree@3"
    functions: Mapping[str, str]  #: the digest of the code that each function reaches, by ``module:name``


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """The text of the modules that a package's functions need, so that old versions answer as they did."""

    modules: Mapping[str, str]  #: by full name; "" also for a folder without ``__init__.py``
    packages: tuple[str, ...]  #: those of them that have submodules


@dataclass(frozen=True, slots=True)
class NamedFunction:
    """Stands for a function in a graph that is only looked at."""

    name: str  #: ``module:name``

    @property
    def __name__(self) -> str:
        return self.name.rpartition(":")[2].rpartition(".")[2]


def functions_of(node: Node) -> Iterator[Callable[..., Any]]:
    """Yield the functions of a graph, from the outermost node on, as often as they are in it."""
    if isinstance(node, Before | After):
        yield node.function
    for part in parts_of(node):
        yield from functions_of(part)


def write_graph(node: Node) -> str:
    """Return a graph as JSON. Raises TypeError for a function that is not at the top level of a module."""
    return plain.encode(node).decode()


def read_graph(text: str, moved: Callable[[str], str] = str) -> Node:
    """Return the graph that ``write_graph`` wrote; its functions must be loaded.

    Args:
        text: The JSON.
        moved: Says under which name a function's module is loaded.

    Raises:
        ValueError: A function is not loaded.
    """

    def found(name: str) -> Any:
        module, _, rest = name.partition(":")
        return {"$": "name", "v": f"{moved(module)}:{rest}"}

    return _read(text, found)


def read_shape(text: str) -> Node:
    """Return the graph that ``write_graph`` wrote, to be looked at: none of its functions is needed."""
    kind = plain.name_of(NamedFunction)
    return _read(text, lambda name: {"$": "object", "of": kind, "v": {"name": name}})


def _read(text: str, function: Callable[[str], Any]) -> Node:
    node: Node = plain.decode(json.dumps(_with_functions(json.loads(text), function)).encode())
    return node


def _with_functions(value: Any, function: Callable[[str], Any]) -> Any:
    if isinstance(value, list):
        return [_with_functions(item, function) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("$") == "name":
        return function(value["v"])
    return {key: _with_functions(item, function) for key, item in value.items()}
