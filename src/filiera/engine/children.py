"""What steps have become: the calls of a map, a graph that was made, branches that come one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from filiera.core.artifact import ArtifactRef
from filiera.core.events import StepExtended, StepHit, StepSucceeded
from filiera.core.graph import Node
from filiera.core.growing import Ground, MakeGrower, Watched
from filiera.core.runstate import StepState
from filiera.core.task import Finished
from filiera.engine.failures import failure_from
from filiera.engine.growing import Growing
from filiera.engine.growth import Parent, failure_of, graph_of_dynamic, outputs_of, stored
from filiera.engine.planner import Call
from filiera.errors import CodecError
from filiera.errors import StepFailed as CannotBegin

if TYPE_CHECKING:
    from filiera.engine.course import Course


class Children:
    """The steps that run in the place of others, and what follows for these."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self.parents: dict[str, Parent] = {}  #: what a step has become, by its name
        self.parent_of: dict[str, Parent] = {}  #: where a step comes from, by its name

    def become(self, parent: Parent) -> None:
        """Run others in a step's place."""
        self._extend(parent, parent.children)
        if not parent.children:
            self._finish_parent(parent)

    def become_graph(self, node: Node, description: ArtifactRef) -> None:
        """Run the graph that a dynamic step has made in its place."""
        try:
            self.become(graph_of_dynamic(node, description, self._course.artifacts, self._course.graph.kind))
        except (CannotBegin, CodecError) as error:
            self._course.failed(node.name, 1, Finished(task_id="", failure=failure_from(error, "input")), None)

    def begin_growing(self, call: Call, make: MakeGrower) -> None:
        """Run others in a step's place that come one after another."""
        name = call.node.name
        ground = Ground(
            arguments=call.node.arguments,
            parts=call.parts,
            folder=self._course.notes,
            place=(self._course.recorder.run_id, name),
            slots=self._course.slots,
            is_fresh=self._course.planner.must_run(name),
        )
        try:
            grower = make(ground)
        except Exception as error:  # noqa: BLE001  ends that step, and not the driver of all
            self._course.failed(name, 0, Finished(task_id="", failure=failure_from(error, "raised")), None)
            return
        self._course.recorder.record(StepExtended(step=name, steps=()))
        parent = self.parents[name] = Parent(node=call.node, children=(), growing=Growing(call=call, grower=grower))
        self._grow(parent)

    def close(self) -> None:
        """Let go of what growing steps keep: the run is cancelled."""
        for parent in self.parents.values():
            if parent.growing is not None:
                parent.growing.grower.close()

    def leave(self, name: str) -> None:
        """Let the step that has become *name* and others go on."""
        parent = self.parent_of.get(name)
        if parent is None:
            return
        if parent.growing is not None:
            if parent.growing.left(name, self._course.state.steps, self._loaded, self._course.artifacts.get):
                self._grow(parent)
            return
        parent.missing -= 1
        if parent.held:
            self._course.front.make_ready(parent.held.popleft())
        if parent.missing == 0 and not self._course.stopping:
            self._finish_parent(parent)

    def watched(self, name: str) -> Watched | None:
        """Return what ends a step, of a branch, that logs worse than others did."""
        parent = self.parent_of.get(name)
        if parent is None:
            return None
        return self.watched(parent.node.name) if parent.growing is None else parent.growing.grower.watched

    def _grow(self, parent: Parent) -> None:
        """Begin what comes next; when nothing does and all has ended, the step has ended too."""
        growing = parent.growing
        assert growing is not None
        if self._course.stopping or self._course.finishing:
            if self._course.finishing and not growing.branches:
                self._course.block([parent.node.name], self._course.finishing)
                self._course.block_downstream(parent.node.name)
            return
        nodes = growing.more(self._course.graph.kind)
        if nodes:
            self._extend(parent, nodes)
        elif not growing.branches:
            self._end_growing(parent, growing)

    def _end_growing(self, parent: Parent, growing: Growing) -> None:
        name, key = parent.node.name, growing.call.parts.key
        try:
            outputs = tuple([self._course.artifacts.put(value) for value in growing.results()])
        except Exception as error:  # noqa: BLE001  ends that step, and not the driver of all
            self._course.failed(name, 1, Finished(task_id="", failure=failure_from(error, "raised")), None)
            return
        finally:
            growing.grower.close()
        self._course.recorder.record(StepSucceeded(step=name, outputs=outputs, duration_s=growing.duration_s))
        if parent.node.step.options.is_cached:
            self._course.recorder.keep(key, name, outputs, "")
        self._course.ended(name, outputs, "")

    def _extend(self, parent: Parent, children: tuple[Node, ...]) -> None:
        """Run further steps in a step's place."""
        steps = tuple((child.name, child.stage) for child in children)
        self._course.recorder.record(StepExtended(step=parent.node.name, steps=steps))
        self.parents[parent.node.name] = parent
        for child in children:
            self.parent_of[child.name] = parent
        able = self._course.front.add(children, self._course.has_ended)
        most = parent.node.step.options.concurrency if parent.is_map else None
        parent.held.extend(able[most:] if most is not None else ())
        for name in able[:most]:
            self._course.front.make_ready(name)

    def _finish_parent(self, parent: Parent) -> None:
        name, steps = parent.node.name, self._course.state.steps
        ends = [steps[child.name] for child in parent.children]
        bad = [step for step in ends if step.status in ("failed", "rejected", "blocked", "cancelled")]
        is_enough = len(ends) - len(bad) >= len(ends) * parent.node.step.options.min_success
        if bad and not (parent.is_map and is_enough):
            self._fail_parent(parent, bad)
            return
        try:
            outputs = outputs_of(parent, self._course.outputs, self._course.artifacts)
        except (CannotBegin, CodecError) as error:
            self._course.failed(name, 1, Finished(task_id="", failure=failure_from(error, "codec")), None)
            return
        for ref in outputs:
            self._course.recorder.journal.made(ref)
        if ends and all(step.status in ("hit", "skipped") for step in ends):
            reason = f"all {len(ends)} steps that it became are in the cache"
            self._course.recorder.record(StepHit(step=name, key="", outputs=outputs, reason=reason))
        else:
            duration_s = sum(step.duration_s for step in ends)
            self._course.recorder.record(StepSucceeded(step=name, outputs=outputs, duration_s=duration_s))
        self._course.ended(name, outputs, "")

    def _fail_parent(self, parent: Parent, bad: list[StepState]) -> None:
        name = parent.node.name
        verdicts = [step.detail for step in bad if step.status == "rejected"]
        if verdicts:
            self._course.recorder.record(StepSucceeded(step=name, outputs=(), duration_s=0.0, blocked=verdicts[0]))
            self._course.ended_badly(name)
            return
        self._course.failed(name, 1, Finished(task_id="", failure=failure_of(parent, bad)), None)

    def _loaded(self, value: Any) -> Any:
        return self._course.artifacts.get(stored(value, self._course.outputs, self._course.artifacts))
