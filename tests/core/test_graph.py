"""A pipeline as a graph."""

from __future__ import annotations

import itertools
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.artifact import ArtifactRef
from filiera.core.graph import Future, Given, Graph, Known, Late, Node, OutputRef, futures_in, in_order, map_futures
from filiera.core.products import Dataset, Source
from filiera.core.step import step
from filiera.errors import GraphError


@step
def work(inputs: list[Any]) -> int:
    """Take anything."""
    return len(inputs)


REF = ArtifactRef(digest="0" * 64, codec="json/1", size_bytes=1)


def node(name: str, *upstream: str) -> Node:
    return Node(name=name, step=work, stage="transform", arguments={"inputs": [OutputRef(up, 0) for up in upstream]})


def graph(*nodes: Node) -> Graph:
    return Graph(pipeline="p", kind="data", nodes=nodes)


@st.composite
def dags(draw: st.DrawFn) -> list[Node]:
    """Return the nodes of a random graph without a circle, in random order."""
    size = draw(st.integers(1, 12))
    nodes = [
        node(f"n{i}", *(f"n{up}" for up in draw(st.lists(st.integers(0, i - 1), max_size=4)))) if i else node("n0")
        for i in range(size)
    ]
    return draw(st.permutations(nodes))


@given(dags())
def test_each_step_comes_after_what_it_waits_for(nodes: list[Node]) -> None:
    """In whatever order nodes are given, the graph has all of them, each behind its inputs."""
    place = {found.name: i for i, found in enumerate(graph(*nodes).nodes)}
    assert place.keys() == {found.name for found in nodes}
    assert all(place[up] < place[found.name] for found in nodes for up in found.upstream)


@given(dags())
def test_order_is_kept_where_it_can_be(nodes: list[Node]) -> None:
    """Nodes in a possible order stay as they are; so ordering twice changes nothing."""
    ordered = in_order(tuple(nodes))
    assert in_order(ordered) == ordered


@given(dags(), st.data())
def test_a_circle_is_refused_and_named(nodes: list[Node], data: st.DataObject) -> None:
    """An edge back makes a circle; the message walks around it, along edges that are there."""
    ordered = in_order(tuple(nodes))
    start = data.draw(st.sampled_from(ordered))
    reached = {start.name}
    for found in ordered:
        if reached.intersection(found.upstream):
            reached.add(found.name)
    end = data.draw(st.sampled_from(sorted(reached)))
    closed = [node(found.name, *found.upstream, end) if found is start else found for found in nodes]
    with pytest.raises(GraphError, match="in a circle") as caught:
        graph(*closed)
    circle = caught.value.what.partition(": ")[2].rstrip(".").split(" ← ")
    upstream = {found.name: found.upstream for found in closed}
    assert circle[0] == circle[-1]
    assert len(set(circle)) == len(circle) - 1
    assert all(after in upstream[name] for name, after in itertools.pairwise(circle))


def test_long_chains_need_no_stack() -> None:
    """A chain of 5000 steps, given backwards, is ordered without recursion."""
    nodes = [node("n0"), *(node(f"n{i}", f"n{i - 1}") for i in range(1, 5000))]
    assert in_order(tuple(reversed(nodes))) == tuple(nodes)


def test_wrong_graphs_are_refused() -> None:
    """Two nodes of one name, and a node that waits for none of the graph, are errors."""
    with pytest.raises(GraphError, match="same name"):
        graph(node("a"), node("a"))
    with pytest.raises(GraphError, match="'b' waits for 'a', which is not in the graph"):
        graph(node("b", "a"))
    with pytest.raises(GraphError, match="circle: a ← a"):
        graph(node("a", "a"))


def test_what_a_node_waits_for() -> None:
    """A node waits for outputs anywhere in its arguments, also those that a late lookup needs, each step once."""
    late = Late((OutputRef("c", 0), OutputRef("a", 1)), lambda refs: Known(refs[0], "x"))
    arguments = {
        "inputs": [OutputRef("a", 0), {"k": (OutputRef("b", 0), 5)}, late, Given("g", Source("s")), Known(REF, "d@1")]
    }
    found = Node(name="n", step=work, stage="transform", arguments=arguments)
    assert found.upstream == ("a", "b", "c")
    assert [type(future).__name__ for future in found.futures()] == ["OutputRef", "OutputRef", "Late", "Given", "Known"]


