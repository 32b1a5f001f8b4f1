"""Do two annotated types fit?"""

# ruff: noqa: UP007, UP045  the older spellings are still written

from __future__ import annotations

import collections.abc as abc
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, Optional, Protocol, TypedDict, TypeVar, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.types import fits, hints_of, items_of, output_types, show

T = TypeVar("T")
Seed = NewType("Seed", int)


class Animal: ...


class Dog(Animal): ...


class Box(Generic[T]): ...


class Barks(Protocol):
    def bark(self) -> None: ...


class Listed(Protocol):
    def __len__(self) -> int: ...
    def __iter__(self) -> Any: ...
    def __contains__(self, item: object) -> bool: ...


class Row(TypedDict):
    a: int


FIT = [
    (int, int), (bool, int), (int, float), (bool, float), (float, complex), (Dog, Animal), (None, None),
    (int, Any), (Any, int), (object, int), (int, object), (int, "int"), ("int", str), (int, T), (T, int),
    (int, int | None), (None, int | None), (int, Optional[int]), (bool, Union[str, int]), (int | None, int | None),
    (int | bool, int), (int | str, str | int | None), (list[int], list), (list, list[int]), (list[int], list[float]),
    (list[bool], list[int]), (list[int], abc.Sequence[int]), (list[int], abc.Iterable), (dict[str, int], abc.Mapping),
    (tuple[int, ...], tuple[int, ...]), (tuple[bool, str], tuple[int, str]), (Literal["a"], str),
    (Literal["a"], Literal["a", "b"]), (Literal[1], int), (Box[int], Box[int]), (Box[Dog], Box[Animal]),
    (Box, Box[int]),
    (Dog, Barks), (int, Barks), (str, Listed), (int, Listed), (dict, Row), (Row, dict), (Seed, int), (int, Seed),
    (Callable[[int], int], Callable), (int, typing.Hashable), (type[int], type), (str, abc.Sized),
]  # fmt: skip
MISFIT = [
    (int, str), (float, int), (int, bool), (str, int), (Animal, Dog), (None, int), (int, None), (int | None, int),
    (int | str, int), (str, int | None), (list[int], list[str]), (list[int], set[int]),
    (dict[str, int], dict[str, str]),
    (tuple[int, int], tuple[int, int, int]), (tuple[int, str], tuple[str, int]), (str, Literal["a"]),
    (Literal["a", "b"], Literal["a"]), (Literal["a"], int), (Box[int], Box[str]), (Box[int], Dog), (list[list[int]],
    list[list[str]]), (bytes, str), (abc.Sequence[int], list[int]),
]  # fmt: skip


@pytest.mark.parametrize(("given_type", "wanted"), FIT, ids=str)
def test_types_that_fit(given_type: Any, wanted: Any) -> None:
    """A value goes where its type, a wider one, a number it widens to, or something unknown is wanted."""
    assert fits(given_type, wanted)


@pytest.mark.parametrize(("given_type", "wanted"), MISFIT, ids=str)
def test_types_that_do_not_fit(given_type: Any, wanted: Any) -> None:
    """A wire between types that share no value is wrong, also deep inside containers."""
    assert not fits(given_type, wanted)


hints = st.recursive(
    st.sampled_from([int, str, bool, float, None, Any, Dog, Animal, Barks, Row, Literal[1, "a"], T, Seed, Listed]),
    lambda inner: st.one_of(
        inner.map(lambda hint: list[hint]),  # type: ignore[valid-type]
        st.tuples(inner, inner).map(lambda pair: dict[pair]),  # type: ignore[valid-type]
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),  # type: ignore[valid-type]
        st.tuples(inner, inner).map(lambda pair: Union[pair]),
    ),
    max_leaves=5,
)


@given(one=hints, other=hints)
def test_every_pair_has_an_answer(one: Any, other: Any) -> None:
    """Any two annotations are compared without an error; each fits itself, and a union that has it."""
    assert fits(one, other) in (True, False)
    assert fits(one, one)
    assert fits(one, Union[one, other])


