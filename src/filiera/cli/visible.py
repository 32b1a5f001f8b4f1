"""Text of others on a terminal: signs that would steer it are shown, not sent."""

from __future__ import annotations

import io
import re
import sys

_STEERING = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Control characters but for tabs and line ends, and those that turn the direction of what follows them."""
_ANY = re.compile(f"[{_STEERING}]")
_ANY_BUT_COLOURS = re.compile(rf"\x1b\[[0-9;]*m|[{_STEERING}]")


def visible(text: str) -> str:
    r"""Return *text* with each sign that would steer a terminal written as Python writes it.

    >>> print(visible("\x1b[2Jgone\r"))
    \x1b[2Jgone\r
    """
    return _ANY.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    sign = found[0]
    return sign if len(sign) > 1 else repr(sign)[1:-1]


class Terminal(io.TextIOWrapper):
    """A stream to a terminal. Names, values and what steps print may come from anywhere: they colour it at most.

    What they could do else is set its title, clear it, write over what was printed before, or have it type for them.
    """

    def write(self, text: str, /) -> int:
        super().write(_ANY_BUT_COLOURS.sub(_written, text))
        return len(text)

    def steer(self, text: str) -> None:
        """Write *text* as it is."""
        super().write(text)


def steer(text: str) -> None:
    """Write signs that steer the terminal, ours, to standard output."""
    if isinstance(sys.stdout, Terminal):
        sys.stdout.steer(text)
    else:
        sys.stdout.write(text)
