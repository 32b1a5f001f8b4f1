"""XML files of the catalog."""

import bz2
import gzip
import lzma
import sys
import xml.etree.ElementTree as ET
from datetime import date, datetime, time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.sources import xml_stream, xml_table
from filiera.adapters.sources.xml_file import XmlSource
from filiera.core.collected import Collected
from filiera.errors import ProjectError, SourceError
from filiera.testing.source import SourceReaderContract
from filiera.testing.source import read as read_by

DATA = Path(__file__).parents[4] / "shared" / "data"
ORDERS = b"""<?xml version="1.0"?>
<shop currency="EUR">
  <order id="1"><city>Roma</city><item sku="a">1.5</item><item sku="b">2</item></order>
  <order id="2"><city/></order>
</shop>
"""
ENTRY = {"type": "xml", "path": "t.xml", "records": "/shop/order"}


class TestContract(SourceReaderContract):
    @pytest.fixture
    def reader(self):
        return XmlSource()

    @pytest.fixture
    def entry(self):
        return {**ENTRY, "fields": {"id": "@id"}}

    @pytest.fixture
    def project(self, tmp_path):
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "t.xml").write_bytes(ORDERS)
        return folder

    def change(self, project):
        (project / "t.xml").write_bytes(ORDERS.replace(b'id="2"', b'id="3"'))

    def same(self, one, other):
        return one.equals(other)


def read(tmp_path, content=ORDERS, **options):
    entry = {**ENTRY, **options}
    XmlSource().check(entry)
    (tmp_path / "t.xml").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_by(XmlSource(), entry, tmp_path)


def shop(*orders):
    return f"<shop>{''.join(f'<order>{order}</order>' for order in orders)}</shop>"


def test_columns_are_paths(tmp_path):
    """Attributes, texts, values around the record; what is empty is an empty text, what is not there is null."""
    frame = read(
        tmp_path, fields={"id": "@id", "city": "city", "in": "../@currency", "all": {"path": ".", "many": "first"}}
    )
    assert frame.rows() == [(1, "Roma", "EUR", "Roma1.52"), (2, "", "EUR", "")]


@pytest.mark.parametrize(
    ("many", "values"),
    [
        ({"many": "list"}, [["a", "b"], []]),
        ({"many": "first"}, ["a", None]),
        ({"many": "join"}, ["a, b", None]),
        ({"many": "join", "separator": "|"}, ["a|b", None]),
        ({"many": "count"}, [2, 0]),
    ],
    ids=str,
)
def test_several_values_become_what_is_declared(tmp_path, many, values):
    """A list, the first, one text, or how many."""
    assert read(tmp_path, fields={"x": {"path": "item/@sku", **many}})["x"].to_list() == values


def test_several_values_are_never_dropped_unasked(tmp_path):
    """Without a rule two values are refused, with their place and the rules there are."""
    with pytest.raises(SourceError, match=r"line 3, \(/shop/order\)\[1\]/item/@sku: there are 2 values") as caught:
        read(tmp_path, fields={"sku": "item/@sku"})
    assert 'many = "list"' in caught.value.do


def test_nested_elements_become_rows(tmp_path):
    """With ``rows`` each element in a record is a row; it may name what is around it, also what comes later."""
    fields = {
        "sku": "@sku",
        "price": ".",
        "order": "../@id",
        "city": "../city",
        "last": "../item[last()]",
        "in": "../../@currency",
    }
    frame = read(tmp_path, rows="item", fields=fields)
    assert frame.rows() == [("a", 1.5, 1, "Roma", 2, "EUR"), ("b", 2.0, 1, "Roma", 2, "EUR")]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("param[@name='os']/@value", ["linux", "bsd"]),
        ('param[@name="none"]/@value', []),
        ("param[@name='os'][@value]/@value", ["linux", "bsd"]),
        ("param[@value='bsd']/@name", ["os"]),
        ("param/b", ["x", "y"]),
        ("param[b='y']/@name", ["hw"]),
        ("param[2]/@value", ["bsd"]),
        ("param[last()]/b", ["x", "y"]),
        ("*/b[1]", ["x"]),
        (".//b", ["z", "x", "y"]),
        ("a//b", ["z"]),
        ("a", ["pz q"]),
    ],
)
def test_paths(tmp_path, path, values):
    """What a path means is what it means in XPath."""
    order = (
        '<param name="os" value="linux"/><param name="os" value="bsd"/><a>p<c><b>z</b></c><?pi?><!-- no --> q</a>'
        '<param name="hw"><b>x</b><b>y</b></param>'
    )
    fields = {"x": {"path": path, "many": "list", "optional": True}}
    assert read(tmp_path, shop(order), fields=fields)["x"].to_list() == [values]


