"""One run on its way: which steps can begin, and what follows when one has ended. It executes nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import field, replace
from pathlib import Path

from filiera.core.approval import approval_step
from filiera.core.artifact import ArtifactRef
from filiera.core.events import (
    StepBlocked,
    StepCancelled,
    StepCaught,
    StepFailed,
    StepHit,
    StepLost,
    StepSkipped,
    StepSucceeded,
    StepWaiting,
    ending,
)
from filiera.core.graph import Graph, Node
from filiera.core.growing import GROWER
from filiera.core.plan import Decision
from filiera.core.runstate import ENDED, RunState
from filiera.core.task import Failure, Finished
from filiera.core.value import dataclass
from filiera.engine.artifacts import Artifacts
from filiera.engine.children import Children
from filiera.engine.failures import failure_from
from filiera.engine.frontier import Frontier
from filiera.engine.growth import calls_of_map, stored
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
    notes: Path | None = None  #: where steps that become others one after another keep what they have to know
    slots: int = 1  #: so many steps run at once
    log_prefix: str = ""  #: from the run's log folder to the one that the executor writes to
    stopping: str = ""  #: why nothing more may begin and what runs is to be ended; "" while all is well
    outputs: dict[str, tuple[ArtifactRef, ...]] = field(default_factory=dict)
    front: Frontier = field(default_factory=Frontier)
    _taken: set[str] = field(default_factory=set)  #: ready, but begun by a worker already
    _again: set[str] = field(default_factory=set)  #: steps whose inputs were lost, and are made again
    _given: set[str] = field(default_factory=set)  #: steps whose calls were handed out, or begun by a worker
    finishing: str = ""  #: the step whose failure lets nothing begin any more, while what has begun goes on
    _code_kept: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.planner.results = self.recorder.journal.results
        self._children = Children(self)
        for name in self.front.add(self.graph.nodes, self.has_ended):
            self.front.make_ready(name)

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Return the nodes there are by now."""
        return self.front.nodes

    @property
    def state(self) -> RunState:
        """Return where the run is."""
        return self.recorder.state

    @property
    def is_idle(self) -> bool:
        """Tell whether no step can begin at the moment."""
        return self.front.is_empty

    def next_call(self) -> Call | None:
        """Return the next call that must be executed; what needs no execution is done on the way."""
        while not self.front.is_empty and not self.stopping:
            name = self.front.pop()
            if not self._can_begin(name):
                continue  # blocked meanwhile, or begun by a worker
            if self.finishing and name not in self._given:
                self.block([name], self.finishing)
                self.block_downstream(name)
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
        self.front.make_ready(name)

    def take(self, ahead: Call) -> Call | None:
        """Return the call that a worker has begun by itself, with its inputs; None when the step is not ready."""
        name = ahead.node.name
        if self.state.steps[name].status != "pending" or self.front.is_waiting(name):
            return None
        self._taken.add(name)
        self._given.add(name)
        call = self.planner.filled(ahead, self.outputs)
        self._decided(call, self.planner.why(call))
        return call

    def watched(self, name: str) -> tuple[str, bool, str] | None:
        """Return what ends a step that logs worse than others did; None for most."""
        found = self._children.watched(name) if self._children.parent_of else None
        return (found.metric, found.is_more_better, found.file) if found is not None else None

    def give_back(self, name: str) -> None:
        """Let a step that was taken begin in the usual way: its worker has dropped it."""
        self._taken.discard(name)
        self.begin_again(name)

    def follower(self, name: str) -> Node | None:
        """Return the step that can go on with nothing but what *name* returns, in the same worker, if there is one."""
        node = self.front.follower(name)
        if node is None or node.name in self.earlier or self.planner.must_run(node.name):
            return None
        is_ours = node.step.function is approval_step.function or hasattr(node.step.function, GROWER)
        return None if is_ours else node

    def succeeded(self, name: str, finished: Finished, key: str) -> None:
        """Take note of what an attempt returned."""
        node = self.nodes[name]
        blocked = finished.blocked.encode("utf-8", "backslashreplace").decode()  # the user's words, kept as text
        if node.step.options.dynamic and not blocked:
            self.recorder.journal.made(finished.outputs[0])
            if node.step.options.is_cached:
                self.recorder.keep(key, name, finished.outputs, "")
            self._children.become_graph(node, finished.outputs[0])
            return
        self.recorder.record(StepSucceeded(step=name, outputs=finished.outputs, blocked=blocked, **ending(finished)))
        if node.step.options.is_cached:
            self.recorder.keep(key, name, finished.outputs, blocked)
        self.ended(name, finished.outputs, blocked)

    def failed(self, name: str, attempt: int, finished: Finished, retry_in_s: float | None) -> None:
        """Take note of a failed attempt, the last one unless it is tried again in *retry_in_s*."""
        failure = finished.failure
        assert failure is not None
        if retry_in_s is None and self.nodes[name].step.options.catches and failure.kind != "cancelled":
            self._catch(name, attempt, failure, finished)
            return
        self._record_failure(name, attempt, failure, finished, retry_in_s)
        if retry_in_s is None:
            self.ended_badly(name)

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
        if failure is None or name in self._again or not makers or not self._children.parents.keys().isdisjoint(makers):
            return False
        self._again.add(name)
        self._record_failure(name, attempt, failure, finished, 0.0)
        for maker in makers:
            if self.state.steps[maker].status in ("succeeded", "hit"):
                self.recorder.record(StepLost(step=maker, reason=f"what it returned was lost: {failure.error}"))
                self.front.begin_anew(maker)
        self.front.wait_for(name, makers)
        return True

    def cancel(self) -> None:
        """Record that what has not ended is cancelled, or that it still waits for a person."""
        self._children.close()
        for step in list(self.state.steps.values()):
            if step.status not in ENDED:
                self.recorder.record(StepCancelled(step=step.name))

    def has_ended(self, name: str) -> bool:
        """Tell whether nothing more happens to a step."""
        return self.state.steps[name].status in ENDED

    def _begin(self, node: Node) -> Call | None:
        """Return a node's call if it must be executed; else see to its end."""
        try:
            reason = self._why_skipped(node)
            if reason:
                self._skip(node.name, reason)
                return None
            if node.each:
                self._children.become(calls_of_map(node, self.outputs, self.artifacts))
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
            make = getattr(call.node.step.function, GROWER, None)
            if make is not None:
                self._children.begin_growing(call, make)
            return call if make is None else None
        if call.node.step.options.dynamic and not decision.blocked:
            self._children.become_graph(call.node, decision.outputs[0])
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
        self.ended(name, decision.outputs, decision.blocked)
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
        self.ended(node.name, (ref,), blocked)

    def ended(self, name: str, outputs: tuple[ArtifactRef, ...], blocked: str) -> None:
        """Let those go on that need what a step has returned; *blocked*: it is a verdict against that."""
        if blocked:
            self.ended_badly(name)
            return
        self.outputs[name] = outputs
        self.front.release(name)
        self._children.leave(name)

    def _skip(self, name: str, reason: str) -> None:
        self.recorder.record(StepSkipped(step=name, reason=reason))
        self.front.release(name)
        self._children.leave(name)

    def _catch(self, name: str, attempt: int, failure: Failure, finished: Finished) -> None:
        step = self.nodes[name].step
        value, count = step.options.catch, len(step.outputs)
        values = (value,) if count == 1 else tuple(value) if count else ()
        outputs = tuple(self.artifacts.put(item) for item in values)
        self.recorder.record(
            StepCaught(step=name, attempt=attempt, failure=failure, outputs=outputs, **ending(finished))
        )
        self.ended(name, outputs, "")

    def ended_badly(self, name: str) -> None:
        """Do what the pipeline wants done after a failure or a verdict."""
        parent = self._children.parent_of.get(name)
        is_tolerated = parent is not None and parent.tolerates_failures
        if self.graph.on_failure == "stop" and not is_tolerated:
            self.stopping = f"{name} did not succeed"
        elif self.graph.on_failure == "finish" and not is_tolerated:
            self.finishing, given = name, self._given
            self.block([n for n, s in self.state.steps.items() if s.status == "pending" and n not in given], name)
        else:
            self.block_downstream(name)
        self._children.leave(name)

    def block_downstream(self, name: str) -> None:
        """Let nothing run that depends on a step."""
        blocking = [name]
        while blocking:
            by = blocking.pop()
            waiting = [s for s in self.front.downstream(by) if self.state.steps[s].status in ("pending", "retrying")]
            self.block(waiting, by)
            blocking += waiting

    def block(self, names: list[str], by: str) -> None:
        """Let steps not run, because of another one."""
        for name in names:
            self.recorder.record(StepBlocked(step=name, by=by))
        for name in names:
            self._children.leave(name)
