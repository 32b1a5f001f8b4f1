"""Which experiment a command is about, and with which parameters."""

from __future__ import annotations

from filiera.errors import UsageError
from filiera.experiments.place import Place


def named(place: Place, name: str) -> str:
    """Return *name*, or the experiment whose worktree this is. Raises UsageError when there is neither."""
    if name or place.here:
        return name or place.here
    known = ", ".join(place.branches()) or "none yet: filiera experiment start NAME"
    raise UsageError("Which experiment?", why=f"This folder is none's worktree. There are: {known}.")


def setting(text: str) -> tuple[str, str]:
    """Return name and value of ``PARAMETER=VALUE``. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"A parameter is given as PARAMETER=VALUE, such as max_depth=20, not {text!r}.")
    return name, value
