"""What one part of verifying a contract found, as values."""

from __future__ import annotations

from typing import Literal

from filiera.core.value import dataclass

State = Literal["passed", "warned", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of the verification of a model's contract."""

    name: str
    state: State  #: failed blocks; skipped says why in ``reason``
    reason: str  #: one line for people
    details: tuple[str, ...] = ()  #: what was found, a line each


def part_of(name: str, faults: list[str], *, passed: str) -> Part:
    """Return a part that failed when there are *faults*, and else *passed*."""
    if not faults:
        return Part(name=name, state="passed", reason=passed)
    return Part(name=name, state="failed", reason=faults[0], details=tuple(faults[1:]))
