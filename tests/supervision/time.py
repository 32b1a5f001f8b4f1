"""A clock that tests turn."""

from __future__ import annotations

START = 1_700_000_000.0


class HandClock:
    """Seconds since the epoch, as far as somebody has turned it."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def turn(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.now += seconds
