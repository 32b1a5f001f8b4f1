"""Calls of a step by map, and how nodes get their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from filiera.core.graph import Given, Graph, Node, OutputRef
from filiera.core.pipeline import pipeline
from filiera.core.products import Source
from filiera.core.step import step
from filiera.errors import GraphError


class Table: ...


class Fitted: ...


RAW = Source("raw")


@step
def tables(raw: Table) -> list[Table]:
    return [raw]


@step
def parts(raw: Table) -> Iterator[Table]:
    yield raw


@step
def table() -> Table:
    return Table()


@step
def fit(rows: Table, depth: int = 3) -> Fitted:
    return Fitted()


@step(stage="evaluate", concurrency=2)
def score(model: Fitted, rows: Table, *, digits: int = 2) -> float:
    return 0.5


@step
def halves(rows: Table) -> tuple[Table, Table]:
    return rows, rows


@step
def count(items: Iterable[float]) -> int:
    return len(list(items))


@step
def tell(number: int) -> None: ...


@step
def power(base: int, exponent: int) -> int:
    return int(base**exponent)


def traced(function: Any) -> Graph:
    if function.__name__ == "<lambda>":
        function.__name__ = "mapped"
    return pipeline(kind="model")(function).trace()


def only(function: Any) -> Node:
    return traced(function).nodes[-1]


def test_map_is_one_node() -> None:
    """A mapped call is one node: arguments given by position are lists, the others are the same in each call."""

    def training(raw: Table = RAW) -> Any:  # type: ignore[assignment]
        models = fit.map([raw, table()], depth=5)
        return score.map(models, tables(raw), digits=3)

    graph = traced(training)
    fitted, scored = graph.nodes[1], graph.nodes[-1]
    assert (fitted.name, fitted.each, fitted.crossed) == ("fit", ("rows",), False)
    assert fitted.arguments == {"rows": [Given("raw", RAW), OutputRef("table", 0)], "depth": 5}
    assert (scored.each, scored.stage) == (("model", "rows"), "evaluate")
    assert scored.arguments == {"model": OutputRef("fit", 0), "rows": OutputRef("tables", 0), "digits": 3}
    assert scored.upstream == ("fit", "tables")
    assert graph.result.type == list[float]


def test_product_is_one_node() -> None:
    """A product is a node too, which says that the items are combined."""
    node = only(lambda: power.product(range(3), (1, 2)))
    assert node.arguments == {"base": [0, 1, 2], "exponent": [1, 2]}
    assert (node.each, node.crossed) == (("base", "exponent"), True)


def test_each_output_becomes_a_list() -> None:
    """A step with two outputs, mapped, has two lists; one without any has nothing."""
    graph = traced(lambda: (halves.map([table()]), tell.map([1, 2])))
    (first, second), nothing = graph.result
    assert (first, second) == (OutputRef("halves", 0), OutputRef("halves", 1))
    assert first.type == second.type == list[Table]
    assert nothing is None


def test_what_yields_its_parts_returns_a_list() -> None:
    """A step that is a generator can be mapped over, and goes to what takes an iterable or a list."""

    def yielding(raw: Table = RAW) -> Any:  # type: ignore[assignment]
        return count(score.map(fit.map(parts(raw)), parts(raw)))

    assert traced(yielding).nodes[0].step.outputs == (list[Table],)
    assert (parts.streams, tables.streams) == (True, False)
    assert (count.lazy, parts.lazy) == ({"items": "sequence"}, {})


def test_lists_may_be_empty() -> None:
    """Mapping over nothing known is a node without calls."""
    assert only(lambda: tell.map([])).arguments == {"number": []}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: power.map([1, 2], [1]), "different lengths: 2 of base, 1 of exponent"),
        (lambda: power.map(exponent=2), "'power' is mapped over nothing"),
        (lambda: power.map([1], base=2), "called wrongly: multiple values for argument 'base'"),
        (lambda: power.map([1], power=2), "called wrongly: missing a required argument: 'exponent'"),
        (lambda: power.map([1, "2"], exponent=2), "wants base: int, not '2'"),
        (lambda: power.map([1], exponent="2"), "wants exponent: int, not '2'"),
        (lambda: power.map({1, 2}, exponent=2), "mapped over base=set"),
        (lambda: power.map(5, exponent=2), "mapped over base=int"),
        (lambda: power.map(table(), exponent=2), "mapped over base, but step 'table' gives tests.Table"),
        (lambda: score.map(fit.map([table()]), table()), "mapped over rows, but step 'table-2' gives tests.Table"),
        (lambda: power.map(fit.map([table()]), exponent=2), "wants each base: int, but step 'fit' gives list"),
        (lambda: fit.map([Table()]), "given rows=Table while the graph is built"),
        (lambda: fit(fit.map([table()])), "wants rows: tests.Table, but step 'fit' gives list"),  # type: ignore[arg-type]
        (lambda: count([table(), Table()]), "given items=list while the graph is built"),  # type: ignore[list-item]
        (lambda: count([0.5, table()]), "wants items: float, but step 'table' gives tests.Table"),  # type: ignore[list-item]
        (lambda: tell([table()]), "wants number: int, not <class 'list'>"),  # type: ignore[arg-type]
        (lambda: count(tables.map([table()])), r"wants items: .*Iterable\[float\], but step 'tables' gives list"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_maps_are_errors_before_anything_runs(call: Any, words: str) -> None:
    """Lists that do not fit each other or the step are told while the graph is built."""
    with pytest.raises(GraphError, match=words):
        traced(call)


def test_outside_of_a_pipeline_map_calls_the_function() -> None:
    """Mapped outside of a pipeline, the function is called right here."""
    assert power.map([2, 3], [3, 2]) == [8, 9]
    assert power.product([2, 3], [1, 2]) == [2, 4, 3, 9]
    assert power.map((2, 3), exponent=2) == [4, 9]
    assert step(divmod_of).map([7, 9], by=2) == ([3, 4], [1, 1])
    assert step(divmod_of).map([], by=2) == ([], [])
    assert tell.map([1]) is None


def divmod_of(number: int, by: int) -> tuple[int, int]:
    return divmod(number, by)


def test_names_stay_unique() -> None:
    """A call whose name is taken gets a number that is free, whatever other steps were called."""
    two = tell.with_options(name="tell-2")
    graph = traced(lambda: [call(1) for call in (tell, two, tell, tell, two)])
    assert [node.name for node in graph.nodes] == ["tell", "tell-2", "tell-3", "tell-4", "tell-2-2"]
