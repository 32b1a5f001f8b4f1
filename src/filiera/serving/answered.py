"""What a service answered, whether it was asked over a socket or in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from filiera.core.value import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """One answer."""

    status: int
    headers: Mapping[str, str]  #: names in lower case
    body: bytes


class Asked(Protocol):
    """A service that can be asked."""

    def post(self, path: str, body: bytes) -> Answered:
        """Return the answer to a POST of JSON, whatever its status. Raises FilieraError when there is none."""
