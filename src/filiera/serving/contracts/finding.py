"""What a change of a signature means for applications, as values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

from filiera.core.value import dataclass

Level = Literal["ERR", "WARN", "INFO"]
Bump = Literal["major", "minor", "patch", "none"]
LEVELS: tuple[Level, ...] = ("ERR", "WARN", "INFO")

_FINGERPRINT = 12
_ADDS = frozenset(
    {"input-added", "input-widened", "input-may-be-missing", "output-added", "batch-limit-raised"}
    | {"operation-added", "request-type-added", "response-type-added"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One change.

    ``ERR``: an application that kept to the old contract can stop working. ``WARN``: it may notice. ``INFO``: it will
    not.
    """

    rule: str  #: what kind of change, such as ``input-removed``
    level: Level
    at: str  #: what changed: ``inputs.NAME``, ``outputs.NAME`` or ``contract``
    text: str  #: what it was and what it is, for people

    @property
    def fingerprint(self) -> str:
        """Return 12 hex digits that stay the same for the same change, so that an approved one stays approved.

        >>> Finding(rule="input-removed", level="ERR", at="inputs.rate", text="it is not taken any more").fingerprint
        'c87ae5bd8a4a'
        """
        return hashlib.sha256(f"{self.rule}:{self.at}:{self.text}".encode()).hexdigest()[:_FINGERPRINT]


def bump(findings: Iterable[Finding]) -> Bump:
    """Return which part of the contract's version a change raises: major for a break, minor for an addition.

    >>> bump([])
    'none'
    """
    found = list(findings)
    if any(finding.level == "ERR" for finding in found):
        return "major"
    if any(finding.rule in _ADDS for finding in found):
        return "minor"
    return "patch" if found else "none"