def test_the_root_may_be_the_record(tmp_path, monkeypatch):
    """One file, one row: all of the file is there when it is read."""
    monkeypatch.setattr(xml_stream, "_PIECE_BYTES", 16)
    fields = {"in": "@currency", "sku": {"path": "order/item/@sku", "many": "list"}}
    assert read(tmp_path, records="/shop", fields=fields).rows() == [("EUR", ["a", "b"])]
    assert read(tmp_path, records="/shop", rows="order", fields={"id": "@id"})["id"].to_list() == [1, 2]


def test_names_in_any_script(tmp_path):
    """Elements and attributes may be called as XML lets them be."""
    content = '<shop><order größe="3" n="x"><città-1 é="a">Roma</città-1></order></shop>'
    fields = {"g": "@größe", "c": "città-1", "e": "città-1/@é", "k": "città-1[@é='a']", "x": "*[@é]/@é"}
    assert read(tmp_path, content, fields=fields).rows() == [(3, "Roma", "a", "Roma", "a")]


def test_namespaces_are_named_by_prefixes(tmp_path):
    """The prefixes of the catalog count, not those of the file; elements and attributes may have one."""
    content = '<f:feed xmlns:f="urn:a" xmlns:m="urn:m"><entry xmlns="urn:a" m:id="7"><title>T</title></entry></f:feed>'
    spaces = {"a": "urn:a", "x": "urn:m"}
    options = {
        "records": "/a:feed/a:entry",
        "namespaces": spaces,
        "fields": {"t": "a:title", "i": "@x:id", "d": ".//a:title"},
    }
    assert read(tmp_path, content, **options).rows() == [("T", 7, "T")]
    with pytest.raises(SourceError, match="There is no /feed/entry") as caught:
        read(tmp_path, content, records="/feed/entry", fields={"t": "title"})
    assert "/{urn:a}feed/{urn:a}entry" in caught.value.why


def test_types_are_found_from_all_records_or_declared(tmp_path):
    """Whole numbers, fractions and truths are told by all texts; needless zeros make a code; a declared type wins."""
    orders = "".join(f"<order><n>{n}</n><z>0{n}</z><t>true</t><e/></order>" for n in range(20_000))
    content = f"<shop>{orders}<order><n> 1e3 </n><z>1</z><t>false</t><e> </e><l>1</l><l>2</l></order></shop>"
    fields = {name: name for name in "nzte"} | {"l": {"path": "l", "many": "list"}}
    frame = read(tmp_path, content, fields=fields)
    assert frame.dtypes == [pl.Float64, pl.String, pl.Boolean, pl.String, pl.List(pl.Int64)]
    assert frame.row(-1) == (1000.0, "1", False, " ", [1, 2])
    assert read(tmp_path, content, fields={"z": "z"}, columns={"z": "int32"}).schema["z"] == pl.Int32


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("date", "2026-01-02", date(2026, 1, 2)),
        ("timestamp", "2026-01-02T03:04:05.5", datetime(2026, 1, 2, 3, 4, 5, 500_000)),
        ("timestamp", "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5)),
        ("timestamp", "2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5)),
        ("time", "03:04:05", time(3, 4, 5)),
        ("bool", "1", True),
        ("float32", " INF ", float("inf")),
        ("int8", "-007", -7),
        ("binary", "aGk=", b"hi"),
        ("string", " x ", " x "),
        ("category", "x", "x"),
        ("int8", "", None),
        ("string", "", ""),
    ],
)
def test_texts_of_each_type(tmp_path, kind, text, value):
    """Types are written as XML Schema does; blanks around a value do not count, but in a string."""
    assert read(tmp_path, shop(f"<v>{text}</v>"), fields={"v": "v"}, columns={"v": kind}).item() == value


