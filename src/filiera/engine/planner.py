"""Decides for each step: a hit, or a run, and why."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.graph import Choice, Future, Graph, Known, Late, Node, OutputRef, map_futures
from filiera.core.key import KeyParts
from filiera.core.options import Cache
from filiera.core.plan import Decision
from filiera.core.task import SourceStamp
from filiera.core.value import dataclass
from filiera.engine.history import Asked, History, read_result
from filiera.engine.journal import Result
from filiera.engine.rows import write_arguments, write_inputs
from filiera.errors import GraphError, StoreError
from filiera.ports import Clock, MetadataStore

Outputs = Mapping[str, tuple[ArtifactRef, ...]]
_UNKNOWN = ArtifactRef(digest="0" * 64, codec="unknown/0", size_bytes=0)
"""Stands for what a task that runs before will return; its worker puts the real one there."""
_GRAPH = ("graph/1",)
"""Stands in the key of a dynamic step: what is kept is the graph that its function makes, and not what it returns."""


class Skipped(Exception):
    """What a step needs was skipped, so there is nothing to call it with."""


@dataclass(frozen=True, slots=True)
class Code:
    """The code that a node's step and its arguments reach, as its cache key sees it."""

    digest: str
    parts: bytes  #: the closure's parts, encoded, kept once per digest
    sources: tuple[SourceStamp, ...] = ()  #: the project's files it was read from


CodeOf = Callable[[Node], Code]
CompareCode = Callable[[bytes, bytes], list[str]]


@dataclass(frozen=True, slots=True)
class Call:
    """A node whose inputs are known."""

    node: Node
    parts: KeyParts
    inputs: tuple[ArtifactRef, ...]
    arguments: Mapping[str, bytes]  #: all of them, also those that do not count in the key
    code: Code
    written: tuple[str, str]  #: the parts' arguments and inputs, as the records keep them


