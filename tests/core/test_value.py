"""Data classes made here cannot be told from those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import field
from typing import Any

import pytest

from filiera.core import value

Made = tuple[type, type]


def twice(make: Callable[[Any], type]) -> Made:
    """Return a class made here and by the standard library."""
    return make(value.dataclass), make(dataclasses.dataclass)


def simple(dataclass: Any) -> type:
    @dataclass(frozen=True, kw_only=True, slots=True)
    class Value:
        """A value."""

        name: str
        size: int = 3
        parts: list[int] = field(default_factory=list)

    return Value


def special(dataclass: Any) -> type:
    @dataclass(frozen=True, slots=True)
    class Value:
        """A value with fields of every kind."""

        name: str
        hidden: int = field(default=1, repr=False, compare=False)
        length: int = field(init=False)
        made: list[int] = field(init=False, default_factory=list)
        fixed: int = field(init=False, default=7)

        def __post_init__(self) -> None:
            if not self.name:
                raise ValueError("no name")
            object.__setattr__(self, "length", len(self.name))

    return Value


def empty(dataclass: Any) -> type:
    @dataclass(frozen=True, slots=True)
    class Value:
        """A value without fields."""

    return Value


def one(dataclass: Any) -> type:
    class Base:
        def shout(self) -> str:
            return str(self).upper()

    @dataclass(frozen=True, slots=True)
    class Value(Base):
        """A value of one field, of a class that is not a data class."""

        name: str = "x"

    return Value


def changing(dataclass: Any) -> type:
    @dataclass
    class Value:
        """Something that may change."""

        name: str
        parts: list[int] = field(default_factory=list)
        hidden: int = field(default=1, repr=False, compare=False)

    return Value


def changing_slots(dataclass: Any) -> type:
    @dataclass(slots=True, kw_only=True)
    class Value:
        """Something with slots that may change."""

        name: str = "x"
        length: int = field(init=False)

        def __post_init__(self) -> None:
            self.length = len(self.name)

    return Value


def frozen(dataclass: Any) -> type:
    @dataclass(frozen=True, kw_only=True)
    class Value:
        """A value without slots."""

        name: str
        size: int = 3

    return Value


CALLS: list[tuple[Callable[[Any], type], list[tuple[tuple[Any, ...], dict[str, Any]]]]] = [
    (simple, [((), {"name": "a"}), ((), {"name": "a", "parts": [1]}), ((), {"name": "b", "size": 4}), ((), {}),
              (("a",), {}), ((), {"name": "a", "more": 1})]),
    (special, [(("a",), {}), (("a", 2), {}), (("bb",), {"hidden": 2}), (("",), {}), (("a",), {"length": 1})]),
    (empty, [((), {}), ((1,), {})]),
    (changing, [(("a",), {}), (("a", [1]), {}), (("a",), {"hidden": 2}), ((), {})]),
    (changing_slots, [((), {}), ((), {"name": "yy"}), (("a",), {})]),
    (frozen, [((), {"name": "a"}), ((), {"name": "a", "size": 4}), ((), {})]),
    (one, [((), {}), (("y",), {}), ((), {"name": "x"}), (("y", "z"), {})]),
]  # fmt: skip


def called(cls: type, call: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
    """Return what a call gives, or the type of what it raises."""
    try:
        return cls(*call[0], **call[1])
    except (TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize(("make", "calls"), CALLS, ids=lambda item: getattr(item, "__name__", ""))
def test_values_behave_as_those_of_the_standard_library(make: Callable[[Any], type], calls: list[Any]) -> None:
    """How they are made, shown, compared, hashed, copied, replaced and turned into dictionaries."""
    ours, theirs = twice(make)
    pairs = [(called(ours, call), called(theirs, call)) for call in calls]
    for our, their in pairs:
        if isinstance(our, type):
            assert our is their
            continue
        assert repr(our) == repr(their)
        assert dataclasses.asdict(our) == dataclasses.asdict(their)
        assert copy.copy(our) == our and _state(our) == _state(their)
        assert not hasattr(our, "__dict__") or hasattr(their, "__dict__")
        with_same = {item.name: getattr(our, item.name) for item in dataclasses.fields(our) if item.init}
        assert dataclasses.replace(our, **with_same) == our != their
    for our, their in pairs:
        assert [our == other for other, _ in pairs] == [their == other for _, other in pairs]
        assert _hash(our) == _hash(their) or isinstance(our, type)


def _state(made: Any) -> Any:
    return made.__getstate__() if hasattr(made, "__getstate__") else made.__dict__


def _hash(made: Any) -> Any:
    try:
        return hash(made)
    except TypeError as error:
        return str(error)


def test_a_class_without_documentation_has_its_name() -> None:
    """The standard library would write its parameters there."""

    @value.dataclass(frozen=True, slots=True)
    class Value:
        name: str

    assert Value.__doc__ == "Value"


@pytest.mark.parametrize("make", [make for make, _ in CALLS])
def test_classes_say_of_themselves_what_the_standard_library_says(make: Callable[[Any], type]) -> None:
    """Names, documentation, slots, parameters, fields, and what they match."""
    ours, theirs = twice(make)
    for name in ("__qualname__", "__module__", "__doc__", "__slots__", "__match_args__", "__annotations__"):
        assert getattr(ours, name, None) == getattr(theirs, name, None)
    our, their = inspect.signature(ours), inspect.signature(theirs)
    assert [(p.name, p.kind, p.annotation) for p in our.parameters.values()] == [
        (p.name, p.kind, p.annotation) for p in their.parameters.values()
    ]
    for one_field, other in zip(dataclasses.fields(ours), dataclasses.fields(theirs), strict=True):
        assert repr(one_field) == repr(other)
    assert repr(ours.__dataclass_params__) == repr(theirs.__dataclass_params__)  # type: ignore[attr-defined]


def test_a_value_never_changes() -> None:
    """Attributes are neither set nor deleted; those that a derived class adds are its own."""
    for cls in (*twice(simple), *twice(frozen)):
        for made in (cls(name="a"), type("Derived", (cls,), {})(name="a")):
            with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
                made.name = "b"
            with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'size'"):
                del made.size
    ours = simple(value.dataclass)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ours(name="a").other = 1
    derived = type("Derived", (ours,), {})(name="a")
    derived.other = 1
    del derived.other


@value.dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A value that other processes may get."""

    name: str


def test_a_value_can_be_sent() -> None:
    """Errors that carry values travel between processes."""
    assert pickle.loads(pickle.dumps(Sent(name="a"))) == Sent(name="a")


def test_what_is_no_value_is_left_to_the_standard_library() -> None:
    """Classes that derive from data classes, have other options, or methods of their own for what is made."""

    @value.dataclass(order=True)
    class Ordered:
        """Knows what is less."""

        name: str

    @value.dataclass(frozen=True, slots=True)
    class Derived(Sent):
        """More."""

        size: int = field(default=0, kw_only=True)

    @value.dataclass(frozen=True, slots=True)
    class Own:
        """Shows itself."""

        name: str

        def __repr__(self) -> str:
            return "own"

    assert Ordered("a") < Ordered("b")
    assert repr(Derived(name="a", size=1)).endswith("Derived(name='a', size=1)")
    assert (repr(Own("a")), Own("a")) == ("own", Own("a"))