@pytest.mark.parametrize(
    ("text", "options", "what"),
    [
        ("<v>x</v>", {"columns": {"v": "int64"}}, r"line 3, \(/shop/order\)\[2\]/v: 'x' is not int64"),
        ("<v>300</v>", {"columns": {"v": "int8"}}, r"\[2\]/v: '300' is not int8"),
        ("<v>2026-02-30</v>", {"columns": {"v": "date"}}, r"\[2\]/v: '2026-02-30' is not date"),
        ("<v>!</v>", {"columns": {"v": "binary"}}, r"\[2\]/v: '!' is not binary"),
    ],
)
def test_text_that_is_not_of_its_type(tmp_path, text, options, what):
    """It is told with line and XPath."""
    content = f"<shop>\n<order/>\n<order>{text}</order>\n</shop>"
    with pytest.raises(SourceError, match=what) as caught:
        read(tmp_path, content, fields={"v": "v"}, **options)
    assert "t.xml" in str(caught.value)
    assert caught.value.do


def test_a_bad_item_of_a_list_is_told(tmp_path):
    """The item itself, not the list."""
    with pytest.raises(SourceError, match=r"\[1\]/v: 'x' is not int64"):
        read(tmp_path, shop("<v>1</v><v>x</v>"), fields={"v": {"path": "v", "many": "list"}}, columns={"v": "int64"})


def test_a_path_that_leads_nowhere_is_refused_unless_it_may(tmp_path):
    """A misspelt path is no empty column."""
    with pytest.raises(SourceError, match=r"No /shop/order of .* has 'ctiy'") as caught:
        read(tmp_path, fields={"city": "ctiy"})
    assert "optional = true" in caught.value.do
    assert read(tmp_path, fields={"city": {"path": "ctiy", "optional": True}})["city"].to_list() == [None, None]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_compression_is_told_by_the_content(tmp_path, compress):
    """A compressed file reads like the plain one, and one that is cut off is told."""
    packed = compress(ORDERS)
    assert read(tmp_path, packed, fields={"id": "@id"})["id"].to_list() == [1, 2]
    with pytest.raises(SourceError, match=r"not a whole|behind|before"):
        read(tmp_path, packed[: len(packed) - 12], fields={"id": "@id"})


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "iso-8859-1", "shift_jis", "koi8-r"]
)
def test_encodings(tmp_path, encoding):
    """The encoding that a file declares, or shows by its first bytes, is the one it is read in."""
    word = {"shift_jis": "日本", "koi8-r": "мир"}.get(encoding, "né")
    declared = encoding.removesuffix("-sig").removesuffix("-le")
    content = f'<?xml version="1.0" encoding="{declared}"?>\n<shop><order>{word}</order></shop>'
    assert read(tmp_path, content.encode(encoding), fields={"x": "."})["x"].to_list() == [word]


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ("", "latin-1"),
        ("", "utf-16-le"),
        ("", "utf-8-sig"),
        ('<?xml version="1.0" encoding="UTF-8"?>', "latin-1"),
        ('<?xml version="1.0" encoding="UTF-8"?>', "cp1252"),
        ('<?xml version="1.0" encoding="UTF-16"?>', "utf-8"),
        ('<?xml version="1.0" encoding="klingon"?>', "shift_jis"),
    ],
)
def test_an_encoding_that_the_file_does_not_tell(tmp_path, head, encoding):
    """The one of the catalog counts, whatever the file declares or leaves out."""
    word = "日本" if encoding == "shift_jis" else "né"
    content = f"{head}\n<shop><order>{word}</order></shop>".lstrip().encode(encoding)
    assert read(tmp_path, content, fields={"x": "."}, encoding=encoding)["x"].to_list() == [word]


def test_a_text_that_is_not_of_the_encoding_in_the_catalog(tmp_path):
    """It is told with its line, and that the catalog may be wrong."""
    with pytest.raises(SourceError, match=r"line 3, before any /shop/order: it is not ascii text") as caught:
        read(tmp_path, "<shop>\n<order/>\n<order>né</order></shop>", fields={"x": "."}, encoding="ascii")
    assert "'encoding'" in caught.value.do