@dataclass(kw_only=True)
class Planner:
    """Looks steps up in the cache. Reads the records, changes nothing."""

    graph: Graph
    records: MetadataStore
    holds: Callable[[ArtifactRef], bool]  #: tells whether the store still has an artifact's bytes, all of its parts
    code_of: CodeOf
    compare_code: CompareCode
    clock: Clock
    fresh: frozenset[str] = frozenset()  #: steps to run although they are in the cache
    before: int = 1 << 62  #: number of the run that is planned, or of the first one that was started along with it
    results: Mapping[str, Result] = field(default_factory=dict)  #: by key, of results that are not in the records yet

    def __post_init__(self) -> None:
        self._codes: dict[str, Code] = {}
        self._appeared: dict[str, Result] = {}

    @functools.cached_property
    def _history(self) -> History:
        return History(self.records, self.graph.pipeline, self.compare_code, self.before)

    def read_code(self) -> None:
        """Read the code of all steps, so that code that cannot be read is an error before anything is recorded."""
        for node in self.graph.nodes:
            self._code(node)

    def plan(self) -> list[Decision]:
        """Return a decision for every node, in order."""
        outputs: dict[str, tuple[ArtifactRef, ...]] = {}
        stopped: dict[str, str] = {}
        decisions = []
        for node in self.graph.nodes:
            decision = self._plan_node(node, outputs, stopped)
            if decision.status == "hit" and not decision.blocked:
                outputs[node.name] = decision.outputs
            if decision.status == "blocked" or decision.blocked:
                stopped[node.name] = decision.reason
            decisions.append(decision)
        return decisions

    def _plan_node(self, node: Node, outputs: Outputs, stopped: Mapping[str, str]) -> Decision:
        def decided(status: Any, reason: str) -> Decision:
            return Decision(step=node.name, stage=node.stage, status=status, reason=reason)

        culprit = next((name for name in node.upstream if name in stopped), None)
        if culprit is not None:
            return decided("blocked", f"{culprit} stops the run")
        waiting = [name for name in node.upstream if name not in outputs]
        if waiting:
            return decided("after", f"decided after {', '.join(waiting)}")
        if node.each or node.when or node.step.options.dynamic:
            return decided("after", "decided while it runs: what it becomes depends on values")
        return self.decide(self.call(node, outputs))

    def call(self, node: Node, outputs: Outputs) -> Call:
        """Return the call of a node once all it waits for is in *outputs*. Raises Skipped."""
        inputs: list[ArtifactRef] = []
        origins: list[tuple[str, str]] = []

        def place(future: Future) -> Any:
            found = resolve(future, outputs)
            if not isinstance(found, Known):
                return map_futures(found, place)  # the plain side of a choice, or one with futures inside
            inputs.append(found.artifact)
            origins.append((found.origin, found.artifact.identity))
            return plain.Placeholder(len(inputs) - 1)

        arguments = {}
        counted = []
        for name, value in node.arguments.items():
            before = len(inputs)
            arguments[name] = plain.encode(map_futures(value, place))
            counted += [name] * (len(inputs) - before)
        code = self._code(node)
        parts = self._parts(node, code, arguments, origins, counted)
        written = write_arguments(parts.arguments), write_inputs(parts)
        known = self._history.key(node.name, code.digest, written)
        if known is not None:
            parts.take_key(known)
        return Call(node, parts, tuple(inputs), arguments, code, written)

    def _code(self, node: Node) -> Code:
        found = self._codes.get(node.name)
        if found is None:
            found = self._codes[node.name] = self.code_of(node)
        return found

    def _parts(
        self,
        node: Node,
        code: Code,
        arguments: dict[str, bytes],
        origins: list[tuple[str, str]],
        counted: list[str],
    ) -> KeyParts:
        """Return what the key of a call is made of; *counted* has the parameter that each input belongs to."""
        cache = node.step.options.cache
        seen: Mapping[str, bytes] = arguments
        if isinstance(cache, Cache):
            if cache.key is not None:
                seen, origins = {"cache key": plain.encode(_own_key(cache.key, arguments, origins))}, []
            elif cache.ignore:
                seen = {name: value for name, value in arguments.items() if name not in cache.ignore}
                origins = [origin for origin, name in zip(origins, counted, strict=True) if name not in cache.ignore]
        ignored = cache.ignore if isinstance(cache, Cache) else ()
        codecs = _GRAPH if node.step.options.dynamic else node.codecs
        return KeyParts(closure=code.digest, arguments=seen, inputs=tuple(origins), codecs=codecs, ignored=ignored)

    def call_ahead(self, node: Node, before: Node, outputs: Outputs) -> tuple[Call, tuple[tuple[int, int], ...]]:
        """Return the call of a node whose only unknown inputs are what *before* returns, and where those go.

        Raises:
            Skipped: Another input was skipped.
        """
        inputs: list[ArtifactRef] = []
        shown: list[tuple[str, str]] = []
        places: list[tuple[int, int]] = []

        def place(future: Future) -> plain.Placeholder:
            if isinstance(future, OutputRef) and future.node == before.name:
                places.append((len(inputs), future.index))
                inputs.append(_UNKNOWN)
                shown.append((before.name, ""))
            else:
                known = resolve(future, outputs)
                inputs.append(known.artifact)
                shown.append((known.origin, known.artifact.identity))
            return plain.Placeholder(len(inputs) - 1)

        arguments = {name: plain.encode(map_futures(value, place)) for name, value in node.arguments.items()}
        code = self._code(node)
        parts = KeyParts(closure=code.digest, arguments=arguments, inputs=tuple(shown))
        return Call(node, parts, tuple(inputs), arguments, code, (write_arguments(arguments), "")), tuple(places)

    def filled(self, ahead: Call, outputs: Outputs) -> Call:
        """Return a call that was made ahead, now that all of its inputs are known."""
        found = [resolve(future, outputs) for future in ahead.node.futures()]
        parts = KeyParts(
            closure=ahead.parts.closure,
            arguments=ahead.parts.arguments,
            inputs=tuple([(known.origin, known.artifact.identity) for known in found]),
        )
        inputs = tuple([known.artifact for known in found])
        return Call(ahead.node, parts, inputs, ahead.arguments, ahead.code, (ahead.written[0], write_inputs(parts)))

    def decide(self, call: Call) -> Decision:
        """Return whether a call is a hit or runs."""
        node, parts = call.node, call.parts

        def run(reason: str) -> Decision:
            return Decision(step=node.name, stage=node.stage, status="run", reason=reason, parts=parts)

        if not node.step.options.is_cached:
            return run("never cached (cache=False)")
        if self.must_run(node.name):
            return run("asked for (--fresh)")
        found = self.find(parts.key, node)
        if found is None:
            return run(self.why(call))
        objection = self._objection(node, found)
        if objection:
            return run(objection)
        return Decision(
            step=node.name,
            stage=node.stage,
            status="hit",
            reason=f"same code, parameters and inputs as in {found.run_id}",
            parts=parts,
            outputs=found.outputs,
            blocked=found.blocked,
            metrics=found.metrics,
        )

    def _objection(self, node: Node, found: Result) -> str:
        """Return why a known result must not be used; "" when it may."""
        cache = node.step.options.cache
        if isinstance(cache, Cache) and cache.max_age_s is not None:
            age_s = self.clock() - found.stored_at
            if age_s > cache.max_age_s:
                return f"the result of {found.run_id} is {age_s:.0f} s old, it may be {cache.max_age_s:g} s"
        return "" if all(map(self.holds, found.outputs)) else "its stored result is gone"

    def has_appeared(self, call: Call) -> bool:
        """Tell whether a result that may be used was recorded after a call was decided; a second decision finds it."""
        found = self._recorded(call.parts.key)
        if found is None or self._objection(call.node, found):
            return False
        self._appeared[call.parts.key] = found
        return True

    def why(self, call: Call) -> str:
        """Return what differs from the last time that a step ran, in words."""
        return self._history.why(Asked(call.node.name, call.parts, call.written, call.code.parts))

    def must_run(self, name: str) -> bool:
        """Tell whether a step was asked to run although it is in the cache."""
        return is_fresh(name, self.fresh)

    def find(self, key: str, node: Node) -> Result | None:
        """Return what is known under a key, or None."""
        found = self.results.get(key) or self._appeared.get(key) or self._history.result(key, node.name)
        return found if found is not None else self._recorded(key)

    def _recorded(self, key: str) -> Result | None:
        rows = self.records.read("try_cache_entry", {"key": key})
        if not rows:
            return None
        return read_result(rows[0])


