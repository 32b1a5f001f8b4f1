"""How far a graph has been run: which steps wait for which, and which can begin. The graph may grow."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from dataclasses import field

from filiera.core.graph import Known, Node, OutputRef
from filiera.core.value import dataclass


@dataclass(eq=False)
class Frontier:
    """The nodes of a graph, and what each of them waits for."""

    nodes: dict[str, Node] = field(default_factory=dict)
    _order: dict[str, int] = field(default_factory=dict)
    _waits: dict[str, int] = field(default_factory=dict)  #: for how many others a node waits
    _downstream: dict[str, list[str]] = field(default_factory=dict)
    _ready: list[tuple[int, int, str]] = field(default_factory=list)  #: heap: priority, order, name

    def add(self, nodes: Sequence[Node], has_ended: Callable[[str], bool]) -> list[str]:
        """Take in further nodes; return those that wait for nothing."""
        for node in nodes:
            self._order[node.name] = len(self.nodes)
            self.nodes[node.name] = node
            self._downstream[node.name] = []
        able = []
        for node in nodes:
            waits = [name for name in node.upstream if not has_ended(name)]
            for name in waits:
                self._downstream[name].append(node.name)
            self._waits[node.name] = len(waits)
            if not waits:
                able.append(node.name)
        return able

    @property
    def is_empty(self) -> bool:
        """Tell whether no step can begin."""
        return not self._ready

    def make_ready(self, name: str) -> None:
        """Let a step begin when its turn comes: by priority, then in the order of the graph."""
        heapq.heappush(self._ready, (-self.nodes[name].step.options.priority, self._order[name], name))

    def pop(self) -> str:
        """Return the step whose turn it is."""
        return heapq.heappop(self._ready)[2]

    def is_waiting(self, name: str) -> bool:
        """Tell whether something must end before a step can begin."""
        return self._waits[name] > 0

    def downstream(self, name: str) -> Sequence[str]:
        """Return the steps that wait for *name*, or did."""
        return self._downstream[name]

    def release(self, name: str) -> None:
        """Let those begin that waited for *name* and nothing else."""
        for following in self._downstream[name]:
            self._waits[following] -= 1
            if self._waits[following] == 0:
                self.make_ready(following)

    def begin_anew(self, name: str) -> None:
        """Let a step begin that had ended. Who waited for it has gone on, so nobody does now."""
        self._downstream[name] = []
        self.make_ready(name)

    def wait_for(self, name: str, others: Collection[str]) -> None:
        """Let a step wait for *others*, which have not ended."""
        for other in others:
            self._downstream[other].append(name)
        self._waits[name] += len(others)

    def follower(self, name: str) -> Node | None:
        """Return the step that needs only what *name* returns, and that a worker can go on with by itself.

        A worker knows neither conditions nor limits, and has the place and the environment of the step before.
        """
        following = self._downstream[name]
        if len(following) != 1 or self._waits[following[0]] != 1:
            return None
        node = self.nodes[following[0]]
        former, options = self.nodes[name], node.step.options
        is_plain = not (node.when or node.each or node.codecs or former.each or former.step.options.dynamic)
        is_free = not (options.dynamic or options.limits or options.queue_timeout_s) and options.cache is True
        if (
            is_plain
            and is_free
            and (options.resources, options.env) == (former.step.options.resources, former.step.options.env)
            and all(isinstance(future, OutputRef | Known) for future in node.futures())
        ):
            return node
        return None
