"""Where progress is printed: lines that stay and, in a terminal, a last one that is drawn again and again."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

from filiera.cli.output import mute, shortened
from filiera.cli.visible import steer

_REDRAW_S = 0.1
_TOLD_AGAIN_S = 10.0
"""Where nothing is drawn, such as in a log of continuous integration, a line tells now and then how far it is."""


_CLEAR = "\r\033[K"


def _print(text: str) -> None:
    print(text, end="")


class Screen:
    """Prints to standard output, as long as somebody reads there."""

    def __init__(self, *, is_quiet: bool, may_draw: bool) -> None:
        self.is_quiet = is_quiet
        self._is_live = sys.stdout.isatty() and may_draw and not is_quiet
        self._next = time.monotonic() + (0.0 if self._is_live else _TOLD_AGAIN_S)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        if not self.is_quiet:
            self.clear()
            self._say(text.rstrip() + "\n")

    def aside(self, text: str) -> None:
        """Print a line for who looks on; nowhere else."""
        if self._is_live:
            self.line(text)

    def draw(self, drawn: Callable[[], str], told: Callable[[], str]) -> None:
        """Draw the last line, unless that was done a moment ago; *told* is for where nothing can be drawn, or ""."""
        now = time.monotonic()
        if self.is_quiet or now < self._next:
            return
        if self._is_live:
            self._next = now + _REDRAW_S
            self.clear()
            # A line that wraps could not be cleared.
            self._say(shortened(drawn(), shutil.get_terminal_size().columns - 1))
        else:
            self._next = now + _TOLD_AGAIN_S
            if text := told():
                self._say(text.rstrip() + "\n")

    def clear(self) -> None:
        """Remove what was drawn."""
        if self._is_live:
            self._say(_CLEAR, steer)

    def _say(self, text: str, write: Callable[[str], object] = _print) -> None:
        try:
            write(text)
            sys.stdout.flush()
        except OSError as error:  # who read along has gone, or a disk is full; the run goes on
            mute()
            self.is_quiet, self._is_live = True, False
            if not isinstance(error, BrokenPipeError):
                print(f"Standard output cannot be written: {error.strerror}. The run goes on.", file=sys.stderr)
