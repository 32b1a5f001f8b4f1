"""A document in sections: Markdown for the terminal and for files, drawings beside it for pages."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Sequence

from filiera.core.report import Svg
from filiera.core.value import dataclass

_SPECIAL = re.compile(r"[\\`*\[\]<|]|(?<!\w)~|~(?!\w)|&(?=[#\w])|(?<!\w)_|_(?!\w)|(?<=!)(?=\[)")
_FIRST = re.compile(r"^(#{1,6}(?=\s|$)|[-+=](?=[-+=\s]|$)|>|\d{1,9}(?=[.)](\s|$)))")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document under a heading."""

    title: str
    text: str  #: Markdown; "": there are drawings only
    drawings: tuple[Svg, ...] = ()  #: shown below the text where pictures can be shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A title, a few lines, and sections.

    >>> print(Document(kind="Card", title="m@1", lead="", sections=(Section("Made by", "me"),)).markdown)
    # m@1
    <BLANKLINE>
    ## Made by
    <BLANKLINE>
    me
    """

    kind: str  #: what it is, such as "Model card"
    title: str
    lead: str  #: Markdown below the title
    sections: tuple[Section, ...]

    @property
    def markdown(self) -> str:
        """Return the document as one text, without its drawings and the sections that have nothing else."""
        parts = [f"# {escaped(self.title)}", self.lead]
        for section in self.sections:
            parts += [f"## {escaped(section.title)}", section.text] if section.text else []
        return "\n\n".join(part for part in parts if part)


def escaped(text: object) -> str:
    """Return *text* in one line, as Markdown that shows it as it is.

    >>> print(escaped("f1_macro *better* [than] <b>|"))
    f1_macro \\*better\\* \\[than\\] \\<b>\\|
    >>> print(escaped("# one"), escaped("1. two"), escaped("_x_"))
    \\# one 1\\. two \\_x\\_
    """
    line = _inline(text)
    return _FIRST.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", line)


def _inline(text: object) -> str:
    """Return *text* for the inside of a line, where only some characters mean anything."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", " ".join(str(text).split()))


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, right: Collection[str] = ()) -> str:
    """Return a Markdown table, its columns padded so that it can be read as it is; those in *right* end flush.

    >>> print(table(["input", "rows"], [["a|b", 7]], right=["rows"]))
    | input | rows |
    | :---- | ---: |
    | a\\|b  |    7 |
    """
    cells = [[_inline("" if cell is None else cell) for cell in row] for row in rows]
    widths = [max(3, len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(header)]

    def line(row: Sequence[str]) -> str:
        parts = (
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(header, row, widths, strict=True)
        )
        return f"| {' | '.join(parts)} |"

    rule = [
        f"{'-' * (width - 1)}:" if name in right else f":{'-' * (width - 1)}"
        for name, width in zip(header, widths, strict=True)
    ]
    return "\n".join([line([_inline(name) for name in header]), line(rule), *map(line, cells)])


def listed(items: Iterable[object], *, depth: int = 0) -> str:
    """Return a Markdown list, a line for each item.

    >>> print(listed(["one", "two"]))
    - one
    - two
    """
    return "\n".join(f"{'  ' * depth}- {escaped(item)}" for item in items)


def utc(seconds: float) -> str:
    """Return a time that reads the same everywhere, from seconds since the epoch.

    >>> utc(0)
    '1970-01-01 00:00:00 UTC'
    """
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
