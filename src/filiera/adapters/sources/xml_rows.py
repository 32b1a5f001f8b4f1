"""From the records of XML to rows of texts, by declared rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lxml import etree

from filiera.adapters.sources.xml_paths import Place, Step, ValuePath
from filiera.adapters.sources.xml_rules import Field
from filiera.adapters.sources.xml_stream import Element, below

Row = list[Any]
"""Per field what was found: None, a text, or a list of several texts."""

_Walk = Callable[[Element, Row], None]


class RowReader:
    """Turns records into rows. The element of a row is the record, or each element at *rows* below it."""

    def __init__(self, fields: Sequence[Field], rows: Place, *, namespaces: Mapping[str, str] | None = None) -> None:
        spaces = namespaces or {}
        self._rows = rows
        self._width = len(fields)
        levels: dict[int, list[int]] = {}
        for slot, field in enumerate(fields):
            levels.setdefault(field.where.ups, []).append(slot)
        self._own = _walk([(slot, fields[slot].where) for slot in levels.pop(0, [])], spaces)
        self._above = [
            _Above(ups, slots, _walk([(slot, fields[slot].where) for slot in slots], spaces))
            for ups, slots in sorted(levels.items())
        ]

    def elements(self, record: Element) -> Iterable[Element]:
        """Return the elements of a record that are rows."""
        return below(record, self._rows) if self._rows else (record,)

    def read(self, record: Element) -> Iterator[Row]:
        """Yield the rows of one record, in order."""
        for element in self.elements(record):
            found: Row = [None] * self._width
            self._own(element, found)
            for above in self._above:
                above.put(element, found)
            yield found


class _Above:
    """Values of an element some levels above the rows' elements, read once for all rows that lie in it."""

    def __init__(self, ups: int, slots: Sequence[int], walk: _Walk) -> None:
        self._ups = ups
        self._slots = slots
        self._walk = walk
        self._element: Element = None
        self._found: Row = []

    def put(self, element: Element, found: Row) -> None:
        for _ in range(self._ups):
            element = element.getparent()
        if element is not self._element:
            self._element, self._found = element, [None] * len(found)
            self._walk(element, self._found)
        for slot in self._slots:
            found[slot] = self._found[slot]


class _Branch:
    """What to do at an element: whose values to take, and with which of its children to go on."""

    def __init__(self) -> None:
        self.attributes: list[tuple[str, int]] = []
        self.texts: list[int] = []
        self.others: list[tuple[Any, int]] = []
        self.children: dict[str, _Branch] = {}
        self.keyed: dict[str, dict[str, dict[str, _Branch]]] = {}

    def next(self, step: Step) -> _Branch:
        if not step.key:
            return self.children.setdefault(step.tag, _Branch())
        return self.keyed.setdefault(step.tag, {}).setdefault(step.key, {}).setdefault(step.value, _Branch())


def _walk(paths: Iterable[tuple[int, ValuePath]], namespaces: Mapping[str, str]) -> _Walk:
    trunk = _Branch()
    for slot, path in paths:
        if path.steps is None:
            found = etree.XPath(path.xpath, namespaces=dict(namespaces) or None, smart_strings=False)
            trunk.others.append((found, slot))
            continue
        branch = trunk
        for step in path.steps:
            branch = branch.next(step)
        if path.attribute:
            branch.attributes.append((path.attribute, slot))
        else:
            branch.texts.append(slot)
    return _walk_of(trunk)


def _walk_of(branch: _Branch) -> _Walk:
    """Return what follows a branch: as few calls as can be, since it is done for every element of every record."""
    attributes = tuple((_key(name), slot) for name, slot in branch.attributes)
    texts, others = tuple(branch.texts), tuple(branch.others)
    find = _actions(branch).get

    def walk(element: Element, found: Row) -> None:
        for name, slot in attributes:
            value = element.get(name)
            if value is not None:
                if found[slot] is None:
                    found[slot] = value
                else:
                    _add(found, slot, value)
        for slot in texts:
            _add(found, slot, _text(element))
        for path, slot in others:
            for value in path(element):
                _add(found, slot, value if isinstance(value, str) else _text(value))
        if not goes_on:
            return
        for child in element[:]:
            action = find(child.tag)
            if action is None:
                continue
            if action.__class__ is not int:
                action(child, found)
            elif found[action] is None:
                found[action] = _string(child) if len(child) else child.text or ""
            else:
                _add(found, action, _text(child))

    goes_on = bool(branch.children or branch.keyed)
    return walk


def _key(name: str) -> str | bytes:
    """Return a name as lxml looks it up fastest; bytes that are not ASCII it refuses."""
    return name.encode() if name.isascii() else name


def _actions(branch: _Branch) -> dict[str, Any]:
    """Return by tag of a child the slot of its text, or how to go on at it."""
    actions: dict[str, Any] = {}
    for tag, child in branch.children.items():
        only_text = len(child.texts) == 1 and not (child.attributes or child.others or child.children or child.keyed)
        actions[tag] = child.texts[0] if only_text else _walk_of(child)
    for tag, keys in branch.keyed.items():
        walk = _keyed({_key(key): {v: _walk_of(b) for v, b in by.items()} for key, by in keys.items()})
        actions[tag] = _both(_walk_of(branch.children[tag]), walk) if tag in actions else walk
    return actions


def _keyed(keys: Mapping[str | bytes, Mapping[str, _Walk]]) -> _Walk:
    def walk(element: Element, found: Row) -> None:
        for key, walks in keys.items():
            on = walks.get(element.get(key))
            if on is not None:
                on(element, found)

    return walk


def _both(one: _Walk, other: _Walk) -> _Walk:
    def walk(element: Element, found: Row) -> None:
        one(element, found)
        other(element, found)

    return walk


def _add(found: Row, slot: int, value: str) -> None:
    """Put a value where perhaps others are."""
    before = found[slot]
    if before is None:
        found[slot] = value
    elif type(before) is list:
        before.append(value)
    else:
        found[slot] = [before, value]


_string = etree.XPath("string()", smart_strings=False)


def _text(element: Element) -> str:
    """Return all text in an element, as XPath does: without comments and instructions, with that of its children."""
    return str(_string(element)) if len(element) else element.text or ""
