"""Where values stand in XML: paths, a part of XPath 1.0 that can be followed while a file streams by.

A path of elements is ``/nmaprun/host``, from the root of a file, or ``ports/port``, from another element. A path of
values may also end in an attribute, begin with ``..`` and hold ``*``, ``//`` and conditions:

    .    @id    price    item/@sku    ../@currency    .//cpe    param[@name='os.family']/@value    item[last()]
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from filiera.core.value import dataclass

_NAME = r"[^\W\d][\w.\-]*"
_TAG = re.compile(rf"(?:(?P<prefix>{_NAME}):)?(?P<name>{_NAME}|\*)")
_CONDITION = re.compile(
    rf"\[\s*(?:\d+|last\(\)|(?P<at>@?)(?P<tag>(?:{_NAME}:)?{_NAME})(?:\s*=\s*(?P<text>'[^']*'|\"[^\"]*\"))?)\s*\]"
)
ANY = "*"

Place = tuple[str, ...]
"""Tags of elements, each in the next; a tag is ``name``, ``{namespace}name`` or ``*``."""


@dataclass(frozen=True, slots=True)
class Step:
    """From an element to those of its children that have a tag and, perhaps, a value of an attribute."""

    tag: str
    key: str = ""  #: name of an attribute; "": any child with the tag
    value: str = ""  #: what that attribute must be


@dataclass(frozen=True, kw_only=True, slots=True)
class ValuePath:
    """Where values stand, seen from the element of a row."""

    ups: int  #: so many elements above it
    steps: tuple[Step, ...] | None  #: from there to the values' elements; None: only ``xpath`` says it
    attribute: str  #: whose value is meant; "": the element's text
    xpath: str  #: the path without the leading ".."


def place(path: str, namespaces: Mapping[str, str]) -> Place:
    """Return a path of elements as tags. Raises ValueError saying what is wrong.

    >>> place("/n:rss/item", {"n": "urn:x"})
    ('{urn:x}rss', 'item')
    """
    return tuple(_plain_tag(part, namespaces) for part in path.removeprefix("/").split("/"))


def value_path(path: str, namespaces: Mapping[str, str]) -> ValuePath:
    """Return a path of values, taken apart. Raises ValueError saying what is wrong.

    >>> value_path("../item/@sku", {}).steps
    (Step(tag='item', key='', value=''),)
    """
    rest, ups = path.strip(), 0
    while rest == ".." or rest.startswith("../"):
        rest, ups = rest[3:], ups + 1
    if rest in ("", ".") and path.strip():
        return ValuePath(ups=ups, steps=(), attribute="", xpath=".")
    steps, attribute = _steps(rest, namespaces)
    return ValuePath(ups=ups, steps=steps, attribute=attribute, xpath=rest)


def _plain_tag(part: str, namespaces: Mapping[str, str]) -> str:
    found = _TAG.fullmatch(part)
    if not found:
        raise ValueError(f"{part!r} is not the name of an element")
    return _clark(found["prefix"], found["name"], namespaces)


def _clark(prefix: str | None, name: str, namespaces: Mapping[str, str]) -> str:
    if not prefix:
        return name
    if prefix not in namespaces:
        raise ValueError(f"the prefix {prefix!r} is not in 'namespaces'")
    return f"{{{namespaces[prefix]}}}{name}"


def _steps(text: str, namespaces: Mapping[str, str]) -> tuple[tuple[Step, ...] | None, str]:
    steps: list[Step] = []
    is_simple = True
    if text.startswith(".//"):
        text, is_simple = text[3:], False
    while True:
        if text.startswith("@"):
            return (tuple(steps) if is_simple else None), _plain_tag(text[1:], namespaces)
        found = _TAG.match(text)
        if not found:
            raise ValueError(f"at {text!r} the name of an element or @attribute is needed")
        text = text[found.end() :]
        tag = _clark(found["prefix"], found["name"], namespaces)
        step = Step(tag)
        is_simple &= not tag.endswith(ANY)
        while condition := _CONDITION.match(text):
            text = text[condition.end() :]
            named = _condition(condition, namespaces)
            is_simple &= bool(named) and not step.key
            step = Step(tag, *named) if named else step
        steps.append(step)
        if not text:
            return (tuple(steps) if is_simple else None), ""
        if text.startswith("//"):
            text, is_simple = text[2:], False
        elif text.startswith("/"):
            text = text[1:]
        else:
            raise ValueError(f"{text!r} means nothing there")


def _condition(found: re.Match[str], namespaces: Mapping[str, str]) -> tuple[str, str] | tuple[()]:
    """Return name and value of the attribute that a condition compares; () for other conditions."""
    if not found["tag"]:
        return ()
    tag = _plain_tag(found["tag"], namespaces)
    return (tag, found["text"][1:-1]) if found["at"] and found["text"] else ()
