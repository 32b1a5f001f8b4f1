from __future__ import annotations

import math
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.core.logged import Curve, Curves, Point, Summary, begin, end, log_metric

STEPS = st.integers(-(2**53), 2**53)
POINTS = st.lists(st.builds(Point, STEPS, st.floats(), st.floats(0, 4e9)), max_size=200)


class Taken:
    """Takes points as they are."""

    def __init__(self) -> None:
        self.points: list[tuple[str, float, int | None]] = []

    def add(self, name: str, value: float, step: int | None) -> None:
        self.points.append((name, value, step))


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


@given(points=POINTS)
def test_points_come_back_from_columns(points: list[Point]) -> None:
    """Steps and values as they were, bit by bit, NaN and infinities too; times to the millisecond; also when stored."""
    curve = Curve.of("loss", points)
    assert len(curve) == len(points)
    stored = plain.decode(plain.encode(Curves((curve,))))
    for found, point in zip(next(iter(stored)).points(), points, strict=True):
        assert found.step == point.step
        assert same(found.value, point.value)
        assert abs(found.at - point.at) < 0.001


def test_long_columns_are_packed() -> None:
    """A thousand steps in a row take little more than nothing."""
    curve = Curve.of("loss", [Point(n, 0.5, 1e9 + n) for n in range(1000)])
    assert len(curve.steps) + len(curve.values) + len(curve.times) < 400
    assert [point.step for point in curve.points()] == list(range(1000))


def test_damaged_column_is_told() -> None:
    """What is no column raises ValueError, and never gives other numbers."""
    curve = Curve.of("loss", [Point(n, n / 7, 1e9) for n in range(100)])
    with pytest.raises(ValueError, match="'loss' is damaged"):
        Curve("loss", 100, curve.steps, b"nothing", curve.times).points()


@given(values=st.lists(st.floats(), min_size=1))
def test_summary(values: list[float]) -> None:
    """The last value as it is; the least and the greatest of those that are numbers."""
    found = Summary.of("m", values)
    numbers = [value for value in values if value == value]
    assert (found.points, same(found.last, values[-1])) == (len(values), True)
    assert same(found.least, min(numbers, default=math.nan))
    assert same(found.greatest, max(numbers, default=math.nan))


def test_logging_outside_a_run_does_nothing() -> None:
    """A step called as a plain function can log, and so can one after it; wrong arguments are told all the same."""
    log_metric("loss", 0.5)
    taken = Taken()
    token = begin(taken)
    log_metric("loss", 1, 2)
    end(token)
    log_metric("loss", 3)
    assert taken.points == [("loss", 1.0, 2)]
    with pytest.raises(TypeError, match="no number"):
        log_metric("loss", "low")  # type: ignore[arg-type]


class Tensor:
    """What libraries give where a number is meant."""

    def __float__(self) -> float:
        return 0.25

    def __index__(self) -> int:
        return 7


def test_what_is_as_good_as_a_number() -> None:
    """Integers, booleans and tensors of one element are values; whatever is an index is a step."""
    taken = Taken()
    token = begin(taken)
    for value in (1, True, Tensor(), array("d", [0.5])[0]):
        log_metric("m", value, Tensor())  # type: ignore[arg-type]
    end(token)
    assert [value for _, value, _ in taken.points] == [1.0, 1.0, 0.25, 0.5]
    assert {type(step) for _, _, step in taken.points} == {int}


@pytest.mark.parametrize("value", ["1.5", b"1", None, [], 1j, 10**400])
def test_what_is_no_number(value: Any) -> None:
    """Texts, containers, complex numbers and integers beyond all floats are refused."""
    with pytest.raises(TypeError, match="no number"):
        log_metric("m", value)
