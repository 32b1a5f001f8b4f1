from __future__ import annotations

import enum
import random
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.errors import UsageError
from filiera.model.space import Choice, Float, Int, Space


class Kind(enum.Enum):
    LINEAR = 1
    TREE = 2


@dataclass(frozen=True)
class Forest:
    depth: Annotated[int, Int(2, 32)]
    rate: Annotated[float, Float(1e-4, 1e-1, log=True)] = 0.01
    kind: Annotated[Kind | None, Choice(Kind.TREE, Kind.LINEAR, None)] = None
    layers: Annotated[tuple[int, ...], Choice((8,), (8, 8))] = (8,)
    trees: int = 100
    notes: list[str] = field(default_factory=list)


FLOATS = st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)).map(lambda ends: Float(min(ends), max(ends)))
LOGS = st.tuples(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9)).map(lambda ends: Float(min(ends), max(ends), log=True))
STEPS = st.builds(lambda low, count, step: Float(low, low + count * step, step=step), st.integers(-9, 9).map(float),
                  st.integers(0, 50), st.sampled_from([0.25, 0.1, 1.0, 3.0]))  # fmt: skip
INTS = st.builds(lambda low, more, step: Int(low, low + more, step=step), st.integers(-99, 99), st.integers(0, 99),
                 st.integers(1, 9))  # fmt: skip
INT_LOGS = st.builds(lambda low, more: Int(low, low + more, log=True), st.integers(1, 99), st.integers(0, 999))
CHOICES = st.lists(st.one_of(st.integers(), st.text(), st.none(), st.booleans()), min_size=1, max_size=5).map(
    lambda values: Choice(*values)
)
RANGES = st.one_of(FLOATS, LOGS, STEPS, INTS, INT_LOGS, CHOICES)


def kind_of(one: Any) -> Any:
    return {Float: float, Int: int}.get(type(one), Any)


@given(ranges=st.lists(RANGES, min_size=1, max_size=4), seed=st.text(max_size=5))
def test_what_is_drawn_is_in_range_and_round_trips(ranges: list[Any], seed: str) -> None:
    """Parameters become values and those parameters again, also through the notes; one seed gives one draw."""
    fields = [(f"f{number}", Annotated[kind_of(one), one]) for number, one in enumerate(ranges)]
    space = Space(make_dataclass("Searched", fields, frozen=True))
    values = space.draw(seed)
    assert values == space.draw(seed)
    made = space.make(plain.decode(plain.encode(values)))
    assert space.values(made) == values
    assert space.make(space.values(made)) == made


@given(one=st.one_of(STEPS, INTS, CHOICES), seed=st.integers())
def test_what_is_drawn_is_on_the_grid(one: Any, seed: int) -> None:
    """Where there is a step, the same values are drawn as a grid has."""
    assert one.draw(random.Random(seed)) in one.options()


def test_fields_without_a_range_keep_their_defaults() -> None:
    """Only what says where is searched."""
    space = Space(Forest)
    assert list(space.ranges) == ["depth", "rate", "kind", "layers"]
    made = space.make({"depth": 3, "rate": 0.05, "kind": Kind.TREE, "layers": (8, 8)})
    assert made == Forest(depth=3, rate=0.05, kind=Kind.TREE, layers=(8, 8), trees=100)
    with pytest.raises(UsageError, match="depth is 99"):
        space.values(Forest(depth=99))


def test_a_grid_has_all_combinations() -> None:
    """Once each; where a field has no end of values, that is told."""

    @dataclass(frozen=True)
    class Small:
        a: Annotated[int, Int(1, 5, step=2)]
        b: Annotated[str, Choice("x", "y")]

    space = Space(Small)
    assert [tuple(values.values()) for values in space.grid()] == [(a, b) for a in (1, 3, 5) for b in "xy"]
    assert space.grid_size() == 6
    with pytest.raises(UsageError, match="no grid"):
        list(Space(Forest).grid())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Float(1, 0),
        lambda: Float(0, 1, log=True),
        lambda: Float(0, float("inf")),
        lambda: Float(0, 1, step=0),
        lambda: Float(1, 2, log=True, step=0.1),
        lambda: Int(2, 1),
        lambda: Int(0, 9, log=True),
        lambda: Int(0, 9.0),  # type: ignore[arg-type]
        lambda: Choice(),
        lambda: Choice(object()),
    ],
)
def test_ranges_that_cannot_be(make: Any) -> None:
    """They are refused where they are written."""
    with pytest.raises(ValueError, match=r"low|step|whole|choice"):
        make()


def test_spaces_that_cannot_be() -> None:
    """No dataclass, nothing to search, a field that nobody gives, a range that does not fit its type: each is told."""

    @dataclass
    class Nothing:
        a: int = 1

    @dataclass
    class Needs:
        b: int
        a: Annotated[int, Int(1, 2)] = 1

    @dataclass
    class Misfit:
        a: Annotated[int, Float(0, 1)]

    wrong = {int: "is a dataclass", Nothing: "nothing to search", Needs: "b has neither", Misfit: "of type int"}
    for kind, told in wrong.items():
        with pytest.raises(UsageError, match=told):
            Space(kind)
