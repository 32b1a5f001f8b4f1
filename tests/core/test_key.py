"""Cache keys: equal parts, equal key; what differs is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.core.key import KeyParts, differences

words = st.text("ab:,/", max_size=3)
key_parts = st.builds(
    KeyParts,
    closure=words,
    arguments=st.dictionaries(words, st.binary(max_size=3), max_size=3),
    inputs=st.lists(st.tuples(words, words), max_size=3).map(tuple),
    codecs=st.lists(words, max_size=2).map(tuple),
)


def content(parts: KeyParts) -> Any:
    """Return what the key depends on: all but where inputs come from."""
    identities = [identity for _, identity in parts.inputs]
    return parts.closure, list(parts.arguments.items()), identities, parts.codecs


@given(one=key_parts, other=key_parts)
def test_key_changes_exactly_when_a_part_does(one: KeyParts, other: KeyParts) -> None:
    """Two keys are equal if and only if their parts are: nothing moves unseen from one part to the next."""
    assert (one.key == other.key) == (content(one) == content(other))


BASE = KeyParts(
    closure="c" * 64,
    arguments={"depth": b"3", "names": b'["a"]'},
    inputs=(("clean", "json/1:" + "0" * 64), ("flows@1", "parquet/1:" + "1" * 64)),
    codecs=("", "parquet/1"),
)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"closure": "d"}, ["code changed"]),
        ({"arguments": {"depth": b"4", "names": b'["a"]'}}, ["parameter depth changed from 3 to 4"]),
        ({"arguments": {"depth": b"3"}}, ['parameter names is gone, it was ["a"]']),
        ({"arguments": {**BASE.arguments, "seed": b"0"}}, ["parameter seed is new: 0"]),
        ({"inputs": (("clean", "json/1:" + "2" * 64), BASE.inputs[1])}, ["input from clean changed"]),
        ({"inputs": (("clean", "json/2:" + "0" * 64), BASE.inputs[1])}, ["input from clean changed"]),
        ({"inputs": BASE.inputs[:1]}, ["it takes 1 input, took 2"]),
        ({"codecs": ()}, ["encoding of the outputs changed"]),
        ({"closure": "d", "codecs": ()}, ["code changed", "encoding of the outputs changed"]),
    ],
    ids=str,
)
def test_a_difference_is_told(change: dict[str, Any], told: list[str]) -> None:
    """Each part that differs makes another key, and is named in words."""
    changed = replace(BASE, **change)
    assert changed.key != BASE.key
    assert differences(BASE, changed) == told


def taking(*arguments: bytes, inputs: int, changed: int = 0) -> KeyParts:
    """Return the parts of a key with these arguments, of whose inputs the first ones are changed."""
    told = tuple((f"s{i}", f"json/1:{'a' if i < changed else 'b'}") for i in range(inputs))
    return KeyParts(closure="c", arguments={f"p{i}": value for i, value in enumerate(arguments)}, inputs=told)


def list_of(first: int, count: int) -> bytes:
    """Return an encoded list of inputs."""
    return plain.encode([plain.Placeholder(index) for index in range(first, first + count)])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            taking(list_of(0, 2), list_of(2, 1), inputs=3),
            taking(list_of(0, 1_000), list_of(1_000, 1), inputs=1_001),
            ["p0 takes 1,000 inputs, took 2"],
        ),
        (
            taking(list_of(0, 900), inputs=900),
            taking(list_of(0, 900), inputs=900, changed=500),
            ["inputs from s0, s1, s2 and 497 more changed"],
        ),
        (
            taking(plain.encode([1, plain.Placeholder(0)]), inputs=1),
            taking(plain.encode([2, plain.Placeholder(0)]), inputs=1),
            ["parameter p0 changed from [1,input] to [2,input]"],
        ),
    ],
)
def test_many_inputs_are_told_in_a_line(old: KeyParts, new: KeyParts, told: list[str]) -> None:
    """However many inputs there are, the reason stays short, and an argument after them is not told as changed."""
    assert differences(old, new) == told


@given(one=key_parts, other=key_parts)
def test_every_difference_has_words(one: KeyParts, other: KeyParts) -> None:
    """When two keys differ there is something to tell; parts given in another order are the one exception."""
    in_order = [list(parts.arguments) for parts in (one, other)]
    if one.key != other.key and (sorted(in_order[0]) != sorted(in_order[1]) or in_order[0] == in_order[1]):
        assert differences(one, other)
    if one == other:
        assert differences(one, other) == []


def test_where_an_input_comes_from_is_for_people() -> None:
    """The same value from another step, or of a renamed version, is the same input."""
    renamed = replace(BASE, inputs=(("cleaned", BASE.inputs[0][1]), BASE.inputs[1]))
    assert renamed.key == BASE.key
    assert differences(BASE, renamed) == []


def test_long_values_are_cut() -> None:
    """A parameter of any length fits into one line, whatever its bytes."""
    told = differences(BASE, replace(BASE, arguments={"depth": b"x" * 5000, "names": b"\xff\xed\xb3\xbf"}))
    assert all(len(line) < 120 for line in told)
    assert all(line.isprintable() for line in told)