def test_a_query_is_read_only_as_far_as_needed(tmp_path, monkeypatch):
    """Columns, rows and conditions that a step asks for are the same as of the whole table."""
    monkeypatch.setattr(xml_table, "BATCH_ROWS", 7)
    (tmp_path / "t.xml").write_text(
        "<shop>" + "".join(f'<order id="{n}"><c>{n % 3}</c></order>' for n in range(100)) + "</shop>"
    )
    entry = {**ENTRY, "fields": {"id": "@id", "c": "c"}, "columns": {"id": "int64", "c": "int64"}}
    query = XmlSource().read(entry, tmp_path, Collected(entry=entry))
    whole = query.collect()
    assert whole.height == 100
    assert query.head(20).collect().equals(whole.head(20))
    assert query.select("c").collect().equals(whole.select("c"))
    assert query.filter(pl.col("c") == 1).select("id").collect().equals(whole.filter(pl.col("c") == 1).select("id"))
    assert query.filter(pl.col("c") == 1).head(5).collect().equals(whole.filter(pl.col("c") == 1).head(5))


LAUGHS = (
    '<!DOCTYPE shop [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    + "]><shop>{}</shop>"
)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (LAUGHS.format("<order>&a9;</order>"), "entit"),
        (LAUGHS.format('<order id="&a9;"/>'), "entit"),
        (LAUGHS.format("").replace("<shop>", '<shop id="&a9;">'), "entit"),
        (LAUGHS.format("&q;" * 50_000).replace("[", f'[<!ENTITY q "{"x" * 50_000}">'), "entit"),
        ('<!DOCTYPE shop [<!ENTITY x SYSTEM "file:///etc/fstab">]><shop><order>&x;</order></shop>', "the entity 'x'"),
        ('<!DOCTYPE shop [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]><shop><order/></shop>', "the entity 'x'"),
        ('<!DOCTYPE shop [<!ENTITY % a "<!ENTITY b \'x\'>"> %a;]><shop><order>&b;</order></shop>', "the entity 'a'"),
        ('<!DOCTYPE shop SYSTEM "http://127.0.0.1:9/x.dtd"><shop><order>&nbsp;</order></shop>', "not defined"),
        ('<!DOCTYPE shop SYSTEM "http://127.0.0.1:9/x.dtd"><shop><order id="&nbsp;"/></shop>', "not defined"),
        ("<shop><order>&nbsp;</order></shop>", "not defined"),
        ("<shop><order>" + "<a>" * 100_000, "too deep"),
        (f"<shop><order>{'x' * 10_500_000}</order></shop>", "too large"),
    ],
    ids=["laughs", "in-attribute", "in-root", "quadratic", "file", "parameter", "nested", "dtd", "dtd-attribute",
         "undefined", "deep", "text"],
)  # fmt: skip
def test_attacks_are_refused(tmp_path, content, what):
    """Entities are neither expanded nor fetched; depth and size have an end."""
    with pytest.raises(SourceError, match=what) as caught:
        read(tmp_path, content, fields={"id": {"path": ".", "optional": True}})
    assert caught.value.do


