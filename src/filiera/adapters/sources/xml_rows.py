"""From the records of XML to rows of texts, by declared rules.

The rules become one XSLT stylesheet, so that libxml2 takes all values out of all records of a piece in one call: for
eight columns that is less work than a Python loop has with one of them. What comes back is text with separators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxml import etree

from filiera.adapters.sources.xml_rules import Field, Rules
from filiera.adapters.sources.xml_stream import Element

VALUE, FIELD, ROW = "\x1f", "\x1e", "\x1d"
"""Behind each value, between the fields of a row, and behind each row: characters that XML cannot hold."""

_XSL = "{http://www.w3.org/1999/XSL/Transform}"
_OWN = "urn:filiera:records"


class RowReader:
    """Turns records into the texts of rows. To be made and used in one thread."""

    def __init__(self, rules: Rules) -> None:
        self._records: list[Element] = []
        self._nothing = etree.Element("nothing")
        self._transform = etree.XSLT(
            _stylesheet(rules),
            extensions={(_OWN, "records"): lambda _: self._records},
            access_control=etree.XSLTAccessControl.DENY_ALL,
        )

    def read(self, records: Sequence[Element]) -> bytes:
        """Return all rows of *records* in order, as UTF-8: per field all values that its path leads to."""
        self._records = list(records)
        try:
            return bytes(self._transform(self._nothing))
        finally:
            self._records = []


def _stylesheet(rules: Rules) -> Element:
    """Return what writes rows: a loop over records, in it one for each step to the rows' elements, in it the fields.

    Values around a row are taken where they stand, once for all rows in there.
    """
    own = "_".join(["own", *rules.namespaces])  # no prefix of the catalog is as long
    spaces = {prefix: space for prefix, space in rules.namespaces.items() if prefix}
    sheet = etree.Element(f"{_XSL}stylesheet", {"version": "1.0"}, nsmap={**spaces, own: _OWN})
    _in(sheet, "output", method="text", encoding="UTF-8")
    at = _in(_in(sheet, "template", match="/"), "for-each", select=f"{own}:records()")
    steps = rules.row_steps
    for level, step in enumerate(steps):
        for number, field in enumerate(rules.fields):
            if _level(field, len(steps)) == level:
                _write_values(
                    _in(at, "variable", name=f"field{number}"), field, ups=field.where.ups - len(steps) + level
                )
        at = _in(at, "for-each", select=step)
    for number, field in enumerate(rules.fields):
        if number:
            _write(at, FIELD)
        if _level(field, len(steps)) == len(steps):
            _write_values(at, field, ups=field.where.ups)
        else:
            _in(at, "value-of", select=f"$field{number}")
    _write(at, ROW)
    return sheet


def _level(field: Field, depth: int) -> int:
    """Return where a field's values are taken: *depth* at the row's element, 0 at the record."""
    return max(depth - field.where.ups, 0)


def _write_values(parent: Element, field: Field, *, ups: int) -> None:
    each = _in(parent, "for-each", select="../" * ups + field.where.xpath)
    _in(each, "value-of", select=".")
    _write(each, VALUE)


def _in(parent: Element, tag: str, /, **attributes: str) -> Element:
    return etree.SubElement(parent, _XSL + tag, attributes)


def _write(parent: Element, character: str) -> None:
    """Add an instruction that writes a character which XML cannot hold; in HTML it can be, and its parser takes it."""
    made: Any = etree.fromstring(f"<b>{character}</b>", etree.HTMLParser()).find(".//b")
    made.tag = f"{_XSL}text"
    parent.append(made)
