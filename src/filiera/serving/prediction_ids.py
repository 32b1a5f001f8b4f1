"""Names for predictions: unique, and sorted by time when sorted as text."""

from __future__ import annotations

import secrets
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]  # ten bits each
_COUNT_BITS = 20
_RANDOM_PAIRS = 6


class PredictionIds:
    """Makes ULIDs: milliseconds since the epoch and 80 bits, as 26 characters of Crockford's base 32.

    Of the 80 bits 60 are drawn once for each of these, and 20 count within a millisecond. So ids are never the same
    twice, and ascend even when the clock stands still or steps back. Not for use by two threads.
    """

    def __init__(self) -> None:
        self._drawn = "".join(_PAIRS[secrets.randbits(10)] for _ in range(_RANDOM_PAIRS))
        self._last_ms = 0
        self._count = 0
        self._head = ""  # all but the count, for the latest millisecond

    def next(self) -> str:
        """Return a fresh id, greater than all before.

        >>> ids = PredictionIds()
        >>> ids.next() < ids.next()
        True
        """
        return self.take(1)[0]

    def take(self, count: int) -> tuple[str, ...]:
        """Return *count* fresh ids, ascending."""
        self._begin(time.time_ns() // 1_000_000)
        found: list[str] = []
        while len(found) < count:
            if self._count >> _COUNT_BITS:
                self._begin(self._last_ms + 1)
            head, first = self._head, self._count
            self._count = min(first + count - len(found), 1 << _COUNT_BITS)
            found += [f"{head}{_PAIRS[each >> 10]}{_PAIRS[each & 1023]}" for each in range(first, self._count)]
        return tuple(found)

    def _begin(self, at_ms: int) -> None:
        if at_ms > self._last_ms:
            self._last_ms, self._count = at_ms, 0
            time_text = "".join(_PAIRS[at_ms >> shift & 1023] for shift in (40, 30, 20, 10, 0))
            self._head = time_text + self._drawn