def test_a_document_type_without_entities_is_harmless(tmp_path):
    """What many programs write in the first lines is no reason to refuse a file."""
    content = '<!DOCTYPE shop [<!ELEMENT shop ANY>]><?xml-stylesheet href="x"?><shop><order>a</order></shop>'
    assert read(tmp_path, content, fields={"x": "."})["x"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "before any /shop/order: it is not XML"),
        (b"id,city\n1,Roma\n", "line 1, before any /shop/order: it is not XML"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "it is not"),
        (ORDERS[:-30], r"line 4, at or behind \(/shop/order\)\[1\]: it ends before its elements do"),
        (ORDERS.replace(b"Roma", b"R\xf2ma"), "line 3, at or behind .*1.: it is not in the encoding"),
        (ORDERS.replace(b"1.0", b'1.0" encoding="klingon'), "its encoding is not known"),
        (
            ORDERS.replace(b"<city/>", b"<city>"),
            r"line 4, at or behind \(/shop/order\)\[2\]: it is not well-formed XML",
        ),
        (ORDERS + b"<shop/>", "behind the end of the root"),
        (ORDERS.replace(b'id="2"', b'id="2" id="3"'), "not well-formed"),
        (ORDERS.replace(b"<city/>", b"<x:city/>"), "not well-formed"),
        (ORDERS.decode().encode("utf-16")[:-3], "it is not in the encoding|ends before"),
        (ORDERS.replace(b"shop", b"store"), "There is no /shop/order"),
        (b"<shop/>", "There is no /shop/order"),
    ],
)
def test_broken_file_is_told_with_its_place(tmp_path, content, what):
    """What is wrong, and where, is one clear error; half a table is never returned."""
    with pytest.raises(SourceError, match=what) as caught:
        read(tmp_path, content, fields={"id": "@id"})
    assert "t.xml" in str(caught.value)
    assert caught.value.why
    assert caught.value.do


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"records": None}, "needs the option 'records'"),
        ({"fields": None}, "needs the option 'fields'"),
        ({"records": "order"}, "lead from the root"),
        ({"records": "//order"}, "lead from the root"),
        ({"records": "/shop/order[1]"}, "not the name of an element"),
        ({"records": "/s:shop/order"}, "prefix 's' is not in 'namespaces'"),
        ({"rows": "/shop"}, "from a record"),
        ({"fields": {}}, "needs a table of columns and paths"),
        ({"fields": {"a": 3}}, "'a' which needs a path"),
        ({"fields": {"a": {"path": "x", "manny": "list"}}}, "has the key 'manny'; known are: path, many"),
        ({"fields": {"a": {"path": "x", "many": "all"}}}, "known are: refuse, first, join, count, list"),
        ({"fields": {"a": {"path": "x", "separator": ","}}}, "separator"),
        ({"fields": {"a": {"path": "x", "optional": "yes"}}}, "optional"),
        ({"fields": {"a": "/shop/@x"}}, "the name of an element or @attribute is needed"),
        ({"fields": {"a": "x/text()"}}, "means nothing there"),
        ({"fields": {"a": "x[position()=1]"}}, "means nothing there"),
        ({"fields": {"a": "x/.."}}, "the name of an element or @attribute is needed"),
        ({"fields": {"a": ""}}, "the name of an element or @attribute is needed"),
        ({"fields": {"a": "@n:x"}}, "prefix 'n' is not in"),
        ({"fields": {"a": "../../@x"}}, "leads above the root"),
        ({"fields": {"a": "../name"}}, "leads out of the record"),
        ({"fields": {"a": ".."}}, "leads out of the record"),
        ({"namespaces": {"a": 1}}, "needs a table of prefixes"),
        ({"encoding": "klingon"}, "needs the name of an encoding"),
        ({"encoding": "hex"}, "needs the name of an encoding"),
        ({"columns": {"b": "int8"}}, "columns of 'fields', which are: id"),
        ({"columns": {"id": "duration"}}, "cannot be read as duration"),
        ({"columns": {"id": "integer"}}, "unknown type 'integer'"),
        ({"fields": {"n": {"path": "x", "many": "count"}}, "columns": {"n": "int8"}}, "A count has the type int64"),
        ({"fields": {"n": {"path": "x", "many": "join"}}, "columns": {"n": "int8"}}, "Joined texts"),
    ],
)
def test_wrong_option_is_refused(options, what):
    """A wrong value is told with what the option needs, before any file is opened."""
    entry = {**ENTRY, "fields": {"id": "@id"}, **options}
    with pytest.raises(ProjectError, match=what) as caught:
        XmlSource().check({name: value for name, value in entry.items() if value is not None})
    assert caught.value.do


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=6)
TAGS = st.sampled_from("abc")
ELEMENTS = st.recursive(
    st.tuples(TAGS, st.dictionaries(TAGS, TEXT, max_size=2), TEXT, st.just([])),
    lambda children: st.tuples(TAGS, st.dictionaries(TAGS, TEXT, max_size=2), TEXT, st.lists(children, max_size=4)),
    max_leaves=12,
)


def element(made):
    tag, attributes, text, children = made
    found = ET.Element(tag, attributes)
    found.text = text
    found.extend(element(child) for child in children)
    return found


