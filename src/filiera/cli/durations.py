"""Durations as people write them."""

from __future__ import annotations

import re

from filiera.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: str, option: str) -> float:
    """Return how many seconds a text such as 30s, 10m, 12h or 7d means. Raises UsageError that names the *option*.

    >>> seconds_of("1.5h", "--every")
    5400.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not match:
        raise UsageError(f"{option} takes a duration such as 30m, 12h or 7d, not {text!r}.")
    return float(match[1]) * _SECONDS[match[2]]


def lasted(seconds: float) -> str:
    """Return how long something lasted, for people.

    >>> lasted(7.4), lasted(95), lasted(7300), lasted(90_000)
    ('7 s', '1 min', '2 h', '1 d')
    """
    for least, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= least:
            return f"{int(seconds // least)} {unit}"
    return f"{int(seconds)} s"
