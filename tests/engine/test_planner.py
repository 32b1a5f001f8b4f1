"""Planning: hit, run, after or blocked, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.core.artifact import ArtifactRef
from filiera.core.graph import Given, Known, Late, Node, OutputRef
from filiera.core.pipeline import Pipeline
from filiera.core.products import Source
from filiera.errors import GraphError
from tests.engine import steps_to_run as pipelines
from tests.engine.runs import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def plan(workshop: Workshop, pipeline: Pipeline, x: int = 1, **options: list[str]) -> list[tuple[str, str, str]]:
    decisions = workshop.planner(pipeline.trace({"x": x}), **options).plan()
    return [(decision.step, decision.status, decision.reason) for decision in decisions]


def test_first_run(workshop: Workshop) -> None:
    """Nothing is known at first: what needs nothing runs, the rest is decided after it; nothing is recorded."""
    assert plan(workshop, pipelines.chain) == [
        ("first", "run", "first run"),
        ("parity", "after", "decided after first"),
        ("last", "after", "decided after parity"),
    ]
    assert workshop.records.read("latest_run") == []


def test_unchanged(workshop: Workshop) -> None:
    """What has run with the same code, parameters and inputs is a hit, with its outputs and the run that made them."""
    workshop.run(pipelines.chain)
    assert [(status, reason) for _, status, reason in plan(workshop, pipelines.chain)] == [
        ("hit", "same code, parameters and inputs as in chain-1")
    ] * 3


def test_a_changed_parameter_is_named(workshop: Workshop) -> None:
    """A parameter that changed is told with its old and new value."""
    workshop.run(pipelines.chain)
    assert plan(workshop, pipelines.chain, 2)[0] == ("first", "run", "parameter x changed from 1 to 2")


def test_changed_code_is_named(workshop: Workshop) -> None:
    """Code that changed is told by what compares it; hits before it stay, and what is behind it waits."""
    workshop.run(pipelines.chain)
    workshop.code["parity"] = "new"
    assert plan(workshop, pipelines.chain) == [
        ("first", "hit", "same code, parameters and inputs as in chain-1"),
        ("parity", "run", "function parity -> new"),
        ("last", "after", "decided after parity"),
    ]


def test_changes_of_several_kinds_are_all_told(workshop: Workshop) -> None:
    """Code first, then parameters."""
    workshop.run(pipelines.chain)
    workshop.code["first"] = "new"
    assert plan(workshop, pipelines.chain, 5)[0][2] == "function first -> new; parameter x changed from 1 to 5"


def test_reverted_code_is_a_hit(workshop: Workshop) -> None:
    """What ran once is a hit for ever, whatever ran in between."""
    workshop.run(pipelines.chain)
    workshop.code["first"] = "new"
    workshop.run(pipelines.chain)
    del workshop.code["first"]
    assert {status for _, status, _ in plan(workshop, pipelines.chain)} == {"hit"}


def test_a_failed_step_runs_again(workshop: Workshop) -> None:
    """A failure is never in the cache."""
    workshop.run(pipelines.forked)
    assert ("broken", "run", "it did not succeed in forked-1") in plan(workshop, pipelines.forked)


def test_uncached_steps_always_run(workshop: Workshop) -> None:
    """A step with cache=False runs every time, and what is behind it is decided after it."""
    workshop.run(pipelines.uncached)
    assert plan(workshop, pipelines.uncached)[1:] == [
        ("now", "run", "never cached (cache=False)"),
        ("last", "after", "decided after now"),
    ]


def test_fresh_steps_run(workshop: Workshop) -> None:
    """A step that is asked for runs although it is cached."""
    workshop.run(pipelines.chain)
    assert plan(workshop, pipelines.chain, fresh=["parity"])[1] == ("parity", "run", "asked for (--fresh)")


def test_a_cached_verdict_blocks(workshop: Workshop) -> None:
    """A verdict that blocked blocks again: what depends on it will not run, the rest is a hit."""
    workshop.run(pipelines.checked, {"x": 20})
    assert {step: status for step, status, _ in plan(workshop, pipelines.checked, 20)} == {
        "first": "hit",
        "check": "hit",
        "parity": "hit",
        "publish": "blocked",
        "last": "blocked",
    }
    decisions = workshop.planner(pipelines.checked.trace({"x": 20})).plan()
    assert [decision.blocked for decision in decisions if decision.step == "check"] == ["3 checks failed"]
    assert [d.reason for d in decisions if d.status == "blocked"] == ["check stops the run", "publish stops the run"]


def test_a_missing_blob_is_no_hit(workshop: Workshop) -> None:
    """A result whose bytes are gone is made again."""
    state = workshop.run(pipelines.with_blob)
    workshop.blobs.delete(state.steps["big"].outputs[0].digest)
    assert plan(workshop, pipelines.with_blob) == [
        ("big", "run", "its stored result is gone"),
        ("size", "after", "decided after big"),
    ]


def test_a_missing_inline_value_is_no_hit(workshop: Workshop) -> None:
    """A cache entry whose small value is not in the records is made again, instead of failing."""
    decision = workshop.planner(pipelines.chain.trace()).plan()[0]
    assert decision.parts is not None
    row = {"key": decision.parts.key, "outputs": f"{'0' * 64} json/1 1", "blocked": "", "run_id": "x", "step": "first"}
    workshop.records.write([("put_cache_entry", {**row, "stored_at": 0.0})])
    assert plan(workshop, pipelines.chain)[0] == ("first", "run", "its stored result is gone")


def test_keys_see_values_not_places(workshop: Workshop) -> None:
    """The same value from another step, or inside a container, is the same input; its place in the container counts."""
    workshop.run(pipelines.containers)
    graph = pipelines.containers.trace()
    planner = workshop.planner(graph)
    ref = ArtifactRef(digest="1" * 64, codec="json/1", size_bytes=1)
    other = ArtifactRef(digest="2" * 64, codec="json/1", size_bytes=1)
    outputs = {"first": (ref,), "parity": (other,)}
    call = planner.call(graph.nodes[2], outputs)
    parts, inputs = call.parts, call.inputs
    assert inputs == (ref, ref, other)
    assert [origin for origin, _ in parts.inputs] == ["first", "first", "parity"]
    swapped = planner.call(graph.nodes[2], {"first": (other,), "parity": (ref,)}).parts
    assert swapped.key != parts.key


def test_one_of_several_outputs_is_named(workshop: Workshop) -> None:
    """People see which output of a step an input is."""
    graph = pipelines.split.trace()
    ref = ArtifactRef(digest="1" * 64, codec="json/1", size_bytes=1)
    node = next(node for node in graph.nodes if node.name == "add")
    parts = workshop.planner(graph).call(node, {"two": (ref, ref)}).parts
    assert [origin for origin, _ in parts.inputs] == ["two[0]", "two[1]"]


def test_late_inputs_are_looked_up_when_their_needs_are_known(workshop: Workshop) -> None:
    """What depends on what the run makes is found once that is made; an input never looked up is an error."""
    graph = pipelines.chain.trace()
    ref = ArtifactRef(digest="1" * 64, codec="json/1", size_bytes=1)
    late = Late((OutputRef("first", 0),), lambda made: Known(made[0], "rival of m@1"))
    node = Node(name="n", step=pipelines.last, stage="clean", arguments={"x": late})
    call = workshop.planner(graph).call(node, {"first": (ref,)})
    assert (call.inputs, call.parts.inputs[0][0]) == ((ref,), "rival of m@1")
    given = Node(name="n", step=pipelines.last, stage="clean", arguments={"x": Given("raw", Source("s"))})
    with pytest.raises(GraphError, match="parameter 'raw' was not looked up"):
        workshop.planner(graph).call(given, {})


def test_all_code_can_be_read_first(workshop: Workshop) -> None:
    """Code that cannot be read is found before a run is recorded."""
    planner = workshop.planner(pipelines.chain.trace())
    planner.read_code()

    def unreadable(node: Node) -> None:
        raise GraphError(f"{node.name} cannot be read.")

    planner = workshop.planner(pipelines.chain.trace())
    object.__setattr__(planner, "code_of", unreadable)
    with pytest.raises(GraphError, match="first cannot be read"):
        planner.read_code()
