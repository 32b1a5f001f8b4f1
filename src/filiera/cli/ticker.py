"""What long work has come to: a line on standard error now and then."""

from __future__ import annotations

import sys
import time

_FIRST_S, _EVERY_S = 10.0, 2.0


class Ticker:
    """Prints what it is told, from the tenth second on, at most every two seconds: short work prints nothing."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _FIRST_S

    def __call__(self, text: str) -> None:
        """Print a line, unless one was printed a moment ago."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY_S
            print(f"  {text}", file=sys.stderr, flush=True)
