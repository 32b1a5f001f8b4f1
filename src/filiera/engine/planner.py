"""Decides for each step: a hit, or a run, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.graph import Future, Graph, Known, Late, Node, OutputRef, map_futures
from filiera.core.key import KeyParts, differences
from filiera.core.plan import Decision
from filiera.core.task import SourceStamp
from filiera.engine.rows import read_key_parts, read_refs
from filiera.errors import GraphError, StoreError
from filiera.ports import MetadataStore

Outputs = Mapping[str, tuple[ArtifactRef, ...]]


@dataclass(frozen=True, slots=True)
class Code:
    """The code that a node's step and its arguments reach, as its cache key sees it."""

    digest: str
    parts: bytes  #: the closure's parts, encoded, kept once per digest
    sources: tuple[SourceStamp, ...] = ()  #: the project's files it was read from


CodeOf = Callable[[Node], Code]
CompareCode = Callable[[bytes, bytes], list[str]]


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Looks steps up in the cache. Reads the records, changes nothing."""

    graph: Graph
    records: MetadataStore
    holds: Callable[[ArtifactRef], bool]  #: tells whether the store still has an artifact's bytes, all of its parts
    code_of: CodeOf
    compare_code: CompareCode
    fresh: frozenset[str] = frozenset()  #: steps to run although they are in the cache

    def read_code(self) -> None:
        """Read the code of all steps, so that code that cannot be read is an error before anything is recorded."""
        for node in self.graph.nodes:
            self.code_of(node)

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
        culprit = next((name for name in node.upstream if name in stopped), None)
        if culprit is not None:
            return Decision(step=node.name, stage=node.stage, status="blocked", reason=f"{culprit} stops the run")
        waiting = [name for name in node.upstream if name not in outputs]
        if waiting:
            reason = f"decided after {', '.join(waiting)}"
            return Decision(step=node.name, stage=node.stage, status="after", reason=reason)
        return self.decide(node, self.parts(node, outputs)[0])

    def parts(self, node: Node, outputs: Outputs) -> tuple[KeyParts, tuple[ArtifactRef, ...]]:
        """Return the parts of a node's key and its inputs, once all it waits for is in *outputs*."""
        inputs: list[ArtifactRef] = []
        origins: list[tuple[str, str]] = []

        def place(future: Future) -> plain.Placeholder:
            artifact, origin = _resolve(future, outputs)
            inputs.append(artifact)
            origins.append((origin, artifact.identity))
            return plain.Placeholder(len(inputs) - 1)

        arguments = {name: plain.encode(map_futures(value, place)) for name, value in node.arguments.items()}
        parts = KeyParts(
            closure=self.code_of(node).digest, arguments=arguments, inputs=tuple(origins), codecs=node.codecs
        )
        return parts, tuple(inputs)

    def decide(self, node: Node, parts: KeyParts) -> Decision:
        """Return whether a node whose inputs are known is a hit or runs."""

        def run(reason: str) -> Decision:
            return Decision(step=node.name, stage=node.stage, status="run", reason=reason, parts=parts)

        if not node.step.options.cache:
            return run("never cached (cache=False)")
        if node.name in self.fresh:
            return run("asked for (--fresh)")
        rows = self.records.read("try_cache_entry", {"key": parts.key})
        if not rows:
            return run(self._why_no_hit(node, parts))
        try:
            outputs = read_refs(rows[0]["outputs"], self._inline)
        except StoreError:
            return run("its stored result is gone")
        if not all(map(self.holds, outputs)):
            return run("its stored result is gone")
        return Decision(
            step=node.name,
            stage=node.stage,
            status="hit",
            reason=f"same code, parameters and inputs as in {rows[0]['run_id']}",
            parts=parts,
            outputs=outputs,
            blocked=rows[0]["blocked"],
        )

    def _inline(self, digest: str, codec: str) -> bytes | None:
        rows = self.records.read("get_artifact", {"digest": digest, "codec": codec})
        if not rows:
            raise StoreError(f"Artifact {digest[:12]} is not in the records.")
        content: bytes | None = rows[0]["inline"]
        return content

    def _why_no_hit(self, node: Node, parts: KeyParts) -> str:
        where = {"pipeline": self.graph.pipeline, "step": node.name, "run_id": ""}
        rows = self.records.read("previous_step_run", where)
        if not rows:
            return "first run"
        before = read_key_parts(rows[0])
        changes = differences(before, parts)
        if "code changed" in changes:
            changes = self._code_changes(before.closure, node) + [c for c in changes if c != "code changed"]
        if changes:
            return "; ".join(changes)
        if rows[0]["state"] in ("succeeded", "hit", "rejected"):
            return "its result is not in the cache"
        return f"it did not succeed in {rows[0]['run_id']}"

    def _code_changes(self, old_digest: str, node: Node) -> list[str]:
        rows = self.records.read("get_closure", {"digest": old_digest})
        if not rows:
            return ["code changed"]
        return self.compare_code(rows[0]["parts"].encode(), self.code_of(node).parts) or ["code changed"]


def _resolve(future: Future, outputs: Outputs) -> tuple[ArtifactRef, str]:
    if isinstance(future, OutputRef):
        made = outputs[future.node]
        origin = future.node if len(made) == 1 else f"{future.node}[{future.index}]"
        return made[future.index], origin
    if isinstance(future, Late):
        future = future.find(tuple(_resolve(need, outputs)[0] for need in future.needs))
    if isinstance(future, Known):
        return future.artifact, future.origin
    raise GraphError(f"{future.label} was not looked up before the run.")
