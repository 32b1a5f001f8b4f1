"""Plain values as bytes and back."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import math
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.core.plain import Placeholder, decode, encode, find_loaded, is_plain, name_of
from tests.core.plain_values import (
    Colour,
    Level,
    NeedsMore,
    Opaque,
    Outer,
    Point,
    Rights,
    Settings,
    double,
    frozen,
    values,
)

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["$", "v", "of", "x"]), inner, max_size=3),
        st.fixed_dictionaries({"$": st.sampled_from([*plain._READERS, "enum", "object", "flag"]), "v": inner}),
        st.fixed_dictionaries(
            {
                "$": st.sampled_from(["enum", "object", "flag", "name"]),
                "of": st.sampled_from([name_of(kind) for kind in (Colour, Rights, Point, NeedsMore, Opaque, int)]),
                "v": inner,
            }
        ),
    ),
)


def same(a: Any, b: Any) -> bool:
    """Tell whether two values are alike in type, order and value; NaN is like NaN, and a set's order is no matter."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (a != a and b != b)
    if isinstance(a, Decimal):
        return str(a) == str(b)
    if isinstance(a, dt.datetime):
        return a.replace(tzinfo=None) == b.replace(tzinfo=None) and a.utcoffset() == b.utcoffset()
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, set | frozenset):
        return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)
    if isinstance(a, dict):
        return len(a) == len(b) and all(map(same, a.items(), b.items()))
    if isinstance(a, Point):
        return same((a.x, a.y), (b.x, b.y))
    if isinstance(a, Outer.Inner):
        return same(a.value, b.value)
    if isinstance(a, Settings):
        return same((a.name, a.points, a.count), (b.name, b.points, b.count))
    return bool(a == b)


@given(values)
def test_value_comes_back(value: Any) -> None:
    """Any plain value, however nested, comes back with its types, its order and its bits."""
    assert same(decode(encode(value)), value)


@given(values)
def test_bytes_are_stable(value: Any) -> None:
    """What came back has the bytes of the original, so that digests survive any number of hands."""
    assert encode(decode(encode(value))) == encode(value)


@given(
    st.lists(frozen, max_size=6).map(set).flatmap(lambda items: st.tuples(st.just(items), st.permutations([*items])))
)
def test_sets_have_no_order(orders: tuple[set[Any], list[Any]]) -> None:
    """A set has the same bytes in whichever order it was filled."""
    assert encode(orders[0]) == encode(set(orders[1]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True), (1, 1.0), (0.0, -0.0), ([1], (1,)), ({1}, frozenset({1})), ("1", 1), (b"a", "a"), (None, "None"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), (dt.date(2026, 1, 1), "2026-01-01"), (Level.LOW, 1), (Path("a"), "a"),
        (Path("a"), PurePosixPath("a")), (Point(1, 2), {"x": 1, "y": 2}), (Placeholder(0), 0), ({}, {"$": 1}),
    ],
    ids=repr,
)  # fmt: skip
def test_different_values_have_different_bytes(one: Any, other: Any) -> None:
    """Values that a step could tell apart have different bytes, though Python may call them equal."""
    assert encode(one) != encode(other)


def test_strings_go_in_any_process_order() -> None:
    """Hash randomisation does not reach the bytes: another interpreter writes the same set alike."""
    code = "from filiera.core.plain import encode; print(encode({'a', 'b', 'c', 'd', ('e', 1), None}).decode())"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_numbers_have_no_longest() -> None:
    """Whole numbers come back however long they are; Python reads and writes only 4300 decimal digits."""
    assert decode(encode({10**6000: -(10**6000)})) == {10**6000: -(10**6000)}


def test_path_can_be_opened_again() -> None:
    """A path comes back as one that can be opened, a pure path as a pure one."""
    assert [type(decode(encode(path))) for path in (Path("a"), PurePosixPath("a"))] == [type(Path("a")), PurePosixPath]


def test_zone_comes_back() -> None:
    """A time keeps its zone, not just its present offset: half a year later it is another hour."""
    winter = dt.datetime(2026, 1, 1, 12, tzinfo=ZoneInfo("Europe/Rome"))
    back = decode(encode(winter))
    assert (back + dt.timedelta(days=180)).utcoffset() == dt.timedelta(hours=2)


class _LocalDict(dict[str, int]):
    pass


