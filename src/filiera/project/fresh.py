"""Steps that are asked to run although they are in the cache: which names a run may know."""

from __future__ import annotations

import re

from filiera.core.graph import Graph
from filiera.errors import UsageError, did_you_mean

_LISTED = 100


def may_have(graph: Graph, name: str) -> bool:
    """Tell whether a run of *graph* may have a step of that name: one that a map or a dynamic step becomes, too."""
    for node in graph.nodes:
        rest = name.removeprefix(node.name) if name.startswith(node.name) else None
        if rest == "" or (rest and node.each and re.match(r"\[\d+\]", rest)):
            return True
        if rest and node.step.options.dynamic and rest.startswith("."):
            return True
    return False


def require_step(graph: Graph, name: str) -> None:
    """Raise UsageError unless a run of *graph* may have a step of that name."""
    if may_have(graph, name):
        return
    names = [node.name for node in graph.nodes]
    base = max((known for known in names if name.startswith((f"{known}[", f"{known}."))), key=len, default="")
    if base:
        is_map = any(node.name == base and node.each for node in graph.nodes)
        why = f"Step {base!r} runs once: it is neither a map nor dynamic."
        if is_map:
            why = f"Step {base!r} is a map: its calls are {base}[0], {base}[1] and so on."
        raise UsageError(f"There is no step {name!r} in {graph.pipeline}.", why=why, do=f"--fresh {base}")
    listed = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    raise UsageError(
        f"There is no step {name!r} in {graph.pipeline}.", why=f"The steps are: {listed}.{did_you_mean(name, names)}"
    )
