"""How a new version reaches callers: which version answers, and which one is being tried."""

from __future__ import annotations

from filiera.core.value import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineup:
    """What an endpoint shall serve now."""

    stable: int  #: number of the version that answers
