"""Names for predictions: unique, and sorted by time when sorted as text."""

from __future__ import annotations

import secrets
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_RANDOM_BITS = 80
_TAIL_BITS = 20
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


class PredictionIds:
    """Makes ULIDs: milliseconds since the epoch and 80 bits, as 26 characters of Crockford's base 32.

    The bits are drawn anew each millisecond and counted up within it, as the specification of ULIDs has it. Never the
    same twice, and ascending even when the clock stands still or steps back. Not for use by two threads.
    """

    def __init__(self) -> None:
        self._last = 0
        self._head = (-1, "")  # all but the last four characters, which few ids of one millisecond change

    def next(self) -> str:
        """Return a fresh id, greater than all before.

        >>> ids = PredictionIds()
        >>> ids.next() < ids.next()
        True
        """
        return self.take(1)[0]

    def take(self, count: int) -> tuple[str, ...]:
        """Return *count* fresh ids, ascending."""
        now_ms = time.time_ns() // 1_000_000
        if now_ms > self._last >> _RANDOM_BITS:
            self._last = now_ms << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        found = []
        for _ in range(count):
            self._last += 1
            high = self._last >> _TAIL_BITS
            if high != self._head[0]:
                self._head = high, _spelled(high)
            found.append(f"{self._head[1]}{_PAIRS[self._last >> 10 & 1023]}{_PAIRS[self._last & 1023]}")
        return tuple(found)


def _spelled(high: int) -> str:
    return "".join(_CROCKFORD[high >> shift & 31] for shift in range(5 * (_LENGTH - 5), -1, -5))
