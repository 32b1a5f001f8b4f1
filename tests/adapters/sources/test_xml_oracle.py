"""Rows of XML beside a reading of the whole document by another parser, value by value."""

from xml.dom import minidom
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.sources import xml_stream, xml_table
from filiera.adapters.sources.xml_file import XmlSource
from filiera.errors import SourceError
from filiera.testing.source import read as read_by

SPACE = "urn:a"
TEXT = st.text("ab <&é🧰]>'\"", max_size=4)
NAMES = st.sampled_from(["a:x", "y", "a:row", "a:rec"])
ATTRIBUTES = st.dictionaries(st.sampled_from(["k", "a:k"]), TEXT, max_size=2)
LEAVES = st.one_of(
    TEXT.map(escape),
    TEXT.filter(lambda text: "]]>" not in text).map(lambda text: f"<![CDATA[{text}]]>"),
    st.sampled_from(["<!-- <a:x>no</a:x> -->", "<?note <y/>?>", "\n  ", "&#65;", "<y/>"]),
)
FIELDS = {
    "x": ("a:x", "list"),
    "keys": ("a:x/@a:k", "list"),
    "deep": ("y/a:x", "list"),
    "named": ("a:x[@k='a']", "list"),
    "any": (".//a:x", "list"),
    "k": ("@k", "list"),
    "text": (".", "first"),
    "first": ("a:x", "first"),
    "joined": ("y", "join"),
    "many": ("y", "count"),
    "above": ("../@k", "list"),
    "beside": ("../y", "list"),
}


def element(name, attributes, content):
    said = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{said}>{''.join(content)}</{name}>"


CONTENT = st.recursive(
    LEAVES,
    lambda inner: st.builds(element, NAMES, ATTRIBUTES, st.lists(inner, max_size=4)),
    max_leaves=10,
)
RECORDS = st.lists(
    st.builds(element, st.sampled_from(["a:rec", "a:rec", "rec"]), ATTRIBUTES, st.lists(CONTENT, max_size=5)),
    max_size=4,
)
GROUPS = st.lists(st.builds(element, st.just("a:g"), ATTRIBUTES, RECORDS), min_size=1, max_size=3)


@given(
    groups=GROUPS,
    rows=st.sampled_from(["", "a:row", "y/a:row"]),
    piece=st.integers(1, 60) | st.just(1 << 16),
    batch=st.integers(1, 3),
)
def test_equals_a_document_read_whole(tmp_path_factory, groups, rows, piece, batch):
    """Namespaces, attributes, lists, mixed content, CDATA, comments, instructions: values are those XPath means."""
    root = element("a:r", {"xmlns:a": SPACE}, [" ".join(groups)])
    content = f'<?xml version="1.0"?><!-- <a:rec/> -->{root}'
    expected = _rows(minidom.parseString(content.encode()).documentElement, rows)
    folder = tmp_path_factory.mktemp("xml")
    (folder / "t.xml").write_text(content, encoding="utf-8", newline="")
    fields = {name: {"path": path, "many": many, "optional": True} for name, (path, many) in FIELDS.items()}
    fields["beside"]["path"] = "../y" if rows else "y"
    entry = {"type": "xml", "path": "t.xml", "records": "/b:r/b:g/b:rec", "namespaces": {"b": SPACE, "": "urn:none"}}
    entry |= {"rows": rows.replace("a:", "b:")} if rows else {}
    entry["fields"] = {name: rule | {"path": rule["path"].replace("a:", "b:")} for name, rule in fields.items()}
    entry["columns"] = {name: "string" for name, (_, many) in FIELDS.items() if many not in ("count", "join")}
    XmlSource().check(entry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xml_stream, "_PIECE_BYTES", piece)
        patch.setattr(xml_table, "BATCH_ROWS", batch)
        try:
            found = read_by(XmlSource(), entry, folder).rows(named=True)
        except SourceError as error:
            assert (expected, "There is no" in error.what) == ([], True)
        else:
            assert found == expected


def _rows(root, place):
    records = [record for group in _children(root, "a:g") for record in _children(group, "a:rec")]
    for step in place.split("/") if place else ():
        records = [child for record in records for child in _children(record, step)]
    return [_row(element, has_around=bool(place)) for element in records]


def _row(at, *, has_around):
    x, y = _children(at, "a:x"), _children(at, "y")
    beside = [_text(one) for one in (_children(at.parentNode, "y") if has_around else y)]
    return {
        "x": [_text(one) for one in x],
        "keys": [one.getAttributeNS(SPACE, "k") for one in x if one.hasAttributeNS(SPACE, "k")],
        "deep": [_text(one) for outer in y for one in _children(outer, "a:x")],
        "named": [_text(one) for one in x if one.getAttribute("k") == "a"],
        "any": [_text(one) for one in at.getElementsByTagNameNS(SPACE, "x")],
        "k": [at.getAttribute("k")] if at.hasAttribute("k") else [],
        "text": _text(at),
        "first": _text(x[0]) if x else None,
        "joined": ", ".join(_text(one) for one in y) if y else None,
        "many": len(y),
        "above": [at.parentNode.getAttribute("k")] if at.parentNode.hasAttribute("k") else [],
        "beside": beside,
    }


def _children(at, name):
    prefix, _, local = name.rpartition(":")
    wanted = (SPACE if prefix else None, local)
    nodes = (node for node in at.childNodes if node.nodeType == node.ELEMENT_NODE)
    return [node for node in nodes if (node.namespaceURI, node.localName) == wanted]


def _text(node):
    if node.nodeType in (node.TEXT_NODE, node.CDATA_SECTION_NODE):
        return node.data
    inner = node.childNodes if node.nodeType == node.ELEMENT_NODE else ()
    return "".join(_text(child) for child in inner)
