"""A catalog entry is suggested from what is in a file."""

import tomllib

from filiera.core.markup import Markup, MarkupPath, suggested_entry


def entry_of(*paths, namespaces=None):
    markup = Markup(paths=paths, namespaces=namespaces or {}, size_bytes=1, is_whole=True)
    return tomllib.loads(suggested_entry(markup, name="x", path='a"b.xml'))["catalog"]["x"]


def test_records_are_what_repeats_outermost_and_holds_most():
    """Small repeated things beside the records are not taken for them, nor what repeats in them."""
    found = entry_of(
        MarkupPath(path="/r", count=1),
        MarkupPath(path="/r/note", count=3, most=3, examples=("n",)),
        MarkupPath(path="/r/list", count=1),
        MarkupPath(path="/r/list/item", count=2, most=2),
        MarkupPath(path="/r/list/item/price", count=9, most=5, examples=("1",)),
    )
    assert found == {
        "type": "xml",
        "path": 'a"b.xml',
        "records": "/r/list/item",
        "fields": {"price": {"path": "price", "many": "list"}},
    }


def test_without_repetition_the_root_is_the_record():
    """One document, one row; an element without text is no field."""
    paths = (MarkupPath(path="/r", count=1), MarkupPath(path="/r/a", count=1, examples=("1",)))
    assert entry_of(*paths)["records"] == "/r"
    assert entry_of(*paths)["fields"] == {"a": "a"}


def test_fields_are_named_by_the_ends_of_their_paths():
    """With more of the path where that is not enough; what is around a record counts with its attributes."""
    paths = ["/s", "/s/@id", "/s/o", "/s/o/@id", "/s/o/a", "/s/o/a/@id", "/s/o/é-1", "/s/o/p:x"]
    most = {"/s/o": 2}
    found = entry_of(
        *(MarkupPath(path=path, count=2, most=most.get(path, 1), examples=("t",)) for path in paths),
        namespaces={"p": "urn:p"},
    )
    assert found["namespaces"] == {"p": "urn:p"}
    assert found["fields"] == {
        "id": "../@id",
        "o": ".",
        "id_2": "@id",
        "a": "a",
        "a_id": "a/@id",
        "é_1": "é-1",
        "x": "p:x",
    }
