"""What can be wrong with XML files of any kind, and what makes no difference."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lxml import etree

from tests.faults.sources.world import Caught, Change, Place, Spoil, by_source

Tree = Any
FOLDER = "data"


def files(place: Place) -> list[Path]:
    """Return the XML files of the project."""
    return sorted((place / FOLDER).iterdir())


def some(place: Place, dice: random.Random) -> Path:
    """Return one of the files."""
    return dice.choice(files(place))


def read(path: Path) -> Tree:
    """Return a file as a tree."""
    return etree.parse(path, etree.XMLParser(resolve_entities=False))


def save(path: Path, tree: Tree, **options: Any) -> None:
    """Write a tree to the file it came from."""
    path.write_bytes(etree.tostring(tree, **{"encoding": "UTF-8", "xml_declaration": True, **options}))


def _told(path: Path, *words: str) -> Caught:
    return by_source(path.name, *words)


def _in_text(change: Callable[[str, random.Random], str], *words: str) -> Spoil:
    """Return a fault in the text of one file."""

    def spoil(place: Place, dice: random.Random) -> Caught:
        path = some(place, dice)
        path.write_text(change(path.read_text("utf-8"), dice), encoding="utf-8")
        return _told(path, *words)

    return spoil


def _in_bytes(change: Callable[[bytes, random.Random], bytes], *words: str) -> Spoil:
    def spoil(place: Place, dice: random.Random) -> Caught:
        path = some(place, dice)
        path.write_bytes(change(path.read_bytes(), dice))
        return _told(path, *words)

    return spoil


def _at_a_tag(text: str, dice: random.Random, new: Callable[[str], str], mark: str = "</") -> str:
    """Return the text with something else in place of one closing tag."""
    places = [at for at in range(len(text)) if text.startswith(mark, at)]
    at = dice.choice(places)
    end = text.index(">", at) + 1
    return text[:at] + new(text[at:end]) + text[end:]


def _root_start(text: str) -> int:
    """Return where the root's tag begins."""
    at = 0
    while text.startswith(("<?", "<!"), at := text.index("<", at)):
        at = text.index("-->" if text.startswith("<!--", at) else ">", at) + 1
    return at


def _with_type(text: str, declarations: str, inside: str) -> str:
    """Return the text with a document type, and something right after the root's tag."""
    text = re.sub(r"<!DOCTYPE [^\[>]*>", "", text)
    start = _root_start(text)
    root = text[start + 1 :].split(maxsplit=1)[0].rstrip(">")
    after = text.index(">", start) + 1
    return f"{text[:start]}<!DOCTYPE {root} {declarations}>{text[start:after]}{inside}{text[after:]}"


def _laughs(text: str, dice: random.Random) -> str:
    depth = dice.randint(6, 40)
    more = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, depth))
    return _with_type(text, f'[<!ENTITY a0 "ha">{more}]', f"<note>&a{depth - 1};</note>")


def _quadratic(text: str, dice: random.Random) -> str:
    entity = f'[<!ENTITY q "{"x" * dice.randint(10_000, 60_000)}">]'
    return _with_type(text, entity, f"<note>{'&q;' * dice.randint(10_000, 60_000)}</note>")


def _external(text: str, dice: random.Random) -> str:
    where = dice.choice(["file:///etc/hostname", "http://127.0.0.1:9/x", "file:///dev/zero", "php://filter", "../x"])
    way = dice.choice([f'[<!ENTITY x SYSTEM "{where}">]', f'[<!ENTITY x PUBLIC "-//x" "{where}">]'])
    return _with_type(text, way, "<note>&x;</note>")


def _external_parameter(text: str, dice: random.Random) -> str:
    where = dice.choice(["file:///etc/hostname", "http://127.0.0.1:9/x.dtd"])
    return _with_type(text, f'[<!ENTITY % x SYSTEM "{where}"> %x;]', "")


def _too_deep(text: str, dice: random.Random) -> str:
    start = _root_start(text)
    after = text.index(">", start) + 1
    depth = dice.choice([1_000, 20_000, 100_000])
    return text[:after] + "<a>" * depth + "</a>" * depth + text[after:]


def _too_large(text: str, dice: random.Random) -> str:
    start = _root_start(text)
    after = text.index(">", start) + 1
    huge = "x" * 11_000_000
    return text[:after] + dice.choice([f"<note>{huge}</note>", f'<note a="{huge}"/>', f"<!--{huge}-->"]) + text[after:]


def _no_xml(content: bytes, dice: random.Random) -> bytes:
    return dice.choice(
        [
            b"",
            b"\n",
            b"a,b\n1,2\n",
            b'{"a": 1}\n',
            b"<html><p>Not found<br></html>",
            b"\x89PNG\r\n\x1a\n" + content,
            dice.randbytes(900),
        ]
    )


def _empty_of_all(place: Place, dice: random.Random) -> Caught:
    for path in files(place):
        tree = read(path)
        root = tree.getroot()
        if dice.random() < 0.5:
            root.tag = "other"
        else:
            for child in list(root):
                root.remove(child)
        save(path, tree)
    return by_source(FOLDER, "no /")


def _gone(place: Place, dice: random.Random) -> Caught:
    for path in files(place):
        path.unlink()
    if dice.random() < 0.5:
        (place / FOLDER).rmdir()
    return by_source(FOLDER)


def _broken_link(place: Place, dice: random.Random) -> Caught:
    path = some(place, dice)
    path.unlink()
    path.symlink_to(dice.choice(["nowhere.xml", path.name, "/dev/zero"]))
    return _told(path)


