"""A document in sections: Markdown for the terminal and for files, drawings beside it for pages."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Collection, Iterable, Sequence

from filiera.core.report import Svg
from filiera.core.value import dataclass

_SPECIAL = re.compile(r"[\\`*\[\]<|]|(?<!\w)~|~(?!\w)|&(?=[#\w])|(?<!\w)_|_(?!\w)|(?<=!)(?=\[)")
_ESCAPED = re.compile(r"\\([^A-Za-z0-9\s])")
_BAR = re.compile(r"(?<!\\)\|")
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
    cells = [[_inline("" if cell is None else cell) for cell in row] for row in (header, *rows)]
    return _padded(cells, [name in right for name in header])


def _padded(cells: Sequence[Sequence[str]], is_right: Sequence[bool]) -> str:
    """Return rows of cells, the header first, as a Markdown table."""
    columns = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * (width - 1) for width in columns]
    rule = [f"{line}:" if right else f":{line}" for line, right in zip(rule, is_right, strict=True)]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, columns, is_right, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    return "\n".join(line(row) for row in (cells[0], rule, *cells[1:]))


def for_terminal(markdown: str) -> str:
    """Return the Markdown of this module for a terminal: without what escapes, its tables padded anew.

    >>> print(for_terminal(f"{escaped('*a*')}\\n\\n{table(['name', 'n'], [['[a]', 1]], right=['n'])}"))
    *a*
    <BLANKLINE>
    | name |   n |
    | :--- | --: |
    | [a]  |   1 |
    """
    parts = []
    for is_table, lines in itertools.groupby(markdown.splitlines(), key=lambda line: line.startswith("| ")):
        if is_table:
            rows = [[_unescaped(cell.strip()) for cell in _BAR.split(line)[1:-1]] for line in lines]
            parts.append(_padded([rows[0], *rows[2:]], [rule.endswith(":") for rule in rows[1]]))
        else:
            parts += map(_unescaped, lines)
    return "\n".join(parts)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


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
