"""One run on its way: which steps can begin, and what follows when one has ended. It executes nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import field, replace

from filiera.core.approval import approval_step
from filiera.core.artifact import ArtifactRef
from filiera.core.events import (
    StepBlocked,
    StepCancelled,
    StepCaught,
    StepExtended,
    StepFailed,
    StepHit,
    StepLost,
    StepSkipped,
    StepSucceeded,
    StepWaiting,
    ending,
)
from filiera.core.graph import Graph, Node
from filiera.core.plan import Decision
from filiera.core.runstate import ENDED, RunState, StepState
from filiera.core.task import Failure, Finished
from filiera.core.value import dataclass
from filiera.engine.artifacts import Artifacts
from filiera.engine.failures import failure_from
from filiera.engine.frontier import Frontier
from filiera.engine.growth import Parent, calls_of_map, graph_of_dynamic, outputs_of, stored
from filiera.engine.history import EarlierResult
from filiera.engine.planner import Call, Planner, Skipped, is_true
from filiera.engine.recorder import Recorder, StepRecord
from filiera.errors import CodecError
from filiera.errors import StepFailed as CannotBegin


@dataclass(kw_only=True, eq=False)
class Course:
    """One run: its graph, which grows, and how far it has come."""

    graph: Graph
    planner: Planner
    recorder: Recorder
    artifacts: Artifacts
    earlier: Mapping[str, EarlierResult] = field(default_factory=dict)  #: of the run that is resumed
    log_prefix: str = ""  #: from the run's log folder to the one that the executor writes to
    stopping: str = ""  #: why nothing more may begin and what runs is to be ended; "" while all is well
    outputs: dict[str, tuple[ArtifactRef, ...]] = field(default_factory=dict)
    _front: Frontier = field(default_factory=Frontier)
    _taken: set[str] = field(default_factory=set)  #: ready, but begun by a worker already
    _again: set[str] = field(default_factory=set)  #: steps whose inputs were lost, and are made again
    _given: set[str] = field(default_factory=set)  #: steps whose calls were handed out, or begun by a worker
    _finishing: str = ""  #: the step whose failure lets nothing begin any more, while what has begun goes on
    _parents: dict[str, Parent] = field(default_factory=dict)  #: what a step has become, by its name
    _parent_of: dict[str, Parent] = field(default_factory=dict)  #: where a step comes from, by its name
    _code_kept: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.planner.results = self.recorder.journal.results
        for name in self._front.add(self.graph.nodes, self._has_ended):
            self._front.make_ready(name)

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Return the nodes there are by now."""
        return self._front.nodes

    @property
    def state(self) -> RunState:
        """Return where the run is."""
        return self.recorder.state

    @property
    def is_idle(self) -> bool:
        """Tell whether no step can begin at the moment."""
        return self._front.is_empty

    def next_call(self) -> Call | None:
        """Return the next call that must be executed; what needs no execution is done on the way."""
        while not self._front.is_empty and not self.stopping:
            name = self._front.pop()
            if not self._can_begin(name):
                continue  # blocked meanwhile, or begun by a worker
            if self._finishing and name not in self._given:
                self._block([name], self._finishing)
                self._block_downstream(name)
                continue
            call = self._begin(self.nodes[name])
            if call is not None:
                self._given.add(name)
                return call
        return None

    def _can_begin(self, name: str) -> bool:
        status = self.state.steps[name].status
        return name not in self._taken and (status == "pending" or (status == "retrying" and name in self._again))

    def begin_again(self, name: str) -> None:
        """Put back a step that could not be executed yet: what it waited for is perhaps a hit now."""
        self._given.discard(name)
        self._front.make_ready(name)

    def take(self, ahead: Call) -> Call | None:
        """Return the call that a worker has begun by itself, with its inputs; None when the step is not ready."""
        name = ahead.node.name
        if self.state.steps[name].status != "pending" or self._front.is_waiting(name):
            return None
        self._taken.add(name)
        self._given.add(name)
        call = self.planner.filled(ahead, self.outputs)
        self._decided(call, self.planner.why(call))
        return call

    def give_back(self, name: str) -> None:
        """Let a step that was taken begin in the usual way: its worker has dropped it."""
        self._taken.discard(name)
        self.begin_again(name)

    def follower(self, name: str) -> Node | None:
        """Return the step that can go on with nothing but what *name* returns, in the same worker, if there is one."""
        node = self._front.follower(name)
        if node is None or node.name in self.earlier or self.planner.must_run(node.name):
            return None
        return None if node.step.function is approval_step.function else node

    def succeeded(self, name: str, finished: Finished, key: str) -> None:
        """Take note of what an attempt returned."""
        node = self.nodes[name]
        blocked = finished.blocked.encode("utf-8", "backslashreplace").decode()  # the user's words, kept as text
        if node.step.options.dynamic and not blocked:
            self.recorder.journal.made(finished.outputs[0])
            if node.step.options.is_cached:
                self.recorder.keep(key, name, finished.outputs, "")
            self._extend_dynamic(node, finished.outputs[0])
            return
        self.recorder.record(StepSucceeded(step=name, outputs=finished.outputs, blocked=blocked, **ending(finished)))
        if node.step.options.is_cached:
            self.recorder.keep(key, name, finished.outputs, blocked)
        self._ended(name, finished.outputs, blocked)

    def failed(self, name: str, attempt: int, finished: Finished, retry_in_s: float | None) -> None:
        """Take note of a failed attempt, the last one unless it is tried again in *retry_in_s*."""
        failure = finished.failure
        assert failure is not None
        if retry_in_s is None and self.nodes[name].step.options.catches and failure.kind != "cancelled":
            self._catch(name, attempt, failure, finished)
            return
        self._record_failure(name, attempt, failure, finished, retry_in_s)
        if retry_in_s is None:
            self._ended_badly(name)

    def _record_failure(
        self, name: str, attempt: int, failure: Failure, finished: Finished, retry_in_s: float | None
    ) -> None:
        self.recorder.record(
            StepFailed(
                step=name,
                attempt=attempt,
                failure=failure,
                retry_in_s=retry_in_s,
                **ending(finished),
            )
        )

    def make_again(self, name: str, attempt: int, finished: Finished, lost: Set[ArtifactRef]) -> bool:
        """Let the steps run again that made the inputs of *name* which were lost, and then that step.

        Returns False when that cannot help: they came from outside of the run, or were made again before.
        """
        makers = [up for up in self.nodes[name].upstream if not lost.isdisjoint(self.outputs.get(up, ()))]
        failure = finished.failure
        if failure is None or name in self._again or not makers or not self._parents.keys().isdisjoint(makers):
            return False
        self._again.add(name)
        self._record_failure(name, attempt, failure, finished, 0.0)
        for maker in makers:
            if self.state.steps[maker].status in ("succeeded", "hit"):
                self.recorder.record(StepLost(step=maker, reason=f"what it returned was lost: {failure.error}"))
                self._front.begin_anew(maker)
        self._front.wait_for(name, makers)
        return True

    def cancel(self) -> None:
        """Record that what has not ended is cancelled, or that it still waits for a person."""
        for step in list(self.state.steps.values()):
            if step.status not in ENDED:
                self.recorder.record(StepCancelled(step=step.name))

    def _has_ended(self, name: str) -> bool:
        return self.state.steps[name].status in ENDED

    def _begin(self, node: Node) -> Call | None:
        """Return a node's call if it must be executed; else see to its end."""
        try:
            reason = self._why_skipped(node)
            if reason:
                self._skip(node.name, reason)
                return None
            if node.each:
                self._extend(calls_of_map(node, self.outputs, self.artifacts))
                return None
            if node.step.function is approval_step.function:
                self._ask(node)
                return None
            call = self.planner.call(node, self.outputs)
        except Skipped as skipped:
            self._skip(node.name, f"{skipped} was skipped")
            return None
        except (CannotBegin, CodecError) as error:
            self.failed(node.name, 0, Finished(task_id="", failure=failure_from(error, "input")), None)
            return None
        return self._decide(call)

    def _why_skipped(self, node: Node) -> str:
        for condition, wanted in node.when:
            if is_true(condition, self.outputs) is not wanted:
                return f"{condition.node} returned {not wanted}"
        return ""

    def _decide(self, call: Call) -> Call | None:
        name = call.node.name
        decision = self._earlier(call) or self.planner.decide(call)
        self._decided(call, decision.reason)
        if decision.status != "hit":
            return call
        if call.node.step.options.dynamic and not decision.blocked:
            self._extend_dynamic(call.node, decision.outputs[0])
            return None
        self.recorder.record(
            StepHit(
                step=name,
                key=call.parts.key,
                outputs=decision.outputs,
                reason=decision.reason,
                blocked=decision.blocked,
                metrics=decision.metrics,
            )
        )
        self._ended(name, decision.outputs, decision.blocked)
        return None

    def _earlier(self, call: Call) -> Decision | None:
        node = call.node
        earlier = self.earlier.get(node.name)
        if earlier is None or earlier.key != call.parts.key or self.planner.must_run(node.name):
            return None
        if node.step.options.dynamic or not all(map(self.planner.holds, earlier.outputs)):
            return None
        reason = "finished before the run was resumed"
        found = Decision(step=node.name, stage=node.stage, status="hit", reason=reason, parts=call.parts)
        return replace(found, outputs=earlier.outputs, metrics=earlier.metrics)

    def _decided(self, call: Call, reason: str) -> None:
        self.recorder.decided(call.node.name, StepRecord(call.parts, call.parts.key, call.written, reason))
        code = call.code
        if code.digest not in self._code_kept:
            self._code_kept.add(code.digest)
            self.recorder.keep_code(code.digest, code.parts)

    def _ask(self, node: Node) -> None:
        """Go on with a value if a person has approved it."""
        ref = stored(node.arguments["value"], self.outputs, self.artifacts)
        where = {"pipeline": self.graph.pipeline, "step": node.name, "subject": ref.identity}
        answers = self.planner.records.read("get_approval", where)
        if not answers:
            question = str(node.arguments["question"])
            self.recorder.journal.made(ref)
            self.recorder.record(StepWaiting(step=node.name, question=question, subject=ref.identity))
            return
        answer = answers[0]
        blocked = "" if answer["is_approved"] else f"refused by {answer['by']}: {answer['why'] or 'no reason given'}"
        self.recorder.record(StepSucceeded(step=node.name, outputs=(ref,), duration_s=0.0, blocked=blocked))
        self._ended(node.name, (ref,), blocked)

    def _extend_dynamic(self, node: Node, description: ArtifactRef) -> None:
        try:
            self._extend(graph_of_dynamic(node, description, self.artifacts, self.graph.kind))
        except (CannotBegin, CodecError) as error:
            self.failed(node.name, 1, Finished(task_id="", failure=failure_from(error, "input")), None)

    def _extend(self, parent: Parent) -> None:
        """Run others in a step's place."""
        children = parent.children
        steps = tuple((child.name, child.stage) for child in children)
        self.recorder.record(StepExtended(step=parent.node.name, steps=steps))
        self._parents[parent.node.name] = parent
        for child in children:
            self._parent_of[child.name] = parent
        able = self._front.add(children, self._has_ended)
        most = parent.node.step.options.concurrency if parent.is_map else None
        parent.held.extend(able[most:] if most is not None else ())
        for name in able[:most]:
            self._front.make_ready(name)
        if not children:
            self._finish_parent(parent)

    def _ended(self, name: str, outputs: tuple[ArtifactRef, ...], blocked: str) -> None:
        if blocked:
            self._ended_badly(name)
            return
        self.outputs[name] = outputs
        self._front.release(name)
        self._leave(name)

    def _skip(self, name: str, reason: str) -> None:
        self.recorder.record(StepSkipped(step=name, reason=reason))
        self._front.release(name)
        self._leave(name)

    def _leave(self, name: str) -> None:
        """Let the step that has become *name* and others go on."""
        parent = self._parent_of.get(name)
        if parent is None:
            return
        parent.missing -= 1
        if parent.held:
            self._front.make_ready(parent.held.popleft())
        if parent.missing == 0 and not self.stopping:
            self._finish_parent(parent)

    def _finish_parent(self, parent: Parent) -> None:
        name, steps = parent.node.name, self.state.steps
        ends = [steps[child.name] for child in parent.children]
        bad = [step for step in ends if step.status in ("failed", "rejected", "blocked", "cancelled")]
        is_enough = len(ends) - len(bad) >= len(ends) * parent.node.step.options.min_success
        if bad and not (parent.is_map and is_enough):
            self._fail_parent(parent, bad)
            return
        try:
            outputs = outputs_of(parent, self.outputs, self.artifacts)
        except (CannotBegin, CodecError) as error:
            self.failed(name, 1, Finished(task_id="", failure=failure_from(error, "codec")), None)
            return
        for ref in outputs:
            self.recorder.journal.made(ref)
        if ends and all(step.status in ("hit", "skipped") for step in ends):
            reason = f"all {len(ends)} steps that it became are in the cache"
            self.recorder.record(StepHit(step=name, key="", outputs=outputs, reason=reason))
        else:
            duration_s = sum(step.duration_s for step in ends)
            self.recorder.record(StepSucceeded(step=name, outputs=outputs, duration_s=duration_s))
        self._ended(name, outputs, "")

    def _fail_parent(self, parent: Parent, bad: list[StepState]) -> None:
        name = parent.node.name
        verdicts = [step.detail for step in bad if step.status == "rejected"]
        if verdicts:
            self.recorder.record(StepSucceeded(step=name, outputs=(), duration_s=0.0, blocked=verdicts[0]))
            self._ended_badly(name)
            return
        shown = ", ".join(step.name for step in bad[:3]) + (" …" if len(bad) > 3 else "")
        message = f"{len(bad)} of its {len(parent.children)} steps did not succeed: {shown}"
        failure = Failure(kind="raised", error="StepFailed", message=message)
        self.failed(name, 1, Finished(task_id="", failure=failure), None)

    def _catch(self, name: str, attempt: int, failure: Failure, finished: Finished) -> None:
        step = self.nodes[name].step
        value, count = step.options.catch, len(step.outputs)
        values = (value,) if count == 1 else tuple(value) if count else ()
        outputs = tuple(self.artifacts.put(item) for item in values)
        self.recorder.record(
            StepCaught(step=name, attempt=attempt, failure=failure, outputs=outputs, **ending(finished))
        )
        self._ended(name, outputs, "")

    def _ended_badly(self, name: str) -> None:
        """Do what the pipeline wants done after a failure or a verdict."""
        parent = self._parent_of.get(name)
        is_tolerated = parent is not None and parent.tolerates_failures
        if self.graph.on_failure == "stop" and not is_tolerated:
            self.stopping = f"{name} did not succeed"
        elif self.graph.on_failure == "finish" and not is_tolerated:
            self._finishing, given = name, self._given
            self._block([n for n, s in self.state.steps.items() if s.status == "pending" and n not in given], name)
        else:
            self._block_downstream(name)
        self._leave(name)

    def _block_downstream(self, name: str) -> None:
        blocking = [name]
        while blocking:
            by = blocking.pop()
            waiting = [s for s in self._front.downstream(by) if self.state.steps[s].status in ("pending", "retrying")]
            self._block(waiting, by)
            blocking += waiting

    def _block(self, names: list[str], by: str) -> None:
        for name in names:
            self.recorder.record(StepBlocked(step=name, by=by))
        for name in names:
            self._leave(name)
