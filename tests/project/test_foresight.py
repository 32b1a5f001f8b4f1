"""What is told before a run of steps that are decided while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shapes import CODE
from tests.projects import SmallProject


@pytest.fixture
def small(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, {"flows/__init__.py": "", "flows/small.py": CODE + MORE})


MORE = '''

@step
def add(x: int, y: int) -> int:
    return x + y


@pipeline(kind="data")
def crossed(count: int = 4):
    """Combine."""
    return total(add.product(numbers(count), [1, 2]))


@pipeline(kind="data")
def certain(x: int = 50):
    """Choose by what never changes."""
    return total([when(is_large(x), lambda: double(x), lambda: total([double(x + 1)])), 1])
'''


def plan(small: SmallProject, pipeline: str, **values: int) -> dict[str, tuple[str, str]]:
    """Return status and reason by step."""
    with small.opened() as project:
        return {found.step: (found.status, found.reason) for found in project.plan(pipeline, values)}


def test_a_map_says_how_many_calls_there_are(small: SmallProject) -> None:
    """When its list is known: given, or what a step that is a hit returned."""
    assert plan(small, "mapped")["double"] == ("after", "a call per item of x; decided after numbers")
    small.run("mapped")
    assert plan(small, "mapped")["double"] == ("after", "3 calls, one per item of x; decided while it runs")
    small.run("mapped", count=1200)
    assert plan(small, "mapped", count=1200)["double"][1].startswith("1,200 calls, ")
    assert plan(small, "crossed")["add"] == ("after", "a call per combination of x and y; decided after numbers")
    small.run("crossed")
    assert plan(small, "crossed")["add"][1] == "8 calls, one per combination of x and y; decided while it runs"


def test_branches_are_told_as_far_as_they_are_known(small: SmallProject) -> None:
    """Before the condition is known, on what it depends; afterwards which branch is taken, and what follows it."""
    first = plan(small, "certain")
    assert first["double"] == ("after", "only if is_large returns True")
    assert first["double-2"] == ("after", "only if is_large returns False")
    small.run("certain")
    found = plan(small, "certain")
    assert {name: status for name, (status, _) in found.items()} == {
        "is_large": "hit", "double": "hit", "double-2": "skip", "total": "skip", "total-2": "hit",
    }  # fmt: skip
    assert found["double-2"][1] == "is_large returned True"


def test_graphs_and_questions_are_told(small: SmallProject) -> None:
    """A dynamic step makes its steps later; of an approval, what is asked."""
    assert plan(small, "planned")["plan"] == ("after", "makes its steps while it runs")
    told = "a person is asked, unless the answer is known: Publish these numbers?"
    assert plan(small, "asking")["approve"] == ("after", told)
    assert plan(small, "asking")["mae"] == ("after", "decided after approve")
