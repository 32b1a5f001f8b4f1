from __future__ import annotations

import pytest

from filiera.core.closure import Part
from filiera.project.proving.suspects import Suspect, suspects
from tests.project import suspicious

HOME = suspicious.__name__


def found(name: str, kind: str = "function") -> list[tuple[str, str]]:
    """Return what is suspected of one function or class."""
    part = Part(kind=kind, name=f"{HOME}:{name}", digest="0" * 64)  # type: ignore[arg-type]
    assert all(suspect.place == f"{HOME}:{name}" for suspect in suspects([part]))
    return [(suspect.kind, suspect.name) for suspect in suspects([part])]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("draws", [("chance", "random.random")]),
        ("draws_by_alias", [("chance", "numpy.random.rand")]),
        ("shuffles", [("chance", "random.shuffle")]),
        ("imports_inside", [("chance", "secrets.token_hex")]),
        ("names", [("chance", "uuid.uuid4")]),
        ("nested", [("chance", "random.gauss")]),
        ("reads_clock", [("clock", "time.time")]),
        ("reads_date", [("clock", "datetime.datetime.now")]),
        ("groups", [("order", "polars group_by")]),
        ("seeded", []),
        ("plain", []),
    ],
)
def test_what_differs_each_time_is_found_by_its_name(name: str, expected: list[tuple[str, str]]) -> None:
    """However it was imported, and however deep in the function it is."""
    assert found(name) == expected


def test_threads_are_suspected() -> None:
    """Which of several ends first is chance."""
    assert [kind for kind, _ in found("in_threads")] == ["order"]


def test_estimators_without_a_state_are_suspected() -> None:
    """scikit-learn draws numbers unless it is given a state."""
    ((kind, name),) = found("fits")
    assert (kind, name.endswith("DecisionTreeClassifier without random_state")) == ("chance", True)


def test_methods_of_classes_are_looked_into() -> None:
    """A class of the project may hold the culprit."""
    assert found("Sampler", "class") == [("chance", "random.random")]


def test_what_cannot_be_found_is_passed_over() -> None:
    """Constants, versions, and functions defined in others: nothing is said of them."""
    parts = [
        Part(kind="constant", name=f"{HOME}:draws", digest="0" * 64),
        Part(kind="python", name="cpython 3.11.7", digest="0" * 64),
        Part(kind="function", name=f"{HOME}:outer.<locals>.inner", digest="0" * 64),
        Part(kind="function", name="no_such_module:draws", digest="0" * 64),
    ]
    assert suspects(parts) == []
    assert Suspect("chance", "a", "b") < Suspect("clock", "a", "b")
