"""Branches and loops in a graph."""

from __future__ import annotations

from typing import Any

import pytest

from filiera.core.artifact import ArtifactRef
from filiera.core.graph import Choice, Given, Graph, Known, OutputRef
from filiera.core.pipeline import pipeline
from filiera.core.products import Source
from filiera.core.shapes import MOST_ROUNDS, loop, when
from filiera.core.step import step
from filiera.errors import GraphError


class Table: ...


RAW = Source("raw")
KNOWN = Known(ArtifactRef(digest="0" * 64, codec="json/1", size_bytes=1), "raw@1")


@step
def is_big(rows: Table) -> bool:
    return True


@step
def sample(rows: Table) -> Table:
    return rows


@step
def fit(rows: Table, depth: int = 1) -> float:
    return 0.0


@step
def halves(rows: Table) -> tuple[Table, Table]:
    return rows, rows


@step
def tell(score: float) -> None: ...


@step
def grow(n: int) -> int:
    return 2 * n


@step
def is_enough(n: int) -> bool:
    return n > 20


@step
def whatever(value):  # type: ignore[no-untyped-def]
    return value


def traced(function: Any) -> Graph:
    """Return the graph of a function of the raw table."""

    def branching(raw: Table = RAW) -> Any:  # type: ignore[assignment]
        return function(raw)

    return pipeline(kind="model")(branching).trace()


def conditions(graph: Graph) -> dict[str, list[tuple[str, bool]]]:
    return {node.name: [(ref.node, value) for ref, value in node.when] for node in graph.nodes}


def test_steps_of_a_branch_are_conditional() -> None:
    """What a branch calls is skipped unless the condition turns out so; what comes after takes the one or the other."""
    graph = traced(lambda raw: tell(when(is_big(raw), lambda: fit(sample(raw)), lambda: fit(raw, depth=2))))
    assert conditions(graph) == {
        "is_big": [],
        "sample": [("is_big", True)],
        "fit": [("is_big", True)],
        "fit-2": [("is_big", False)],
        "tell": [],
    }
    choice = graph.nodes[-1].arguments["score"]
    assert choice == Choice(OutputRef("is_big", 0), OutputRef("fit", 0), OutputRef("fit-2", 0))
    assert choice.type is float
    assert graph.nodes[-1].upstream == ("is_big", "fit", "fit-2")


def test_branches_lie_in_branches() -> None:
    """A condition inside a branch comes to the conditions of the branch."""

    def nested(raw: Any) -> Any:
        return when(is_big(raw), lambda: when(is_big(raw), lambda: fit(raw)), 0.0)

    graph = traced(nested)
    assert conditions(graph)["fit"] == [("is_big", True), ("is_big-2", True)]
    assert graph.result.otherwise == 0.0
    assert graph.result.type == float | None


def test_a_known_condition_is_decided_at_once() -> None:
    """A parameter decides while the graph is built: the other branch is not in it."""
    graph = traced(lambda raw: when(2 > 1, lambda: fit(raw), lambda: tell(fit(raw))))
    assert list(conditions(graph)) == ["fit"]
    assert graph.result == OutputRef("fit", 0)


def test_branches_may_be_steps_values_and_outputs() -> None:
    """A branch is a function or simply what it would return."""
    graph = traced(lambda raw: when(is_big(raw), sample(raw), raw))
    assert graph.result == Choice(OutputRef("is_big", 0), OutputRef("sample", 0), Given("raw", RAW))
    assert conditions(graph)["sample"] == []  # called before the branch, for both


def test_several_values_are_chosen_one_by_one() -> None:
    """Branches that return tuples make a tuple of choices; a branch without a value gives None for each."""
    graph = traced(lambda raw: when(is_big(raw), lambda: halves(raw), lambda: (raw, raw)))
    first, second = graph.result
    assert (first.then, second.then) == (OutputRef("halves", 0), OutputRef("halves", 1))
    first, second = traced(lambda raw: when(is_big(raw), lambda: halves(raw))).result
    assert first.otherwise is second.otherwise is None
    assert traced(lambda raw: when(is_big(raw), lambda: tell(fit(raw)))).result is None


def test_what_decides_becomes_an_output() -> None:
    """A choice, or an input, decides through a step that returns it."""
    graph = traced(lambda raw: when(when(is_big(raw), lambda: is_big(raw), True), lambda: fit(raw)))
    assert conditions(graph)["fit"] == [("is_true", True)]
    assert graph.result.condition == OutputRef("is_true", 0)