PACK: Mapping[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def _packed_and_cut(content: bytes, dice: random.Random) -> bytes:
    packed = PACK[dice.choice(list(PACK))](content)
    return packed[: dice.randrange(20, len(packed))]


def _packed_and_damaged(content: bytes, dice: random.Random) -> bytes:
    packed = bytearray(PACK[dice.choice(list(PACK))](content))
    packed[dice.randrange(20, len(packed) - 20)] ^= 1 << dice.randrange(8)
    return bytes(packed)


def _packed_bomb(content: bytes, dice: random.Random) -> bytes:
    """Return 50 MB in one text of a root that never ends, packed."""
    return PACK[dice.choice(list(PACK))](b"<a>" + b"x" * 50_000_000)


def _cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(60, len(content.rstrip()) - 1)]


FAULTS: Mapping[str, Spoil] = {
    "cut off": _in_bytes(_cut),
    "billion laughs": _in_text(_laughs, "entit"),
    "quadratic blow-up": _in_text(_quadratic, "entit"),
    "external entity": _in_text(_external, "entit"),
    "external parameter entity": _in_text(_external_parameter, "entit"),
    "unknown entity": _in_text(lambda text, dice: _at_a_tag(text, dice, lambda tag: f"&nbsp;{tag}"), "line "),
    "too deep": _in_text(_too_deep, "too deep"),
    "too large a piece": _in_text(_too_large, "too "),
    "wrong closing tag": _in_text(lambda text, dice: _at_a_tag(text, dice, lambda tag: "</wrong>"), "line "),
    "closing tag lost": _in_text(lambda text, dice: _at_a_tag(text, dice, lambda tag: ""), "line "),
    "bare ampersand": _in_text(lambda text, dice: _at_a_tag(text, dice, lambda tag: f" a & b {tag}"), "line "),
    "character that XML has not": _in_text(lambda text, dice: _at_a_tag(text, dice, lambda tag: f"\x01{tag}"), "line "),
    "bytes of another encoding": _in_bytes(
        lambda content, dice: _at_a_tag(content.decode("latin-1"), dice, lambda tag: f"caf\xe9{tag}").encode("latin-1"),
        "line ",
    ),
    "unknown encoding": _in_bytes(
        lambda content, dice: b'<?xml version="1.0" encoding="klingon"?>' + content[content.index(b"?>") + 2 :]
    ),
    "second root": _in_text(lambda text, dice: text + dice.choice(["<more/>", "junk", "<?xml version='1.0'?><a/>"])),
    "no XML": _in_bytes(_no_xml),
    "no record in any file": _empty_of_all,
    "files gone": _gone,
    "link to nothing, a device": _broken_link,
    "compressed and cut off": _in_bytes(_packed_and_cut),
    "compressed and damaged": _in_bytes(_packed_and_damaged),
    "bomb of compressed text": _in_bytes(_packed_bomb, "too large"),
}


def _each(change: Callable[[Path, Tree, random.Random], None]) -> Change:
    def changed(place: Place, dice: random.Random) -> None:
        for path in files(place):
            change(path, read(path), dice)

    return changed


def _elements(tree: Tree) -> Iterator[Any]:
    return tree.getroot().iter(etree.Element)


def _indented(path: Path, tree: Tree, dice: random.Random) -> None:
    etree.indent(tree, space=dice.choice(["", " ", "\t", "      "]))
    save(path, tree)


def _attributes_reordered(path: Path, tree: Tree, dice: random.Random) -> None:
    for element in _elements(tree):
        pairs = dice.sample(list(element.attrib.items()), len(element.attrib))
        element.attrib.clear()
        for name, value in pairs:
            element.set(name, value)
    save(path, tree)


def _encoded(path: Path, tree: Tree, dice: random.Random) -> None:
    save(path, tree, encoding=dice.choice(["UTF-16", "ISO-8859-1", "US-ASCII", "UTF-8", "windows-1252"]))


def _remarks(path: Path, tree: Tree, dice: random.Random) -> None:
    for element in list(_elements(tree)):
        if len(element) and dice.random() < 0.2:
            odd = [etree.Comment(" <port> & co "), etree.ProcessingInstruction("see", 'this="that"')]
            element.insert(dice.randint(0, len(element)), dice.choice(odd))
    save(path, tree)


def _cdata(path: Path, tree: Tree, dice: random.Random) -> None:
    for element in _elements(tree):
        if not len(element) and (element.text or "").strip() and "]]>" not in element.text and dice.random() < 0.5:
            element.text = etree.CDATA(element.text)
    save(path, tree)


def _packed(path: Path, tree: Tree, dice: random.Random) -> None:
    path.write_bytes(PACK[dice.choice(list(PACK))](path.read_bytes()))


def _document_type(path: Path, tree: Tree, dice: random.Random) -> None:
    path.write_text(
        _with_type(path.read_text("utf-8"), dice.choice(["", 'SYSTEM "own.dtd"', "[<!ELEMENT a ANY>]"]), ""), "utf-8"
    )


def _byte_order_mark(path: Path, tree: Tree, dice: random.Random) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def _line_ends(path: Path, tree: Tree, dice: random.Random) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def _more(path: Path, tree: Tree, dice: random.Random) -> None:
    """Add elements and attributes that nobody asks for."""
    for element in list(_elements(tree)):
        if len(element) and dice.random() < 0.3:
            etree.SubElement(element, "unasked", more="1").text = "text"
            element.set("unasked", "x")
    save(path, tree)


HARMLESS: Mapping[str, Change] = {
    "indented otherwise": _each(_indented),
    "attributes reordered": _each(_attributes_reordered),
    "another encoding, declared": _each(_encoded),
    "comments and instructions": _each(_remarks),
    "texts as CDATA": _each(_cdata),
    "compressed": _each(_packed),
    "document type without entities": _each(_document_type),
    "byte order mark": _each(_byte_order_mark),
    "other line ends": _each(_line_ends),
    "elements nobody asks for": _each(_more),
}