def _not_plain() -> list[Any]:
    class Hidden(enum.Enum):
        ONE = 1

    @dataclass
    class Local:
        x: int

    return [
        Opaque(), Hidden.ONE, Local(1), Local, lambda: 0, partial(double), _LocalDict(), OrderedDict(), [].append, 3j,
        range(3), iter(()), ..., Opaque().__init__, bytearray(b"x"), memoryview(b"x"), sys,
    ]  # fmt: skip


@pytest.mark.parametrize("value", _not_plain(), ids=lambda value: type(value).__name__)
def test_what_is_not_plain_is_refused(value: Any) -> None:
    """What could not be read again, classes inside functions for instance, is refused where it lies."""
    assert not is_plain([value])
    with pytest.raises(TypeError, match=r"value\['deep'\]\[1\]"):
        encode({"deep": [0, value]})


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (Point([Opaque()]), r"^value\.x\[0\] is a "),
        ({Opaque(): 1}, "^key of value is a "),
        ({Opaque()}, "^item of value is a "),
        ((1, Opaque()), r"^value\[1\] is a "),
    ],
    ids=["dataclass", "key", "set", "tuple"],
)
def test_refusal_says_where(value: Any, place: str) -> None:
    """The message names the place of what is not plain."""
    with pytest.raises(TypeError, match=place):
        encode(value)


def test_depth_has_a_limit() -> None:
    """200 levels are stored; what is deeper, or contains itself, is refused before Python's stack ends."""
    deep: Any = 0
    for _ in range(200):
        deep = [deep]
    assert decode(encode(deep)) == deep
    for kind in ([deep], {"a": deep}, (deep,), Point(deep)):
        with pytest.raises(TypeError, match="nested deeper than 200"):
            encode(kind)
    itself: list[Any] = []
    itself.append(itself)
    assert not is_plain(itself)


@given(st.one_of(st.binary(), json_values.map(lambda value: plain._write(value).encode(errors="replace"))))
def test_reading_never_fails_otherwise(content: bytes) -> None:
    """Whatever the bytes, reading gives a value or ValueError."""
    with contextlib.suppress(ValueError):
        decode(content)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"NaN", b"[Infinity]", b"\xff", b'{"$":"decimal","v":"x"}', b'{"$":"unknown","v":1}',
        b'{"$":"set","v":[[]]}',
        b'{"$":"timedelta","v":[1e99,0,0]}', b"[" * 100_000, b'{"$":"enum","of":"os:path","v":"a"}', b'{"$":"uuid"}',
        b'{"$":"datetime","v":["2026-01-01T00:00:00","Nowhere/At_All",0]}', b'{"$":"object","of":"os:system","v":{}}',
    ],
    ids=lambda content: content[:40].decode(errors="replace"),
)  # fmt: skip
def test_foreign_bytes_are_refused(content: bytes) -> None:
    """Bytes that are not ours raise ValueError."""
    with pytest.raises(ValueError):
        decode(content)


def test_reading_imports_nothing() -> None:
    """A name in the bytes finds only what is loaded already: bytes from elsewhere cannot run a module's code."""
    code = (
        "import sys\n"
        "from filiera.core.plain import decode\n"
        'try: decode(b\'{"$":"name","v":"antigravity:fly"}\')\n'
        "except ValueError as error: print(error)\n"
        "assert 'antigravity' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "'antigravity:fly' is not in a loaded module\n"


def test_reading_calls_only_dataclasses_and_enums() -> None:
    """An object in the bytes must be of a dataclass: no other callable is called."""
    with pytest.raises(ValueError, match="is not a dataclass"):
        decode(b'{"$":"object","of":"subprocess:Popen","v":{"args":["true"]}}')


def test_names_are_found_again() -> None:
    """Functions and classes, nested ones too, are found by the name they are written with."""
    for thing in (double, Outer.Inner, Colour, len, dict):
        assert find_loaded(name_of(thing)) is thing


def test_tags_are_seen_however_they_are_written() -> None:
    """JSON may write a character by its number: it is the same text."""
    assert decode(rb'{"\u0024":"tuple","v":[1]}') == (1,)


@pytest.mark.parametrize("value", [[1, 2**5000], [1.5, float("inf")], ["a", b"b"], [True, 1], {"a": 2**5000}, (1, 2)])
def test_long_and_short_ways_are_one(value: Any) -> None:
    """Lists that are written at once and those written item by item come back alike."""
    assert decode(encode(value)) == value
    assert encode([value, {1}]) == b"[" + encode(value) + b"," + encode({1}) + b"]"
