"""The loop: submit what is ready, wait, record. The state is a fold of the events it records."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.events import (
    RunFinished,
    RunOutcome,
    StepBlocked,
    StepCancelled,
    StepFailed,
    StepHit,
    StepStarted,
    StepSucceeded,
)
from filiera.core.graph import Graph, Node, map_futures
from filiera.core.key import KeyParts
from filiera.core.plain import names_in
from filiera.core.plan import Decision
from filiera.core.runstate import ENDED, RunState
from filiera.core.task import ExecutorEvent, Finished, Started, Task
from filiera.engine.planner import Planner
from filiera.engine.recorder import Recorder
from filiera.ports import Executor

HEARTBEAT_S = 5.0
STOP_NOTICED_WITHIN_S = 0.25
LONGEST_RETRY_DELAY_S = 60.0
_NOT_RETRIED = frozenset({"codec", "input", "cancelled"})


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """What a step returned before this run was interrupted."""

    key: str
    outputs: tuple[ArtifactRef, ...]


@dataclass(kw_only=True)
class Driver:
    """Runs one graph to its end."""

    graph: Graph
    planner: Planner
    recorder: Recorder
    executor: Executor
    earlier: Mapping[str, EarlierResult] = field(default_factory=dict)  #: of the run that is resumed
    on_wait: Callable[[RunState], None] | None = None  #: called a few times a second while steps run
    stop_asked: bool = False  #: set it, from a signal handler too, and the run is cancelled
    is_waiting: bool = False  #: the executor is at work; KeyboardInterrupt now ends what it does here, and is a stop
    _outputs: dict[str, tuple[ArtifactRef, ...]] = field(default_factory=dict)
    _tasks: dict[str, tuple[Node, KeyParts, Task]] = field(default_factory=dict)  #: running, by task id
    _attempts: dict[str, int] = field(default_factory=dict)
    _retries: list[tuple[float, str]] = field(default_factory=list)  #: heap: when, which node
    _retrying: dict[str, tuple[KeyParts, Task]] = field(default_factory=dict)  #: waiting for their next attempt
    _code_kept: set[str] = field(default_factory=set)
    _beat_at: float = 0.0

    def run(self) -> None:
        """Run every step that can run; afterwards all steps have ended, some as cancelled when it was stopped."""
        self._nodes = {node.name: node for node in self.graph.nodes}
        self._waits = {node.name: len(node.upstream) for node in self.graph.nodes}
        self._downstream: dict[str, list[str]] = {name: [] for name in self._nodes}
        for node in self.graph.nodes:
            for name in node.upstream:
                self._downstream[name].append(node.name)
        self._ready = deque(name for name, count in self._waits.items() if count == 0)
        self._beat_at = monotonic() + HEARTBEAT_S
        self._loop()
        if self.stop_asked:
            self._cancel()

    def _loop(self) -> None:
        while not self.stop_asked:
            while self._ready and not self.stop_asked:
                self._begin(self._nodes[self._ready.popleft()])
            if not self._tasks and not self._retries:
                return
            due_in_s = self.recorder.flush_due_in_s
            if due_in_s is not None and due_in_s <= 0:
                self.recorder.flush()
                due_in_s = None
            for event in self._wait(self._wait_s(due_in_s)):
                if isinstance(event, Started):
                    self._started(event)
                else:
                    self._finished(event)
            self._wake_retries()
            self._beat()
            if self.on_wait is not None:
                self.on_wait(self.recorder.state)

    def _wait(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        try:
            self.is_waiting = True
            events = self.executor.wait(timeout_s)
            self.is_waiting = False
        except KeyboardInterrupt:
            self.is_waiting = False
            self.stop_asked = True
            return ()
        return events

    def _wait_s(self, flush_due_in_s: float | None) -> float:
        now = monotonic()
        waits = [STOP_NOTICED_WITHIN_S, max(0.0, self._beat_at - now)]
        if flush_due_in_s is not None:
            waits.append(flush_due_in_s)
        if self._retries:
            waits.append(max(0.0, self._retries[0][0] - now))
        return min(waits)

    def _begin(self, node: Node) -> None:
        parts, inputs = self.planner.parts(node, self._outputs)
        decision = self._decide(node, parts)
        self.recorder.decided(node.name, parts, parts.key, decision.reason)
        self._keep_code(node)
        if decision.status == "hit":
            self.recorder.record(
                StepHit(
                    step=node.name,
                    key=parts.key,
                    outputs=decision.outputs,
                    reason=decision.reason,
                    blocked=decision.blocked,
                )
            )
            self._ended(node.name, decision.outputs, decision.blocked)
            return
        self._attempts[node.name] = 0
        arguments = b",".join(plain.encode(name) + b":" + value for name, value in parts.arguments.items())
        task = Task(
            task_id=f"{self.recorder.run_id}/{node.name}#1",
            function=node.step.address,
            arguments=b"{" + arguments + b"}",
            modules=_modules_named(node),
            sources=self.planner.code_of(node).sources,
            inputs=inputs,
            outputs=len(node.step.outputs),
            timeout_s=node.step.options.timeout_s,
            resources=node.step.options.resources,
            codecs=node.codecs,
        )
        self._submit(node, parts, task)

    def _decide(self, node: Node, parts: KeyParts) -> Decision:
        earlier = self.earlier.get(node.name)
        if earlier is not None and earlier.key == parts.key and node.name not in self.planner.fresh:
            reason = "finished before the run was resumed"
            outputs = earlier.outputs
            if all(map(self.planner.holds, outputs)):
                return Decision(
                    step=node.name, stage=node.stage, status="hit", reason=reason, parts=parts, outputs=outputs
                )
        return self.planner.decide(node, parts)

    def _keep_code(self, node: Node) -> None:
        code = self.planner.code_of(node)
        if code.digest not in self._code_kept:
            self._code_kept.add(code.digest)
            self.recorder.keep_code(code.digest, code.parts)

    def _submit(self, node: Node, parts: KeyParts, task: Task) -> None:
        self._attempts[node.name] += 1
        self._tasks[task.task_id] = (node, parts, task)
        self.executor.submit(task)

    def _started(self, event: Started) -> None:
        node = self._tasks[event.task_id][0]
        self.recorder.record(
            StepStarted(step=node.name, attempt=self._attempts[node.name], pid=event.pid, log=event.log)
        )

    def _finished(self, event: Finished) -> None:
        node, parts, task = self._tasks.pop(event.task_id)
        if event.failure is not None:
            self._failed(node, parts, task, event)
            return
        blocked = event.blocked.encode("utf-8", "backslashreplace").decode()  # the user's words, kept as text
        self.recorder.record(
            StepSucceeded(
                step=node.name, outputs=event.outputs, duration_s=event.duration_s, log=event.log, blocked=blocked
            )
        )
        if node.step.options.cache:
            self.recorder.keep(parts.key, node.name, event.outputs, blocked)
        self._ended(node.name, event.outputs, blocked)

    def _failed(self, node: Node, parts: KeyParts, task: Task, event: Finished) -> None:
        failure, options, attempt = event.failure, node.step.options, self._attempts[node.name]
        assert failure is not None
        delay_s = None
        if attempt <= options.retries and failure.kind not in _NOT_RETRIED:
            delay_s = min(options.retry_delay_s * 2 ** (attempt - 1), LONGEST_RETRY_DELAY_S)
        self.recorder.record(
            StepFailed(
                step=node.name,
                attempt=attempt,
                failure=failure,
                duration_s=event.duration_s,
                retry_in_s=delay_s,
                log=event.log,
            )
        )
        if delay_s is None:
            self._block_downstream(node.name)
            return
        self._retrying[node.name] = (parts, task)
        heapq.heappush(self._retries, (monotonic() + delay_s, node.name))

    def _wake_retries(self) -> None:
        now = monotonic()
        while self._retries and self._retries[0][0] <= now:
            _, name = heapq.heappop(self._retries)
            parts, task = self._retrying.pop(name)
            again = f"{self.recorder.run_id}/{name}#{self._attempts[name] + 1}"
            self._submit(self._nodes[name], parts, replace(task, task_id=again))

    def _ended(self, name: str, outputs: tuple[ArtifactRef, ...], blocked: str) -> None:
        if blocked:
            self._block_downstream(name)
            return
        self._outputs[name] = outputs
        for following in self._downstream[name]:
            self._waits[following] -= 1
            if self._waits[following] == 0:
                self._ready.append(following)

    def _block_downstream(self, name: str) -> None:
        blocking = [name]
        while blocking:
            by = blocking.pop()
            for following in self._downstream[by]:
                if self.recorder.state.steps[following].status == "pending":
                    self.recorder.record(StepBlocked(step=following, by=by))
                    blocking.append(following)

    def _cancel(self) -> None:
        self.executor.cancel(list(self._tasks))
        while self._tasks:
            events = self.executor.wait(None)
            if not events:
                break  # what ran in this process was interrupted before it could say so
            for event in events:
                if isinstance(event, Started):
                    self._started(event)
                else:
                    self._cancelled(event)
        for step in list(self.recorder.state.steps.values()):
            if step.status not in ENDED:
                self.recorder.record(StepCancelled(step=step.name))

    def _cancelled(self, event: Finished) -> None:
        if event.failure is None:
            self._finished(event)
        else:
            self._tasks.pop(event.task_id)

    def _beat(self) -> None:
        now = monotonic()
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT_S
            self.recorder.flush()
            self.recorder.beat()


def _modules_named(node: Node) -> tuple[str, ...]:
    """Return the modules of the functions and classes that lie in a node's arguments."""
    values = [map_futures(value, lambda future: None) for value in node.arguments.values()]
    return tuple({thing.__module__: None for value in values for thing in names_in(value)})


def conclusion(recorder: Recorder) -> RunFinished:
    """Return how the run ends, from the state of its steps: failed before rejected before succeeded."""
    steps = recorder.state.steps.values()
    failed = [step for step in steps if step.status == "failed"]
    rejected = [step for step in steps if step.status == "rejected"]
    outcome: RunOutcome = "succeeded"
    message = ""
    if failed:
        outcome = "failed"
        failure = failed[0].failure
        first_line = failure.message.partition("\n")[0] if failure else ""
        message = f"step {failed[0].name} failed" + (f": {failure.error}: {first_line}" if failure else "")
    elif rejected:
        outcome, message = "rejected", f"{rejected[0].name}: {rejected[0].detail}"
    elif any(step.status == "cancelled" for step in steps):
        outcome, message = "cancelled", "stopped by the user"
    return RunFinished(outcome=outcome, message=message)
