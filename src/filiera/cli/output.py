"""Tables for people, JSON for scripts."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import Any, TextIO

from filiera.cli.visible import visible

_COLOURS = {
    "succeeded": "32", "passed": "32", "quiet": "32", "ok": "32", "hit": "36", "running": "33", "retrying": "33",
    "failed": "31", "rejected": "31", "interrupted": "35", "cancelled": "35", "blocked": "90", "pending": "90",
    "extended": "33", "waiting": "33", "caught": "33", "skipped": "90",
    "drift": "31", "missing column": "31", "run": "33", "after": "90", "skip": "90",
    "problem": "31", "warning": "33", "repaired": "32", "ERR": "31", "WARN": "33", "warned": "33",
}  # fmt: skip
_OTHER_STATES = (
    "caught", "skipped", "waiting", "failed", "rejected", "blocked", "cancelled", "interrupted", "running", "retrying",
    "extended", "pending",
)  # fmt: skip

_document: ContextVar[TextIO | None] = ContextVar("document", default=None)
"""Where JSON goes while everything else that is printed goes to standard error."""


@contextmanager
def only_json() -> Iterator[None]:
    """For the block, let nothing but ``print_json`` write to standard output: not the project's code, nor its steps."""
    token = _document.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _document.reset(token)


def print_json(value: Any) -> None:
    """Print one JSON document; a number that JSON does not have, such as NaN, is null."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, default=str, allow_nan=False)
    print(text, file=_document.get() or sys.stdout)


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
    return value


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print aligned columns; those named in *right* are aligned to the right."""
    print(table_text(header, rows, right=right))


def table_text(header: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> str:
    """Return aligned columns as lines; those named in *right* are aligned to the right."""
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(header)]

    def line(row: Sequence[str], paint: bool) -> str:
        parts = []
        for name, cell, width in zip(header, row, widths, strict=True):
            padded = cell.rjust(width) if name in right else cell.ljust(width)
            parts.append(coloured(padded, cell) if paint else padded)
        return "  ".join(parts).rstrip()

    title = line([name.upper() for name in header], paint=False)
    title = f"\033[1m{title}\033[0m" if sys.stdout.isatty() else title
    return "\n".join([title, *(line(row, paint=True) for row in cells)])


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print labels and values below each other."""
    width = max(len(label) for label in facts)
    for label, value in facts.items():
        print(f"{label.ljust(width)}  {_text(value)}")


def coloured(text: str, word: str) -> str:
    """Return *text* in the colour that belongs to *word*, when standard output is a terminal."""
    colour = _COLOURS.get(word.strip())
    return f"\033[{colour}m{text}\033[0m" if colour and sys.stdout.isatty() else text


def counted(counts: Mapping[str, int]) -> str:
    """Return how many steps are in each state, in words.

    >>> counted({"hit": 2, "succeeded": 1_000, "failed": 1})
    '1,000 ran, 2 from cache, 1 failed'
    """
    told = [f"{counts.get('succeeded', 0):,} ran", f"{counts.get('hit', 0):,} from cache"]
    return ", ".join([*told, *(f"{counts[state]:,} {state}" for state in _OTHER_STATES if counts.get(state))])


def when(seconds: float | None) -> str:
    """Return a time as people of this place read it; '' when there is none."""
    if seconds is None:
        return ""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def shortened(text: str, longest: int) -> str:
    """Return the first line of *text*, cut where it is longer than *longest* characters.

    >>> shortened("first line", 8)
    'first l…'
    """
    line = text.partition("\n")[0]
    return line if len(line) <= longest else line[: longest - 1] + "…"


def mute() -> None:
    """Send standard output nowhere from now on: its reader is gone, or its disk is full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def how_long(seconds: float | None) -> str:
    """Return a duration.

    >>> how_long(0.0042), how_long(3.21), how_long(75), how_long(3700)
    ('4 ms', '3.2 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def how_big(size_bytes: float) -> str:
    """Return a size.

    >>> how_big(900), how_big(1536), how_big(5 * 1024**2)
    ('900 B', '1.5 KiB', '5.0 MiB')
    """
    if size_bytes < 1024:
        return f"{size_bytes:.0f} B"
    exponent = min(int(math.log(size_bytes, 1024)), 4)
    return f"{size_bytes / 1024**exponent:.1f} {'KMGT'[exponent - 1]}iB"


def _text(cell: Any) -> str:
    return "" if cell is None else visible(str(cell).replace("\n", " "))