def is_fresh(name: str, fresh: frozenset[str]) -> bool:
    """Tell whether a step, or the one that it came from, was asked to run.

    >>> is_fresh("fit[3]", frozenset({"fit"})), is_fresh("fitted", frozenset({"fit"}))
    (True, False)
    """
    if not fresh or name in fresh:
        return name in fresh
    return any(name[:end] in fresh for end, letter in enumerate(name) if letter in "[.")


def resolve(future: Future, outputs: Outputs) -> Any:
    """Return the Known that *future* is by now, or a value in which futures may lie: the plain side of a choice.

    Raises:
        Skipped: It is an output of a step that was skipped.
        GraphError: It should have been looked up before the run.
    """
    if isinstance(future, OutputRef):
        made = outputs.get(future.node)
        if made is None:
            raise Skipped(future.node)
        origin = future.node if len(made) == 1 else f"{future.node}[{future.index}]"
        return Known(made[future.index], origin)
    if isinstance(future, Choice):
        chosen = future.then if is_true(future.condition, outputs) else future.otherwise
        return resolve(chosen, outputs) if isinstance(chosen, Future) else chosen
    if isinstance(future, Late):
        return future.find(tuple(resolve(need, outputs).artifact for need in future.needs))
    if isinstance(future, Known):
        return future
    raise GraphError(f"{future.label} was not looked up before the run.")


def is_true(condition: OutputRef, outputs: Outputs) -> bool:
    """Return what a condition's step said. Raises Skipped, or StoreError when it said neither True nor False."""
    content = resolve(condition, outputs).artifact.inline
    if content not in (b"true", b"false"):
        raise StoreError(
            f"Step {condition.node!r} decides what runs, but returned neither True nor False.",
            why=f"It returned {content.decode(errors='replace') if content else 'something large'}.",
            do="Return a bool from it.",
        )
    return bool(content == b"true")


def _own_key(key: Callable[..., str], arguments: Mapping[str, bytes], origins: list[tuple[str, str]]) -> str:
    """Return what the user's key function says of a call: it sees inputs as their digests."""

    def shown(value: Any) -> Any:
        if isinstance(value, plain.Placeholder):
            return origins[value.index][1]
        if type(value) in (list, tuple):
            return type(value)(map(shown, value))
        if type(value) is dict:
            return {name: shown(item) for name, item in value.items()}
        return value

    return str(key(**{name: shown(plain.decode(value)) for name, value in arguments.items()}))
