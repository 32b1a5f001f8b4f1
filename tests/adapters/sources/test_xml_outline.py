"""What is in an XML file is found without any rules, in one pass."""

import tomllib
import xml.etree.ElementTree as ET
from collections import Counter

import pytest
from hypothesis import given

from filiera.adapters.sources.xml_file import XmlSource
from filiera.core.markup import suggested_entry
from filiera.errors import SourceError
from filiera.testing.source import read
from tests.adapters.sources.test_xml_file import ELEMENTS, LAUGHS, element


def look(folder, content):
    (folder / "t.xml").write_bytes(content if isinstance(content, bytes) else content.encode())
    return XmlSource().look(folder / "t.xml")


def test_paths_are_counted_in_their_order(tmp_path):
    """How often, how many at most in one element, and the first different values."""
    content = '<s><o id="1"><i>x</i><i> y </i><i>x</i></o><!-- c --><o id="2"><i/></o>\n</s>'
    markup = look(tmp_path, content)
    assert [(found.path, found.count, found.most, found.examples) for found in markup.paths] == [
        ("/s", 1, 1, ()),
        ("/s/o", 2, 2, ()),
        ("/s/o/@id", 2, 1, ("1", "2")),
        ("/s/o/i", 4, 3, ("x", "y")),
    ]
    assert (markup.is_whole, markup.size_bytes) == (True, len(content))


def test_namespaces_have_one_prefix_each(tmp_path):
    """That of the file, or one made up; never two namespaces under one prefix."""
    markup = look(
        tmp_path, '<a xmlns="urn:1" xmlns:p="urn:2"><p:b p:c="1"/><b xmlns="urn:3"/><p:d xmlns:p="urn:4"/></a>'
    )
    assert [found.path for found in markup.paths] == ["/n:a", "/n:a/p:b", "/n:a/p:b/@p:c", "/n:a/n2:b", "/n:a/p2:d"]
    assert markup.namespaces == {"n": "urn:1", "p": "urn:2", "n2": "urn:3", "p2": "urn:4"}


@pytest.mark.parametrize(("content", "what"), [("a,b\n1,2\n", "not XML"), ("<a><b>", "ends before"), (LAUGHS, "entit")])
def test_what_is_not_sound_is_refused(tmp_path, content, what):
    """As when it is read."""
    with pytest.raises(SourceError, match=what):
        look(tmp_path, content)


@given(made=ELEMENTS)
def test_the_suggested_entry_reads_the_file(tmp_path_factory, made):
    """Whatever the file, what is suggested is a correct entry, and counts are those of the whole tree."""
    root = element(made)
    folder = tmp_path_factory.mktemp("xml")
    markup = look(folder, ET.tostring(root))
    counts = Counter(found.tag for found in root.iter())
    assert (
        Counter(dict.fromkeys(counts, 0))
        + Counter(tag for found in markup.paths if "@" not in found.path for tag in [found.path[-1]] * found.count)
        == counts
    )
    text = suggested_entry(markup, name="x", path="t.xml")
    entry = tomllib.loads(text)["catalog"]["x"]
    if entry["fields"]:
        XmlSource().check(entry)
        assert read(XmlSource(), entry, folder).height >= 1
