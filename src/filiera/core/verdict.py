"""What a check or a gate returns: a value that may block."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Verdict(Protocol):
    """A step output that can stop the run: nothing downstream of it starts, the run ends as *rejected*."""

    @property
    def blocks(self) -> bool:
        """Tell whether what depends on it must not go on."""

    @property
    def summary(self) -> str:
        """Return one line for people: what was found, and where."""
