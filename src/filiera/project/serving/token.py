"""The token that callers of services need, as the environment has it."""

from __future__ import annotations

import os

TOKEN_VARIABLE = "FILIERA_TOKEN"  # noqa: S105 - the name of the variable, not a token


def token_given() -> str | None:
    """Return the token, or None: there is none."""
    return os.environ.get(TOKEN_VARIABLE) or None
