"""Classes and functions that the tests of plain values name, and strategies that make plain values."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

from hypothesis import strategies as st


class Colour(enum.Enum):
    RED = 1
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Rights(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any = None


@dataclass(kw_only=True, slots=True)
class Settings:
    name: str
    points: list[Any] = field(default_factory=list)
    count: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.count = len(self.points)


@dataclass
class NeedsMore:
    size: int
    factor: InitVar[int] = 1


class Opaque:
    """Not plain."""


class Outer:
    @dataclass(frozen=True)
    class Inner:
        value: Any


def double(x: int) -> int:
    return 2 * x


zones = st.one_of(
    st.none(), st.timezones(), st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)))
)
system_bytes = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
any_text = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), system_bytes), max_size=8)
"""Also with the halves of surrogate pairs that Python gives for names of the system that are not UTF-8."""
hashable = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2040, 2060).map(lambda bits: -(2**bits)),
    st.floats(),
    any_text,
    st.binary(),
    st.dates(),
    st.datetimes(timezones=zones),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.just(Decimal("NaN")),
    st.uuids(),
    st.sampled_from([*Colour, *Level, Rights.READ | Rights.RUN, Rights(0), int, Point, double, len, Outer.Inner]),
    st.sampled_from([Path("a/b"), Path("/"), PurePosixPath("c")]),
)
# Sets and dictionaries are made of lists: drawing unique items would make Hypothesis name each rejected one.
pairs = st.lists(hashable, max_size=3)
frozen = st.one_of(hashable, pairs.map(tuple), pairs.map(frozenset), pairs.map(lambda items: (1, frozenset(items))))
names = st.one_of(st.sampled_from(["$", "v", "of", "a"]), st.text(max_size=5))
values = st.recursive(
    hashable,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(frozen, max_size=4).map(set),
        st.lists(st.tuples(names, inner), max_size=4).map(dict),
        st.lists(st.tuples(frozen, inner), max_size=4).map(dict),
        st.builds(Point, inner, inner),
        st.builds(Outer.Inner, inner),
        st.builds(Settings, name=st.text(max_size=3), points=st.lists(inner, max_size=2)),
    ),
    max_leaves=10,
)
