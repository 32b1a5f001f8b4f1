"""What is in a file of nested elements, such as XML, and the catalog entry that makes a table of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from filiera.core.value import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkupPath:
    """Elements, or attributes, that stand at one path."""

    path: str  #: from the root, such as "/shop/order/@id"
    count: int
    most: int = 1  #: so many of them at most in one element around them
    examples: tuple[str, ...] = ()  #: the first few different values; none where there are only blanks

    @property
    def depth(self) -> int:
        """Return how many names the path has."""
        return self.path.count("/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Markup:
    """All paths of a file, each behind the one it is in."""

    paths: tuple[MarkupPath, ...]
    namespaces: Mapping[str, str]  #: by prefix, as the paths use them
    size_bytes: int  #: so much was looked at
    is_whole: bool  #: that was all


def suggested_entry(markup: Markup, *, name: str, path: str) -> str:
    """Return the text of a catalog entry for ``filiera.toml``: a start, to be corrected.

    Records are the outermost elements that come several times; of several kinds of them those that hold most. A field
    is made of whatever has values in them, and of the attributes around them.

    >>> paths = [MarkupPath(path="/s", count=1), MarkupPath(path="/s/o", count=2, most=2)]
    >>> paths.append(MarkupPath(path="/s/o/@id", count=2, examples=("1", "2")))
    >>> found = Markup(paths=tuple(paths), namespaces={}, size_bytes=40, is_whole=True)
    >>> print(suggested_entry(found, name="orders", path="s.xml"))
    [catalog.orders]
    type = "xml"
    path = "s.xml"
    records = "/s/o"
    <BLANKLINE>
    [catalog.orders.fields]
    id = "@id"
    """
    records = _records(markup)
    lines = [f"[catalog.{name}]", 'type = "xml"', f"path = {_quoted(path)}", f"records = {_quoted(records)}"]
    if markup.namespaces:
        spaces = ", ".join(f"{prefix} = {_quoted(space)}" for prefix, space in markup.namespaces.items())
        lines.append(f"namespaces = {{{spaces}}}")
    lines += ["", f"[catalog.{name}.fields]"]
    taken: set[str] = set()
    for relative, is_many in _fields(markup, records):
        rule = f'{{path = {_quoted(relative)}, many = "list"}}' if is_many else _quoted(relative)
        lines.append(f"{_column(relative, records, taken)} = {rule}")
    return "\n".join(lines)


def _records(markup: Markup) -> str:
    elements = [found for found in markup.paths if "@" not in found.path]
    repeated: list[MarkupPath] = []
    for found in elements:
        if found.most > 1 and not any(found.path.startswith(f"{outer.path}/") for outer in repeated):
            repeated.append(found)
    if not repeated:
        return elements[0].path

    def weight(record: MarkupPath) -> int:
        return sum(found.count for found in markup.paths if found.path.startswith(f"{record.path}/")) + record.count

    return max(repeated, key=weight).path


def _fields(markup: Markup, records: str) -> Iterator[tuple[str, bool]]:
    """Yield paths from a record to what has values, and whether there may be several."""
    most = {found.path: found.most for found in markup.paths}
    for found in markup.paths:
        around, _, attribute = found.path.partition("/@")
        if attribute and records.startswith(f"{around}/"):
            yield "../" * (records.count("/") - around.count("/")) + f"@{attribute}", False
        elif (found.path == records or found.path.startswith(f"{records}/")) and (attribute or found.examples):
            inner = found.path.removeprefix(records).removeprefix("/")
            steps = inner.split("/") if inner else []
            on_the_way = ("/".join((records, *steps[: n + 1])) for n in range(len(steps)))
            yield inner or ".", any(most[path] > 1 for path in on_the_way)


def _column(relative: str, records: str, taken: set[str]) -> str:
    """Return a name that is not taken: the last name of the path, with those before it where that is not enough."""
    parts = [re.sub(r"\W", "_", part.rpartition(":")[2].removeprefix("@")) for part in relative.split("/")]
    parts = [part for part in parts if part.strip("_")] or [re.sub(r"\W", "_", records.rpartition("/")[2])]
    tried = ["_".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
    tried += [f"{tried[-1]}_{number}" for number in range(2, len(taken) + 3)]
    name = next(name for name in tried if name not in taken)
    taken.add(name)
    return name if name.isascii() else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
