"""Images that look alike, found by their perceptual hashes without comparing each with each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR_BITS = 12
"""Of 256. 1,200 X-rays of chests, which all look alike, differ in 31 bits or more; the same picture compressed again
(JPEG 75), enlarged four times or 10 % brighter differs in 7 or fewer, 95 times of 100."""
_BANDS = 16
_CROWD = 300
_PLAIN_BITS = 6  # a hash with fewer bits set is of a plain surface, and says nothing


def near_pairs(hashes: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return pairs of positions whose hashes differ in at most ``NEAR_BITS`` bits, and in how many; nearest first.

    Two such hashes have 4 or more of 16 columns in common, so only hashes with an equal column are compared. A column
    that more than 300 hashes share singles nobody out and is not used: a pair that has only such ones in common is
    missed.

    Args:
        hashes: 64 hex digits each, as ``perceptual_hashes`` returns them.

    >>> near_pairs(["0f" * 32, "f0" * 32, "0f" * 31 + "0e"])
    [(0, 2, 1)]
    """
    if len(hashes) < 2:
        return []
    bits = np.unpackbits(np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(len(hashes), 32), axis=1)
    telling = np.flatnonzero(bits.sum(axis=1) >= _PLAIN_BITS)
    columns = np.packbits(bits.reshape(-1, 16, 16).transpose(0, 2, 1), axis=2)
    words = np.packbits(bits, axis=1).view(np.uint64)
    keys = columns.view(np.uint16).reshape(len(hashes), _BANDS)
    found: dict[tuple[int, int], int] = {}
    for band in range(_BANDS):
        first, second = _equal_pairs(keys[telling, band], telling)
        distances = np.bitwise_count(words[first] ^ words[second]).sum(axis=1)
        near = distances <= NEAR_BITS
        chosen = zip(first[near].tolist(), second[near].tolist(), distances[near].tolist(), strict=True)
        found.update(((min(a, b), max(a, b)), distance) for a, b, distance in chosen)
    return sorted(((a, b, distance) for (a, b), distance in found.items()), key=lambda pair: (pair[2], pair))


def is_plain(found: str) -> bool:
    """Tell whether a hash, 64 hex digits, is of an image with hardly any structure, such as a black surface."""
    return int(found, 16).bit_count() < _PLAIN_BITS


def _equal_pairs(keys: NDArray[np.uint16], positions: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all pairs of positions with equal keys, but of keys that a crowd has."""
    order = np.argsort(keys, kind="stable")
    _, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
    first: list[NDArray[np.intp]] = [np.empty(0, np.intp)]
    second: list[NDArray[np.intp]] = [np.empty(0, np.intp)]
    for size in np.unique(counts[(counts > 1) & (counts <= _CROWD)]):
        a, b = np.triu_indices(int(size), 1)
        groups = starts[counts == size][:, None]
        first.append(positions[order[(groups + a).ravel()]])
        second.append(positions[order[(groups + b).ravel()]])
    return np.concatenate(first), np.concatenate(second)
