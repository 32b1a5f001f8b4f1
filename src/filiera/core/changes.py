"""How a project's files differ from the commit that is checked out."""

from __future__ import annotations

from filiera.core.value import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeChanges:
    """What a project's files have that its commit has not."""

    patch: bytes  #: in the form of ``git diff --binary``; for ``CodeHistory.check_out``, and for people
    left_out: tuple[str, ...] = ()  #: new files that are not in it, because they are too large to be code
