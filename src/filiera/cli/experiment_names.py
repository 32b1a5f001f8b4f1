"""Which experiment a command is about."""

from __future__ import annotations

from filiera.errors import UsageError
from filiera.experiments.place import Place


def named(place: Place, name: str) -> str:
    """Return *name*, or the experiment whose worktree this is. Raises UsageError when there is neither."""
    if name or place.here:
        return name or place.here
    known = ", ".join(place.branches()) or "none yet: filiera experiment start NAME"
    raise UsageError("Which experiment?", why=f"This folder is none's worktree. There are: {known}.")
