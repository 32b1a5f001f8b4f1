"""What a dynamic step returns: the graph of the steps it called, as plain data, and that data as nodes again.

The function runs in a worker, on real values, and notes which steps it calls. Those values that a graph cannot say are
stored, and stand in the graph by their digest. The driver reads the nodes and runs them in the step's place.

The data is a dictionary of ``nodes``, ``result``, ``futures`` and ``modules``. Arguments and the result are texts as
``plain.encode`` writes them, with placeholders that count in ``futures``: ``["output", node, index]``,
``["stored", digest, codec, size, content]`` or ``["choice", [[node, index, text], …], text]``. To read a text, the
modules must be loaded whose classes and functions it names.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.graph import Choice, Future, Given, Known, Node, OutputRef, map_futures
from filiera.core.options import StepOptions
from filiera.core.stages import Kind
from filiera.core.step import Step, active_tracer
from filiera.core.trace import GraphTracer
from filiera.core.value import dataclass
from filiera.errors import GraphError, StepFailed

STEP_MAKER = "__filiera_step__"
"""A function of this attribute returns the step that it is for given arguments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subgraph:
    """What takes the place of a dynamic step."""

    nodes: tuple[Node, ...]
    result: Any  #: what its function returned, with futures in it


def trace_call(
    function: Callable[..., Any], arguments: Mapping[str, Any], put: Callable[[object], ArtifactRef]
) -> dict[str, Any]:
    """Return the steps that a dynamic step's *function* calls for these arguments, as plain data.

    Args:
        function: Calls steps, as a pipeline does, but on real values.
        arguments: By name, loaded.
        put: Stores a value that a graph cannot say, such as a table.

    Raises:
        GraphError: Steps are wired wrongly, or no other process could find one of them.
        Exception: Whatever the function raises.
    """
    kept: dict[int, tuple[object, Known]] = {}

    def keep(value: object) -> Known:
        known = kept.get(id(value))
        if known is None:
            known = kept[id(value)] = (value, Known(put(value), "value"))  # with the value, or its id is given away
        return known[1]

    tracer = GraphTracer("model", keep=keep)
    token = active_tracer.set(tracer)
    try:
        result = function(**arguments)
    finally:
        active_tracer.reset(token)
    return _Writer().described(tracer.nodes, tracer.result(result))


def read_subgraph(value: Mapping[str, Any], prefix: str, *, kind: Kind = "model") -> Subgraph:
    """Return the graph that ``trace_call`` described.

    Args:
        value: What it returned.
        prefix: Name of the dynamic step: the nodes' names begin with it and a dot.
        kind: Of the pipeline, for the stages of steps that declare none.

    Raises:
        StepFailed: A step is not where it was, or a module of it cannot be imported.
    """
    for module in value["modules"]:
        _imported(module)
    reader = _Reader(value, prefix, kind)
    nodes = tuple([reader.node(found) for found in value["nodes"]])
    return Subgraph(nodes=nodes, result=reader.value(value["result"]))


def stored_in(value: Mapping[str, Any]) -> tuple[ArtifactRef, ...]:
    """Return the artifacts that a described graph needs, beside what its steps will make."""
    return tuple([_artifact(*rest) for kind, *rest in value["futures"] if kind == "stored"])


class _Writer:
    def __init__(self) -> None:
        self._futures: list[list[Any]] = []
        self._places: dict[int, tuple[Future, int]] = {}
        self._modules: dict[str, None] = {}

    def described(self, nodes: list[Node], result: Any) -> dict[str, Any]:
        return {
            "nodes": [self._node(node) for node in nodes],
            "result": self._text(result, "The result"),
            "futures": self._futures,
            "modules": list(self._modules),
        }

    def _node(self, node: Node) -> dict[str, Any]:
        place = f"Step {node.name!r}"
        arguments = {name: self._text(value, f"{place} is given {name}") for name, value in node.arguments.items()}
        found: dict[str, Any] = {"name": node.name, "step": node.step.address, "arguments": arguments}
        usual = find_step(node.step.address, node.arguments).options
        changed = {
            item.name: getattr(node.step.options, item.name)
            for item in fields(StepOptions)
            if getattr(node.step.options, item.name) != getattr(usual, item.name)
        }
        if changed:
            found["options"] = self._text(changed, f"{place} has options")
        if node.when:
            found["when"] = [[ref.node, ref.index, value] for ref, value in node.when]
        if node.each:
            found["each"], found["crossed"] = list(node.each), node.crossed
        return found

    def _text(self, value: Any, place: str) -> str:
        said = map_futures(value, self._place)
        try:
            text = plain.encode(said)
        except TypeError as error:
            raise GraphError(f"{place}, which cannot be written in a graph.", why=f"{error}.") from error
        self._modules.update((thing.__module__, None) for thing in plain.names_in(said))
        return text.decode("utf-8", "surrogatepass")

    def _place(self, future: Future) -> plain.Placeholder:
        if id(future) not in self._places:
            written = self._written(future)
            self._futures.append(written)
            self._places[id(future)] = future, len(self._futures) - 1
        return plain.Placeholder(self._places[id(future)][1])

    def _written(self, future: Future) -> list[Any]:
        if isinstance(future, OutputRef):
            return ["output", future.node, future.index]
        if isinstance(future, Known):
            ref = future.artifact
            content = None if ref.inline is None else base64.b64encode(ref.inline).decode()
            return ["stored", ref.digest, ref.codec, ref.size_bytes, content]
        if isinstance(future, Choice):
            cases, last = future.cases()
            texts = [[ref.node, ref.index, self._text(value, "A branch")] for ref, value in cases]
            return ["choice", texts, self._text(last, "A branch")]
        origin = repr(future.origin) if isinstance(future, Given) else future.label
        raise GraphError(
            f"A dynamic step uses {origin}, which is looked up before a run.",
            why="The graph that it returns is made while the run goes on.",
            do="Make it a parameter of the pipeline that calls the dynamic step, and pass it on.",
        )


