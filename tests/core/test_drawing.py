"""Graphs as drawings: pure functions over names."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from filiera.core.drawing import MOST_DRAWN, draw, layers

SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def graphs(draw_: st.DrawFn) -> dict[str, list[str]]:
    """Return what each step waits for, in an order in which they can run."""
    names = [f"s{index}" for index in range(draw_(st.integers(0, 12)))]
    return {
        name: draw_(st.lists(st.sampled_from(names[:index]), unique=True, max_size=3)) if index else []
        for index, name in enumerate(names)
    }


@given(graph=graphs())
def test_each_step_stands_behind_what_it_waits_for(graph: dict[str, list[str]]) -> None:
    """Every step is in one layer, above the layers of all that it waits for, and directly above one of them."""
    found = layers(graph)
    layer = {name: index for index, names in enumerate(found) for name in names}
    assert sorted(name for names in found for name in names) == sorted(graph)
    assert all(layer[name] == 1 + max((layer[need] for need in needs), default=-1) for name, needs in graph.items())


def test_few_lines_cross() -> None:
    """Two chains that are listed crosswise are drawn side by side."""
    graph = {"a1": [], "b1": [], "b2": ["b1"], "a2": ["a1"], "a3": ["a2"], "b3": ["b2"]}
    assert layers(graph) == [["a1", "b1"], ["a2", "b2"], ["a3", "b3"]]


@given(graph=graphs())
def test_a_drawing_has_a_box_per_step_and_a_line_per_need(graph: dict[str, list[str]]) -> None:
    """It is well-formed, nothing overlaps, and everything is inside it."""
    if not graph:
        assert draw(graph) == ""
        return
    drawing = ElementTree.fromstring(draw(graph))
    boxes = [
        {name: float(box.attrib[name]) for name in ("x", "y", "width", "height")} for box in drawing.iter(f"{SVG}rect")
    ]
    assert len({(box["x"], box["y"]) for box in boxes}) == len(boxes) == len(graph)
    assert len(list(drawing.iter(f"{SVG}path"))) == sum(map(len, graph.values()))
    assert all(box["x"] + box["width"] <= float(drawing.attrib["width"]) for box in boxes)
    assert all(box["y"] + box["height"] <= float(drawing.attrib["height"]) for box in boxes)
    for column in {box["x"] for box in boxes}:
        tops = sorted(box["y"] for box in boxes if box["x"] == column)
        assert all(below - above >= boxes[0]["height"] for above, below in itertools.pairwise(tops))


def test_states_are_words_too() -> None:
    """Colour is never the only sign."""
    assert ">failed<" in draw({"fit": []}, {"fit": "failed"})


def test_what_is_not_a_step_is_no_line() -> None:
    """What a step waits for outside the graph is left out."""
    assert "<path" not in draw({"fit": ["elsewhere"]})


def test_a_large_graph_is_not_drawn() -> None:
    """It would show nothing."""
    assert draw({f"s{index}": [] for index in range(MOST_DRAWN + 1)}) == ""


@given(name=st.text(st.characters(blacklist_categories=("Cs", "Cc"))), state=st.text("<&\">'a"))
def test_any_name_is_text(name: str, state: str) -> None:
    """Nothing that a name or a state holds becomes an element or an attribute."""
    drawing = ElementTree.fromstring(draw({name: []}, {name: state}))
    assert {element.tag.removeprefix(SVG) for element in drawing.iter()} <= {"svg", "g", "title", "rect", "text"}
    assert (drawing.find(f"{SVG}g/{SVG}title").text or "") == name  # type: ignore[union-attr]
