"""The graph that a dynamic step returns, as plain data and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from filiera.core import plain
from filiera.core.approval import approval_step
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.core.graph import Choice, Graph, Known, OutputRef
from filiera.core.step import step
from filiera.core.subgraph import Subgraph, find_step, read_subgraph, stored_in, trace_call
from filiera.errors import GraphError, StepFailed
from tests.core import dynamic_steps as steps
from tests.core.dynamic_steps import Settings, Table


class Shelf:
    """Stores values under names made of their order."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def put(self, value: object) -> ArtifactRef:
        self.values.append(value)
        content = b"%d" % len(self.values)
        return ArtifactRef(digest=blob_digest(content), codec="table/1", size_bytes=1, inline=content)


def traced(function: Any, **arguments: Any) -> tuple[dict[str, Any], Shelf]:
    shelf = Shelf()
    return trace_call(function, arguments, shelf.put), shelf


def carried(value: dict[str, Any], prefix: str = "made") -> Subgraph:
    """Return what a driver reads of what a worker wrote."""
    return read_subgraph(plain.decode(plain.encode(value)), prefix)


def test_all_that_a_graph_can_say_comes_back() -> None:
    """Names, steps, options, arguments, conditions, maps and approvals are the same on the other side."""
    value, shelf = traced(steps.everything.function, rows=Table(), names=["a", "b"])
    found = carried(value)
    by_name = {node.name.removeprefix("made."): node for node in found.nodes}
    assert list(by_name) == [
        "halves", "fit", "again", "is_good", "inner", "trivial", "is_good-2", "trivial-2", "load", "load-2", "most",
        "most-2", "approve",
    ]  # fmt: skip
    rows = Known(stored_in(value)[0], "a value of made")
    assert by_name["halves"].arguments == {"rows": rows}
    assert by_name["fit"].arguments == {"rows": OutputRef("made.halves", 0), "settings": Settings(2)}
    assert by_name["again"].each == ("rows",)
    assert by_name["again"].arguments["rows"] == [rows, OutputRef("made.halves", 0)]
    assert by_name["again"].step.options.never_retry == (KeyError,)
    assert by_name["inner"].when == ((OutputRef("made.is_good", 0), True),)
    assert by_name["inner"].step is steps.inner
    assert by_name["approve"].step is approval_step
    assert [by_name[name].step.options.retries for name in ("fit", "again", "trivial")] == [1, 5, 3]
    assert by_name["trivial"].arguments == {"value": {"rows": rows, "first": OutputRef("made.halves", 0)}}
    assert len(shelf.values) == 1  # the table, however often it is used


def test_the_result_comes_back() -> None:
    """What the function returned has futures of the steps it called, choices among them, and values as they are."""
    value, _ = traced(steps.everything.function, rows=Table(), names=["a"])
    best, others = carried(value).result
    assert best == OutputRef("made.approve", 0)
    load, chosen, looped, rows, five = others
    assert (load, five) == (OutputRef("made.load", 0), 5)
    assert chosen == Choice(OutputRef("made.is_good", 0), OutputRef("made.inner", 0), 0.0)
    assert (looped.condition, looped.otherwise) == (OutputRef("made.is_good-2", 0), OutputRef("made.trivial-2", 0))
    assert rows.artifact == stored_in(value)[0]
    assert rows.artifact.inline == b"1"


def test_what_is_read_is_a_graph() -> None:
    """The nodes are in an order in which they can run, and have the types of their outputs."""
    found = carried(traced(steps.everything.function, rows=Table(), names=[])[0], "outer.made")
    graph = Graph(pipeline="p", kind="data", nodes=found.nodes)
    assert graph.nodes == found.nodes
    most = next(node for node in found.nodes if node.step is steps.most)
    assert most.name == "outer.made.most"
    assert most.arguments["scores"].type == list[float]
    assert [future.type for future in found.nodes[-2].futures()] == [float, float]


def test_a_dynamic_step_may_call_nothing() -> None:
    """A function that calls no step returns its value; what cannot be said is stored."""
    value, shelf = traced(lambda: (1, "b"))
    assert carried(value) == Subgraph(nodes=(), result=(1, "b"))
    assert shelf.values == []
    table = Table()
    value, shelf = traced(lambda: [table, table])
    assert shelf.values == [table]
    assert [known.artifact for known in carried(value).result] == [*stored_in(value), *stored_in(value)]


def test_large_and_outside_values_are_stored() -> None:
    """A long list is stored once, however many steps are given it, and so is a file, whose content counts."""
    numbers = list(range(5000))
    value, shelf = traced(lambda: [steps.aliased(numbers) for _ in range(3)])
    assert shelf.values == [numbers]
    assert len(plain.encode(value)) < 4096
    value, shelf = traced(lambda: steps.aliased({"file": Path("a.txt"), "n": 1}))
    assert shelf.values == [Path("a.txt")]
    assert carried(value).nodes[0].arguments["value"]["n"] == 1


def test_stages_are_those_of_the_pipeline() -> None:
    """A stage that no step declares is inferred where the kind of the pipeline is known."""
    value, _ = traced(lambda: steps.load("a"))
    assert read_subgraph(value, "d", kind="data").nodes[0].stage == "transform"
    assert read_subgraph(value, "d", kind="serving").nodes[0].stage == "serve"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (steps.with_inputs, GraphError, r"uses Source\(name='raw'\), which is looked up before a run"),
        (steps.with_local, StepFailed, "no step 'with_local.<locals>.local'"),
        (
            lambda: steps.with_wrong_types(Table()),
            GraphError,
            "wants score: float, not <tests.core.dynamic_steps.Table",
        ),
        (
            lambda: steps.load.with_options(catch=Table())("a"),
            GraphError,
            "'load' has options, which cannot be written",
        ),
        (lambda: 1 / 0, ZeroDivisionError, "division by zero"),
    ],
    ids=["input", "local", "type", "option", "own"],
)
def test_wrong_dynamic_steps_fail_where_they_run(call: Any, error: type[Exception], words: str) -> None:
    """What a driver could not read is refused in the worker, with the reason, and leaves no tracing behind."""
    with pytest.raises(error, match=words):
        traced(call)
    assert steps.is_good(1.0) is True


def test_steps_are_found_where_their_functions_are() -> None:
    """An address leads to the step there, or makes one of a plain function; else it says what is missing."""
    assert find_step("tests.core.dynamic_steps:fit", {}) is steps.fit
    assert find_step("tests.core.dynamic_steps:trivial", {}).options == step(steps.trivial).options
    with pytest.raises(StepFailed, match="has no step 'gone'"):
        find_step("tests.core.dynamic_steps:gone", {})
    with pytest.raises(StepFailed, match="cannot be imported: ModuleNotFoundError"):
        find_step("tests.core.gone:fit", {})