containers = st.recursive(
    st.one_of(st.integers(), st.builds(OutputRef, st.sampled_from("abc"), st.integers(0, 2))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(containers)
def test_futures_are_replaced_in_place(value: Any) -> None:
    """Every future inside a value is replaced, in order, and nothing else changes."""
    names = [future.node for future in futures_in(value) if isinstance(future, OutputRef)]
    replaced = map_futures(value, lambda future: OutputRef(future.node.upper(), 0))  # type: ignore[attr-defined]
    assert [future.node for future in futures_in(replaced)] == [name.upper() for name in names]  # type: ignore[attr-defined]
    assert list(futures_in(map_futures(value, lambda future: 1))) == []
    assert repr(map_futures(value, lambda future: future)) == repr(value)


FUTURES: list[Future] = [OutputRef("clean", 0), Given("raw", Source("flows")), Known(REF, "flows@1")]
USES: dict[str, Any] = {
    "bool": bool, "len": len, "iter": iter, "item": lambda x: x[0], "add": lambda x: x + 1, "radd": lambda x: 1 + x,
    "neg": operator.neg, "mod": lambda x: x % 2, "rmod": lambda x: 5 % x, "floordiv": lambda x: x // 2,
    "pow": lambda x: x**2,
    "matmul": lambda x: x @ x, "and": lambda x: x & 1, "or": lambda x: 1 | x, "invert": operator.invert,
    "less": lambda x: x < 1, "equal": lambda x: x == 1, "unequal": lambda x: x != None, "in": lambda x: x in [1, 2],  # noqa: E711
    "contains": lambda x: 1 in x, "call": lambda x: x(), "attribute": lambda x: x.shape, "int": int, "float": float,
    "range": range, "text": str, "format": lambda x: f"{x}", "unpack": lambda x: (lambda a, b: 0)(*x), "abs": abs,
    "round": round, "join": ",".join,
}  # fmt: skip


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("future", FUTURES, ids=lambda future: type(future).__name__)
def test_a_value_that_is_not_known_yet_cannot_be_used(future: Future, use: Any) -> None:
    """While a graph is built, using a step's value in any way is an error that names the step; nothing is silent."""
    with pytest.raises(GraphError, match=r"uses the value of .*(clean|raw|flows@1)"):
        use(future)


def test_futures_compare_with_futures() -> None:
    """The same output is the same, whatever its annotation; another one, or another kind, is not."""
    assert OutputRef("a", 0, int) == OutputRef("a", 0, str)
    assert len({OutputRef("a", 0), OutputRef("a", 1), OutputRef("b", 0), OutputRef("a", 0, int)}) == 3
    assert OutputRef("a", 0) != Known(REF, "a")
    assert repr(OutputRef("a", 0, int)) == "OutputRef(node='a', index=0, type=<class 'int'>)"


def test_inputs_are_looked_up_once() -> None:
    """Each input is listed once, however many steps use it, and replaced wherever it is used."""
    raw = Given("raw", Source("s"))
    rows = Given("rows", Dataset("d"))
    first = Node(name="a", step=work, stage="clean", arguments={"inputs": [raw, rows]})
    second = Node(name="b", step=work, stage="clean", arguments={"inputs": [OutputRef("a", 0), raw]})
    traced = Graph(pipeline="p", kind="data", nodes=(first, second), result=(OutputRef("b", 0), raw))
    assert traced.givens() == [raw, rows]
    found = traced.replace_futures(
        lambda future: OutputRef("collect", 0) if future is raw else future, before=(node("collect"),)
    )
    assert [(n.name, n.upstream) for n in found.nodes] == [
        ("collect", ()),
        ("a", ("collect",)),
        ("b", ("a", "collect")),
    ]
    assert found.result == (OutputRef("b", 0), OutputRef("collect", 0))
    assert found.givens() == [rows]