@given(
    roots=st.lists(st.lists(ELEMENTS, max_size=4), min_size=1, max_size=3),
    path=st.sampled_from(
        ["a", "a/b", "a/@b", "@a", "a[@b='x']", "b[@a]/c", "*/a", ".//b", ".//c/@a", "a[1]", "a[last()]/b"]
    ),
    piece=st.integers(1, 40),
    batch=st.integers(1, 3),
)
def test_equals_a_naive_reading_of_the_whole_document(tmp_path_factory, roots, path, piece, batch):
    """In whatever pieces a file comes, the table is the one that a tree of the whole document gives."""
    root = ET.Element("shop")
    for made in roots:
        group = ET.SubElement(root, "group")
        group.extend(element(("order", {}, "t", [child])) if n % 2 else element(child) for n, child in enumerate(made))
    expected = [_naively(order, path) for order in root.findall("group/order")]
    folder = tmp_path_factory.mktemp("xml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xml_stream, "_PIECE_BYTES", piece)
        patch.setattr(xml_table, "BATCH_ROWS", batch)
        fields = {"x": {"path": path, "many": "list", "optional": True}}
        options = {"records": "/shop/group/order", "fields": fields, "columns": {"x": "string"}}
        try:
            found = read(folder, ET.tostring(root), **options)["x"].to_list()
        except SourceError as error:
            assert (expected, "There is no" in error.what) == ([], True)
        else:
            assert found == expected


def _naively(order, path):
    path, _, attribute = path.rpartition("@") if "@" in path and "]" not in path else (path, "", "")
    found = order.findall(path.rstrip("/")) if path else [order]
    if attribute:
        return [one.get(attribute) for one in found if attribute in one.attrib]
    return ["".join(one.itertext()) for one in found]


@given(content=st.binary(max_size=80) | st.text('<>/shoporder a="1&;!-?[]', max_size=60).map(str.encode))
def test_any_bytes_are_a_table_or_a_clear_error(tmp_path_factory, content):
    """Whatever the file holds, nothing but a table or a SourceError comes out."""
    try:
        frame = read(tmp_path_factory.mktemp("xml"), content, records="/*/*", fields={"x": "."})
    except SourceError as error:
        assert error.do
    else:
        assert frame.height > 0


@given(cut=st.integers(0, len(ORDERS) - 9))
def test_a_truncated_file_is_never_a_table(tmp_path_factory, cut):
    """However far the file came, it is refused."""
    with pytest.raises(SourceError, match=r"t\.xml"):
        read(tmp_path_factory.mktemp("xml"), ORDERS[:cut], fields={"id": "@id"})


def test_many_files_are_one_table(tmp_path):
    """In the order of their names, with the columns that folders are called by; an error names its file."""
    files = {"day=2026-01-02/b.xml": "<shop><order>2</order></shop>", "day=2026-01-01/a.xml.gz": shop("1", "3")}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir()
        packed = gzip.compress(content.encode()) if name.endswith("gz") else content.encode()
        (tmp_path / name).write_bytes(packed)
    entry = {**ENTRY, "path": "*/*.xml*", "fields": {"n": "."}}
    rows = [(1, date(2026, 1, 1)), (3, date(2026, 1, 1)), (2, date(2026, 1, 2))]
    assert read_by(XmlSource(), entry, tmp_path).rows() == rows
    (tmp_path / "day=2026-01-02/b.xml").write_text("<shop><order>2</order>")
    with pytest.raises(SourceError, match=r"day=2026-01-02/b\.xml: line 1, at or behind \(/shop/order\)\[1\]: it ends"):
        read_by(XmlSource(), entry, tmp_path)


def test_without_lxml_it_says_what_is_missing(tmp_path, monkeypatch):
    """The extra to install, not a traceback."""
    monkeypatch.setitem(sys.modules, "lxml", None)
    for name in [name for name in sys.modules if name.startswith("filiera.adapters.sources.xml_")]:
        monkeypatch.delitem(sys.modules, name)
    for action in (lambda: read(tmp_path, fields={"id": "@id"}), lambda: XmlSource().look(tmp_path / "t.xml")):
        with pytest.raises(SourceError, match="needs lxml") as caught:
            action()
        assert "filiera[xml]" in caught.value.do


def test_zstd_files(tmp_path):
    """As for other tables."""
    zstandard = pytest.importorskip("zstandard")
    assert read(tmp_path, zstandard.compress(ORDERS), fields={"id": "@id"})["id"].to_list() == [1, 2]


def test_memory_does_not_grow_with_the_records(tmp_path):
    """After each piece the tree holds what that piece left unfinished, and nothing of what was read before."""
    records = b"".join(b"<junk><a/><b>t</b></junk><order id='%d'><c>x</c></order>\n" % n for n in range(20_000))
    stream = xml_stream.RecordStream([b"<shop>" + records + b"</shop>"], ("shop", "order"), shown="t")
    most = 0
    for number, record in enumerate(record for records in stream for record in records):
        assert record.get("id") == str(number)
        if number % 500 == 0:
            most = max(most, sum(1 for _ in record.getroottree().iter()))
    assert (stream.count, most < 8000) == (20_000, True)