@pytest.mark.parametrize(
    ("returned", "count"),
    [
        (None, 0),
        (type(None), 0),
        (int, 1),
        (Any, 1),
        (tuple, 1),
        (tuple[int, ...], 1),
        (tuple[int], 1),
        (tuple[()], 1),
        (tuple[int, str], 2),
        (typing.Tuple[int, str, int], 3),  # noqa: UP006
        (tuple[int, str] | None, 1),
        (list[tuple[int, str]], 1),
    ],
)
def test_number_of_outputs(returned: Any, count: int) -> None:
    """A tuple of two or more typed parts makes that many outputs, nothing none, all else one."""
    assert len(output_types(returned)) == count


def only_for_checkers(
    rows: pl.DataFrame,  # type: ignore[name-defined]  # noqa: F821
    depth: int,
    names: list[str] | np.ndarray | None,  # type: ignore[name-defined]  # noqa: F821
) -> tuple[pl.DataFrame, dict[str, pl.Series], int]:  # type: ignore[name-defined]  # noqa: F821
    """Use names that are imported for type checkers only."""


def nonsense(a: 1 / 0, b: int) -> list[:]:  # type: ignore
    """Have annotations that cannot be evaluated."""


def test_one_unknown_name_hides_nothing_else() -> None:
    """An annotation with a name that only type checkers know still says what it can: how many outputs there are."""
    found = hints_of(only_for_checkers)
    assert found["depth"] is int
    assert [fits(found["rows"], wanted) for wanted in (int, str, Dog)] == [True] * 3
    assert found["rows"].__name__ == "DataFrame"
    assert fits(int, found["names"])
    outputs = output_types(found["return"])
    assert len(outputs) == 3
    assert outputs[2] is int
    assert fits(outputs[1], dict[str, int])
    assert not fits(outputs[1], list[int])


def test_annotations_of_any_shape_are_read() -> None:
    """An annotation that raises says nothing, and harms nobody."""
    assert hints_of(nonsense)["b"] is int
    assert fits(str, hints_of(nonsense)["a"])
    assert hints_of(print) == {}
    assert hints_of(lambda x: x) == {}


@dataclass
class Local:
    """Shown with the package it is from."""


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (list[int], "list[int]"),
        (int | None, "int | None"),
        (Local, "tests.Local"),
        (Any, "typing.Any"),
        (None, "None"),
        (Literal["a"], "Literal['a']"),
    ],
)
def test_types_are_shown_as_people_write_them(hint: Any, text: str) -> None:
    """Messages show a type without its private module path."""
    assert show(hint) == text


def test_a_union_is_shown_by_its_parts() -> None:
    """People read `pl.DataFrame | None`, whatever module a class lives in."""
    assert show(int | None) == "int | None"
    assert show(Decimal | None) == "decimal.Decimal | None"


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        (list[int], Iterable[int], True),
        (list[int], Iterable[str], False),
        (list[int], Iterator[int], True),
        (list[int], Iterator[str], False),
        (list, Iterator[int], True),
        (list[int], Sequence[float], True),
        (tuple[int, ...], Iterable[str], False),
        (tuple[int, str], Sequence[int | str], True),
        (dict[str, int], Iterable[str], True),
        (str, Iterator[str], False),
        (Iterable[int], list[int], False),
        (list[int] | list[str], list[int], False),
    ],
    ids=str,
)
def test_lists_go_where_items_are_taken(given: Any, wanted: Any, expected: bool) -> None:
    """A list may go where an iterable or iterator of such items is wanted: the items are compared."""
    assert fits(given, wanted) is expected


def test_annotations_without_a_hash_are_compared_too() -> None:
    """An annotation that cannot be remembered is compared each time."""
    odd = Annotated[int, []]
    assert fits(odd, odd)
    assert fits(odd, Any)


def test_items_of_unions_are_unions() -> None:
    """A value that is one of two lists has items of either; one that may be no list has none."""
    assert items_of(list[int] | list[str]) == (int | str,)
    assert items_of(list[int] | None) == ()
    assert items_of(tuple[int, str]) == (int | str,)
    assert items_of(tuple[()]) == (Any,)
