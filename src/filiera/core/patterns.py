"""Regular expressions that Python, JSON Schema (ECMA-262) and Rust read alike.

The three differ in what ``$``, ``.`` and ``\\d`` mean, and in much that few use. What may stand in a pattern is what
they share: letters and signs, ``.``, ``^``, ``$``, classes, ``\\d``, ``\\w``, groups, alternatives and repeats.
Repeats of what repeats without end are refused: to look for those can take for ever in a text made for it.
"""

from __future__ import annotations

import re
from dataclasses import field

from filiera.core.value import dataclass
from filiera.errors import UsageError

_NAMED = {"d": "0-9", "w": "A-Za-z0-9_"}
_PLAIN_ESCAPES = "tnr"
_NOT_LINE_ENDS = r"[^\n\r\u2028\u2029]"
_END = r"$(?!\n)"  # Python's own $ also stands before a last line end
_REPEAT = re.compile(r"(?:[*+?]|\{(\d{1,4})(?:(,)(\d{1,4})?)?\})\??")


@dataclass(slots=True)
class _Group:
    has_unbounded: bool = False


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    made: list[str] = field(default_factory=list)
    open: list[_Group] = field(default_factory=lambda: [_Group()])
    last: _Group | None = None  #: what a repeat would repeat; None: nothing can be repeated here


def portable(pattern: str) -> str:
    """Return *pattern* spelled so that every dialect finds it in the same texts.

    Raises:
        UsageError: It is malformed, or uses what the dialects do not share.

    >>> portable(r"^\\d+$")
    '^[0-9]+$(?!\\\\n)'
    """
    reader = _Reader(pattern)
    while reader.at < len(pattern):
        _read_one(reader)
    if len(reader.open) > 1:
        raise _refused(pattern, "a group is not closed")
    made = "".join(reader.made)
    try:
        re.compile(made)
    except (re.error, OverflowError) as error:
        raise _refused(pattern, str(error)) from error
    return made


def _read_one(reader: _Reader) -> None:
    sign = reader.text[reader.at]
    if sign in "*+?{":
        _read_repeat(reader)
    elif sign == "(":
        _open_group(reader)
    elif sign == ")":
        if len(reader.open) == 1:
            raise _refused(reader.text, "a group is closed that was not opened")
        reader.last = reader.open.pop()
        reader.open[-1].has_unbounded |= reader.last.has_unbounded
        _take(reader, ")")
    elif sign in "^$|":
        reader.last = None
        _take(reader, _END if sign == "$" else sign)
    elif sign == "[":
        _read_class(reader)
    elif sign in "]}":
        raise _refused(reader.text, f"{sign} stands for itself only behind \\")
    else:
        reader.last = _Group()
        if sign == "\\":
            _read_escape(reader)
        else:
            _take(reader, _NOT_LINE_ENDS if sign == "." else sign)


def _take(reader: _Reader, written: str, length: int = 1) -> None:
    reader.made.append(written)
    reader.at += length


def _open_group(reader: _Reader) -> None:
    opening = "(?:" if reader.text.startswith("(?:", reader.at) else "("
    if opening == "(" and reader.text.startswith("(?", reader.at):
        raise _refused(reader.text, "of groups that begin with (? only (?: is shared by all dialects")
    reader.open.append(_Group())
    reader.last = None
    _take(reader, "(?:", len(opening))


def _read_repeat(reader: _Reader) -> None:
    found = _REPEAT.match(reader.text, reader.at)
    if found is None:
        raise _refused(reader.text, "{ stands for itself only behind \\")
    if reader.last is None:
        raise _refused(reader.text, "a repeat has nothing to repeat")
    least, comma, most = found.groups()
    if least and most and int(least) > int(most):
        raise _refused(reader.text, "a repeat ends below its beginning")
    is_unbounded = found[0][0] in "*+" or (comma is not None and most is None)
    if reader.last.has_unbounded and found[0][0] != "?":
        raise _refused(reader.text, "a repeat without end is repeated")
    reader.open[-1].has_unbounded |= is_unbounded
    reader.last = None
    _take(reader, found[0], len(found[0]))


def _read_escape(reader: _Reader) -> None:
    sign = reader.text[reader.at + 1 : reader.at + 2]
    if sign.lower() in _NAMED and sign:
        _take(reader, f"[{'^' if sign.isupper() else ''}{_NAMED[sign.lower()]}]", 2)
    else:
        _take(reader, _escaped(reader.text, sign), 2)


def _escaped(pattern: str, sign: str) -> str:
    if sign and sign in _PLAIN_ESCAPES:
        return f"\\{sign}"
    if not sign or sign.isalnum() or ord(sign) < 32:
        raise _refused(pattern, f"\\{sign} is not shared by all dialects")
    return f"\\{sign}" if sign in r"^$\.*+?()[]{}|/" else sign


def _read_class(reader: _Reader) -> None:
    text, at = reader.text, reader.at + 1
    made = ["["]
    if text[at : at + 1] == "^":
        made.append("^")
        at += 1
    items = 0
    while at < len(text) and text[at] != "]":
        item, at, is_set = _class_item(text, at)
        if not is_set and text[at : at + 1] == "-" and text[at + 1 : at + 2] not in ("]", ""):
            end, at, ends_in_set = _class_item(text, at + 1)
            if ends_in_set:
                raise _refused(text, "a range ends in a set")
            item = f"{item}-{end}"
        made.append(item)
        items += 1
    if at >= len(text) or not items:
        raise _refused(text, "a class is empty or not closed")
    reader.last = _Group()
    _take(reader, "".join([*made, "]"]), at + 1 - reader.at)


def _class_item(text: str, at: int) -> tuple[str, int, bool]:
    """Return one sign of a class as all dialects read it, where it ends, and whether it is a set of its own."""
    sign = text[at]
    if sign != "\\":
        return (f"\\{sign}" if sign in "[^-" else _in_class(text, sign)), at + 1, False
    escaped = text[at + 1 : at + 2]
    if escaped and escaped in _NAMED:
        return _NAMED[escaped], at + 2, True
    return (f"\\{escaped}" if escaped == "-" else _escaped(text, escaped)), at + 2, False


def _in_class(pattern: str, sign: str) -> str:
    if sign in "&~":  # doubled, they are operators in some dialects
        raise _refused(pattern, f"{sign} in a class is not shared by all dialects")
    return sign


def _refused(pattern: str, why: str) -> UsageError:
    return UsageError(
        f"The pattern {pattern!r} cannot stand in a contract.",
        why=f"{why[0].upper()}{why[1:]}.",
        do="Use letters, classes such as [a-z], \\d, \\w, groups, alternatives and repeats, with ^ and $ at the ends.",
    )