def test_a_loop_is_written_out() -> None:
    """Each round runs unless an earlier one was the last; the result is the state of the last round that ran."""
    graph = traced(lambda raw: whatever(loop(grow, 1, until=is_enough, at_most=3)))
    assert conditions(graph) == {
        "grow": [],
        "is_enough": [],
        "grow-2": [("is_enough", False)],
        "is_enough-2": [("is_enough", False)],
        "grow-3": [("is_enough", False), ("is_enough-2", False)],
        "whatever": [],
    }
    state = graph.nodes[-1].arguments["value"]
    assert state.cases() == (
        ((OutputRef("is_enough", 0), OutputRef("grow", 0)), (OutputRef("is_enough-2", 0), OutputRef("grow-2", 0))),
        OutputRef("grow-3", 0),
    )


def test_a_loop_may_carry_several_values() -> None:
    """The state may be a tuple, and body and condition may call several steps."""

    def body(state: Any) -> Any:
        rows, n = state
        return sample(sample(rows)), grow(n)

    rows, n = traced(lambda raw: loop(body, (raw, 1), until=lambda state: is_enough(state[1]), at_most=2)).result
    assert (rows.then, rows.otherwise) == (OutputRef("sample-2", 0), OutputRef("sample-4", 0))
    assert (n.then, n.otherwise) == (OutputRef("grow", 0), OutputRef("grow-2", 0))


def test_long_loops_need_no_stack() -> None:
    """A loop of the most rounds is ordered, compared and looked up like a short one."""

    def long(raw: Any) -> Any:
        result = loop(lambda state: whatever([state]), raw, until=is_big, at_most=MOST_ROUNDS)
        return whatever(result), whatever(result)

    graph = traced(long)
    one, other = (node.arguments["value"] for node in graph.nodes[-2:])
    assert (one == other, hash(one) == hash(other)) == (True, True)
    assert len(graph.nodes[-1].upstream) == 2 * MOST_ROUNDS - 1
    assert [given.parameter for given in graph.givens()] == ["raw"]
    found = graph.replace_futures(lambda future: KNOWN if isinstance(future, Given) else future)
    assert found.nodes[-1].upstream == graph.nodes[-1].upstream


def test_inputs_in_choices_are_replaced() -> None:
    """An input that is only used by one branch is found and replaced."""
    graph = traced(lambda raw: whatever(when(is_enough(1), raw, None)))
    assert [given.parameter for given in graph.givens()] == ["raw"]
    found = graph.replace_futures(lambda future: KNOWN if isinstance(future, Given) else future)
    assert found.givens() == []
    assert found.nodes[-1].arguments["value"].then == KNOWN


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda raw: when(fit(raw), 1, 2), "A condition is a bool, but step 'fit' gives float"),
        (lambda raw: when(is_big(raw), lambda: halves(raw), lambda: raw), "return 2 values and one value"),
        (lambda raw: when(is_big(raw), lambda: halves(raw), (1, 2, 3)), "return 2 values and 3 values"),
        (lambda raw: when(is_big(raw), [raw], 1), "A branch returns a list with outputs of steps in it"),
        (lambda raw: when(is_big(raw), Table(), 1), "A branch returns Table"),
        (lambda raw: tell(when(is_big(raw), lambda: fit(raw))), "chosen by step 'is_big' gives float | None"),
        (lambda raw: loop(grow, 1, until=grow, at_most=2), "A condition is a bool, but step 'grow-2' gives int"),
        (lambda raw: loop(grow, 1, until=is_enough, at_most=501), "1 to 500 rounds, not 501"),
        (lambda raw: loop(grow, 1, until=is_enough, at_most=0), "1 to 500 rounds, not 0"),
    ],
    ids=["no bool", "one and two", "two and three", "list", "object", "optional", "until", "too many", "too few"],
)
def test_wrong_branches_are_errors_before_anything_runs(function: Any, words: str) -> None:
    """A choice that cannot work is told while the graph is built."""
    with pytest.raises(GraphError, match=words):
        traced(function)


def test_outside_of_a_pipeline_values_decide() -> None:
    """With values, branches and loops are plain Python."""
    assert when(is_enough(30), lambda: "big", "small") == "big"
    assert when(is_enough(3), "big") is None
    assert loop(grow, 1, until=is_enough, at_most=10) == 32
    assert loop(grow, 1, until=is_enough, at_most=2) == 4
    assert loop(grow, 1, until=lambda n: True, at_most=2) == 2
