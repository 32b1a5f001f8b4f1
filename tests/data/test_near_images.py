"""Hashes that differ in few bits are found as if each had been compared with each."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from filiera.data.near_images import NEAR_BITS, near_pairs


def naive(hashes: list[str]) -> list[tuple[int, int, int]]:
    numbers = [int(found, 16) for found in hashes]
    pairs = [
        (a, b, (numbers[a] ^ numbers[b]).bit_count()) for a in range(len(numbers)) for b in range(a + 1, len(numbers))
    ]
    telling = [number.bit_count() >= 6 for number in numbers]
    near = [pair for pair in pairs if pair[2] <= NEAR_BITS and telling[pair[0]] and telling[pair[1]]]
    return sorted(near, key=lambda pair: (pair[2], pair[0], pair[1]))


@given(seed=st.integers(0, 2**32), count=st.integers(0, 12), flips=st.lists(st.integers(0, 20), max_size=12))
def test_pairs_are_those_of_a_naive_search(seed: int, count: int, flips: list[int]) -> None:
    """Any hashes, and copies of the first with some bits flipped."""
    chance = random.Random(seed)
    numbers = [chance.getrandbits(256) for _ in range(count)]
    for number in flips if numbers else []:
        copy = numbers[0]
        for bit in chance.sample(range(256), number):
            copy ^= 1 << bit
        numbers.append(copy)
    hashes = [f"{number:064x}" for number in numbers]
    assert near_pairs(hashes) == naive(hashes)


def test_plain_surfaces_are_no_pairs() -> None:
    """A hash without structure is equal for every black image, whatever else it is."""
    assert near_pairs(["0" * 64] * 3) == []


def test_a_crowd_is_not_compared() -> None:
    """Thousands of equal hashes do not take the square of their number."""
    assert near_pairs(["0f" * 32] * 5000) == []