class _Reader:
    def __init__(self, value: Mapping[str, Any], prefix: str, kind: Kind) -> None:
        self._prefix = prefix
        self._kind = kind
        self._types: dict[str, tuple[Any, ...]] = {}
        self._written: list[list[Any]] = value["futures"]
        self._futures: dict[int, Future] = {}
        self._steps: dict[tuple[str, str], Step[Any, Any]] = {}

    def node(self, found: Mapping[str, Any]) -> Node:
        arguments = {name: self.value(text) for name, text in found["arguments"].items()}
        step = self._step(found["step"], found.get("options", ""), arguments)
        each = tuple(found.get("each", ()))
        kinds = step.outputs
        self._types[found["name"]] = tuple([list[kind] for kind in kinds]) if each else kinds  # type: ignore[valid-type]
        return Node(
            name=f"{self._prefix}.{found['name']}",
            step=step,
            stage=step.stage_in(self._kind),
            arguments=arguments,
            when=tuple([(self._output(name, index), value) for name, index, value in found.get("when", ())]),
            each=each,
            crossed=found.get("crossed", False),
        )

    def value(self, text: str) -> Any:
        return self._filled(plain.decode(text.encode("utf-8", "surrogatepass")))

    def _filled(self, value: Any) -> Any:
        kind = type(value)
        if kind is plain.Placeholder:
            return self._future(value.index)
        if kind is list:
            return [self._filled(item) for item in value]
        if kind is tuple:
            return tuple([self._filled(item) for item in value])
        if kind is dict:
            return {key: self._filled(item) for key, item in value.items()}
        return value

    def _future(self, place: int) -> Future:
        found = self._futures.get(place)
        if found is None:
            kind, *rest = self._written[place]
            if kind == "output":
                found = self._output(*rest)
            elif kind == "stored":
                found = Known(_artifact(*rest), f"a value of {self._prefix}")
            else:
                found = self._choice(*rest)
            self._futures[place] = found
        return found

    def _choice(self, cases: list[Any], last: str) -> Future:
        found = self.value(last)
        for name, index, text in reversed(cases):
            found = Choice(self._output(name, index), self.value(text), found)
        return found  # type: ignore[no-any-return]

    def _output(self, name: str, index: int) -> OutputRef:
        kinds = self._types.get(name, ())
        return OutputRef(f"{self._prefix}.{name}", index, kinds[index] if index < len(kinds) else Any)

    def _step(self, address: str, options: str, arguments: Mapping[str, Any]) -> Step[Any, Any]:
        step = self._steps.get((address, options))
        if step is None:
            step = find_step(address, arguments)
            if options:
                step = step.with_options(**plain.decode(options.encode("utf-8", "surrogatepass")))
            if not hasattr(step.function, STEP_MAKER):
                self._steps[address, options] = step
        return step


def _artifact(digest: str, codec: str, size_bytes: int, content: str | None) -> ArtifactRef:
    inline = None if content is None else base64.b64decode(content)
    return ArtifactRef(digest=digest, codec=codec, size_bytes=size_bytes, inline=inline)


def find_step(address: str, arguments: Mapping[str, Any]) -> Step[Any, Any]:
    """Return the step whose function is at ``module:qualified.name``, importing the module.

    A function that is no step there, because it became one elsewhere, is one with the usual options. A function that
    does different things by its arguments has a function ``__filiera_step__`` that makes the step of them.

    Raises:
        StepFailed: The module cannot be imported, or has no such function.
    """
    module, _, path = address.partition(":")
    found: Any = _imported(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Step):
        return found
    if not callable(found):
        inside = "<locals>" in path or "<lambda>" in path
        raise StepFailed(
            f"Module {module!r} has no step {path!r}.",
            why="It is defined inside another function." if inside else "It was called under another name, or is gone.",
            do="Define it at the top level of its module: there every process finds it.",
        )
    make = getattr(found, STEP_MAKER, None)
    return make(arguments) if make is not None else Step(found, StepOptions())


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        raise StepFailed(f"Module {module!r}, which a dynamic step uses, cannot be imported: {told}.") from error
