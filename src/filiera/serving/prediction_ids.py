"""Names for predictions: unique, and sorted by time when sorted as text."""

from __future__ import annotations

import secrets
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_RANDOM_BITS = 80


class PredictionIds:
    """Makes ULIDs: milliseconds since the epoch and 80 random bits, as 26 characters of Crockford's base 32.

    Never the same twice, and ascending even when the clock stands still or steps back. Not for use by two threads.
    """

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> str:
        """Return a fresh id, greater than all before.

        >>> ids = PredictionIds()
        >>> ids.next() < ids.next()
        True
        """
        drawn = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        self._last = max(drawn, self._last + 1)
        return "".join(_CROCKFORD[self._last >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
