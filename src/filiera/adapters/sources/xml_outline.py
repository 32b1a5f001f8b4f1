"""What is in an XML file, before anybody has written rules for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filiera.adapters.sources.unpacking import unpacked
from filiera.adapters.sources.xml_stream import Element, events
from filiera.core.markup import Markup, MarkupPath

_LOOKED_AT_BYTES = 1 << 26
_EXAMPLES = 3
_MOST_PATHS = 10_000
"""A file that goes on making new paths is no table; counting goes on for those known."""


def survey(file: Path) -> Markup:
    """Return the paths of a file, of its first 64 MiB if it is larger. Raises SourceError."""
    return _Survey(file).result()


class _Node:
    """What is known of the elements at one path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.count = 0
        self.most = 0
        self.examples: list[str] = []
        self.attributes: dict[str, _Node] = {}
        self.children: dict[str, _Node] = {}

    def see(self, value: str | None) -> None:
        text = (value or "").strip()
        if text and len(self.examples) < _EXAMPLES and text not in self.examples:
            self.examples.append(text)

    def flat(self) -> Iterator[MarkupPath]:
        yield MarkupPath(path=self.path, count=self.count, most=self.most, examples=tuple(self.examples))
        for attribute in self.attributes.values():
            yield MarkupPath(path=attribute.path, count=attribute.count, examples=tuple(attribute.examples))
        for child in self.children.values():
            yield from child.flat()


class _Survey:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._top = _Node("")
        self._open: list[tuple[_Node, dict[str, int]]] = [(self._top, {})]
        self._prefixes: dict[str, str] = {}  #: by namespace
        self._paths = 0

    def result(self) -> Markup:
        size, is_whole = 0, True
        for size, event, element in events(unpacked(self._file, shown=str(self._file)), shown=str(self._file)):
            if event == "start":
                self._begin(element)
            else:
                self._end(element)
            if size > _LOOKED_AT_BYTES:
                is_whole = False
                break
        spaces = {prefix: space for space, prefix in self._prefixes.items()}
        paths = tuple(found for child in self._top.children.values() for found in child.flat())
        return Markup(paths=paths, namespaces=spaces, size_bytes=size, is_whole=is_whole)

    def _begin(self, element: Element) -> None:
        parent, counts = self._open[-1]
        name = self._short(element.tag, element.nsmap)
        node = self._known(parent.children, name, f"{parent.path}/{name}")
        node.count += 1
        counts[name] = counts.get(name, 0) + 1
        node.most = max(node.most, counts[name])
        for key, value in element.items():
            attribute = self._short(key, element.nsmap)
            found = self._known(node.attributes, attribute, f"{node.path}/@{attribute}")
            found.count += 1
            found.see(value)
        self._open.append((node, {}))

    def _end(self, element: Element) -> None:
        node, counts = self._open.pop()
        if not counts:
            node.see(element.text)

    def _known(self, among: dict[str, _Node], name: str, path: str) -> _Node:
        if name in among:
            return among[name]
        self._paths += 1
        made = _Node(path)
        if self._paths <= _MOST_PATHS:
            among[name] = made
        return made

    def _short(self, tag: str, prefixes: Any) -> str:
        """Return a name with a prefix in place of its namespace: the file's own one where it has one."""
        if not tag.startswith("{"):
            return tag
        space, _, name = tag[1:].partition("}")
        if space not in self._prefixes:
            wanted = next((prefix for prefix, known in prefixes.items() if known == space and prefix), "n")
            taken = set(self._prefixes.values())
            numbered = (wanted, *(f"{wanted}{number}" for number in range(2, len(taken) + 3)))
            self._prefixes[space] = next(prefix for prefix in numbered if prefix not in taken)
        return f"{self._prefixes[space]}:{name}"
