"""The records of an XML file, one after the other, in memory that does not grow with their number.

libxml2 builds the tree in pieces, without calling back, which is most of the speed; after each piece the records that
are whole are handed out and everything that is over is taken off the tree. No file is believed: what is declared as an
entity, nested without end or written to exhaust memory is refused.
"""

from __future__ import annotations

import codecs
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from lxml import etree

from filiera.adapters.sources.xml_paths import ANY, Place
from filiera.errors import SourceError

Element = Any
"""An ``lxml.etree._Element``."""

_PIECE_BYTES = 1 << 16
_HEAD_BYTES = 512
"""Bytes at a time until the root has begun: what a hostile head makes of what follows it stays small."""

_GIVEN = 3
"""So many lists of records are kept, until whoever reads ``ahead`` is done with them: what this thread's parser made is
freed by this thread."""

_OUTLINED = 8
_MARK = b"<?filiera?>"
"""Put before the root: the one node that the parser tells us of, from which the tree can be reached."""

_WIDE = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"), (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))  # fmt: skip

_UNDEFINED_ENTITY: Final = 27
"""Of this libxml2 only warns where a file names a DTD, and leaves the entity out."""

_ERROR: Final = etree.ErrorLevels.ERROR
_TROUBLE = {
    4: ("it is not XML", "Correct path in the catalog."),
    5: ("there is something behind the end of the root element", "Keep one root element per file."),
    26: ("it uses an entity that is not defined", "Write the character itself, or its number, as in &#160;."),
    27: ("it uses an entity that is not defined", "Write the character itself, or its number, as in &#160;."),
    31: ("its encoding is not known", "Correct the encoding in the first line, or convert the file to UTF-8."),
    32: ("its encoding is not known", "Correct the encoding in the first line, or convert the file to UTF-8."),
    77: ("it ends before its elements do", "Copy or download it again; it was probably cut off."),
    81: ("it is not in the encoding that it declares", "Correct the encoding in the first line, or convert the file."),
    89: ("its entities are built to exhaust memory", "Do not read files from whoever made it."),
    114: ("it is nested too deep or too large in one place", "An element may be 256 deep and hold 10 MB of text."),
}
_CUT_OFF: Final = 77
_BAD_ENCODING: Final = 81
_ENTITY_LOOP: Final = 89
_NOT_WELL_FORMED = ("it is not well-formed XML", "Correct the file, or whatever writes it.")


def below(parent: Element, names: Place, *, is_open: bool = False) -> Iterator[Element]:
    """Yield the elements at *names* below *parent*, in order; of an open one without the last, perhaps unfinished."""
    last = parent[-1] if is_open and len(parent) else None
    for child in parent.iterchildren(names[0]):
        is_last = child is last
        if len(names) > 1:
            yield from below(child, names[1:], is_open=is_last)
        elif not is_last:
            yield child


def outline(pieces: Iterable[bytes]) -> list[str]:
    """Return the paths of the first elements of a file, each once; what is not XML has none."""
    found: dict[str, None] = {}
    with suppress(SourceError):
        for _, event, element in events(pieces, shown=""):
            if event == "start":
                above = (outer.tag for outer in reversed(list(element.iterancestors())))
                found["/".join(("", *above, element.tag))] = None
            if len(found) == _OUTLINED:
                break
    return list(found)


def events(pieces: Iterable[bytes], *, shown: str) -> Iterator[tuple[int, str, Element]]:
    """Yield "start" and "end" of each element of a file, with the bytes fed so far; an element is gone after its end.

    Raises:
        SourceError: It cannot be read, is not XML, or is built to do harm.
    """
    parse = _Parse(pieces, shown, ("start", "end"))
    for size in parse.pieces():
        for event, element in parse.parser.read_events():
            parse.begin(element)
            yield size, event, element
            if event == "end":
                parent = element.getparent()
                element.clear(keep_tail=True)
                if parent is not None:
                    parent.remove(element)


class RecordStream:
    """Reads the bytes of one file, once, and counts the records that it has handed out. Errors call it *shown*.

    With an *encoding* the file is read in that, whatever it declares. Records are taken out of the tree that is being
    built, into one of their own, so that another thread may read them while this one goes on.
    """

    def __init__(self, pieces: Iterable[bytes], place: Place, *, shown: str, encoding: str = "") -> None:
        self.count = 0
        self._parse = _Parse(pieces, shown, ("pi",), self._where)
        self._encoding = encoding
        self._place = place
        self._mark: Element = None
        self._given: deque[list[Element]] = deque(maxlen=_GIVEN)

    def __iter__(self) -> Iterator[list[Element]]:
        """Yield the records that became whole with a piece, with the attributes around them. Raises SourceError."""
        for _ in self._parse.pieces(_MARK, self._encoding):
            root = self._root()
            if root is not None:
                self._parse.begin(root)
                yield from self._some(root, is_open=True)
                if len(self._place) > 1:  # else the root itself is the record
                    _forget(root, self._place[1:])
        yield from self._some(self._root(), is_open=False)

    def _root(self) -> Element:
        for _, node in self._parse.parser.read_events():
            self._mark = node if self._mark is None else self._mark
        return None if self._mark is None else self._mark.getroottree().getroot()

    def _some(self, root: Element, *, is_open: bool) -> Iterator[list[Element]]:
        records = list(self._present(root, is_open=is_open))
        self.count += len(records)
        for parent, some in itertools.groupby(records, key=_parent):
            found = list(some)
            if parent is not None:
                _like(parent).extend(found)
            self._given.append(found)
            yield found

    def _present(self, root: Element, *, is_open: bool) -> Iterator[Element]:
        if root is None or not _fits(root, self._place[0]):
            return iter(())
        if len(self._place) > 1:
            return below(root, self._place[1:], is_open=is_open)
        return iter(() if is_open else (root,))

    def _where(self) -> str:
        path = "/" + "/".join(self._place)
        begun = self.count + sum(1 for _ in self._present(self._root(), is_open=False))
        return f"at or behind ({path})[{begun}]" if begun else f"before any {path}"


class _Parse:
    """Feeds one file to a parser, piece by piece, and refuses what is not sound."""

    def __init__(
        self, pieces: Iterable[bytes], shown: str, told: Sequence[str], where: Callable[[], str] = lambda: ""
    ) -> None:
        self._pieces = pieces
        self._shown = shown
        self._told = told
        self._where = where
        self._piece_bytes = _HEAD_BYTES
        self.parser: Any = None

    def pieces(self, mark: bytes = b"", encoding: str = "") -> Iterator[int]:
        """Feed the file, with *mark* before its root, and yield after each piece how many bytes that were so far."""
        pieces, known = self._as_known(self._read(), encoding)
        self.parser = etree.XMLPullParser(
            events=self._told,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            encoding=known,
        )
        size = 0
        for piece in _marked(pieces, mark):
            size += len(piece)
            self._attempt(partial(self.parser.feed, piece))
            yield size
        self._attempt(self.parser.close, otherwise=_CUT_OFF)
        yield size

    def begin(self, root: Element) -> None:
        """Look at what is declared before the root, once, and go on with larger pieces."""
        if self._piece_bytes == _PIECE_BYTES:
            return
        self._piece_bytes = _PIECE_BYTES
        dtd = root.getroottree().docinfo.internalDTD
        names = [entity.name for entity in dtd.iterentities()] if dtd is not None else []
        if names:
            raise SourceError(
                f"Cannot read {self._shown}: it declares the entity {names[0]!r}.",
                why="With entities a file can read other files, or grow to any size when it is read; none is expanded.",
                do="Write the text itself instead, and remove the declarations from <!DOCTYPE … [ … ]>.",
            )

    def _read(self) -> Iterator[bytes]:
        for piece in self._pieces:
            start = 0
            while start < len(piece):
                end = start + self._piece_bytes
                yield piece[start:end]
                start = end

    def _as_known(self, pieces: Iterator[bytes], encoding: str) -> tuple[Iterator[bytes], str | None]:
        """Return the bytes in an encoding into which a mark can be put, and its name if it is not the one declared."""
        first = next(pieces, b"")
        pieces = itertools.chain((first,), pieces)
        wide = next((name for start, name in _WIDE if first.startswith(start)), None)
        if encoding:
            do = "Correct 'encoding' in the catalog, or the file."
            return self._as_utf8(pieces, encoding, what=f"it is not {encoding} text", do=do), "utf-8"
        what, do = _TROUBLE[_BAD_ENCODING]
        return (self._as_utf8(pieces, wide, what=what, do=do), "utf-8") if wide else (pieces, None)

    def _as_utf8(self, pieces: Iterator[bytes], encoding: str, *, what: str, do: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(encoding)()
        line = 1
        try:
            for piece in itertools.chain(pieces, (b"",)):
                text = decoder.decode(piece, final=not piece)
                if text:
                    yield text.encode()
                line += text.count("\n")
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                line += error.object[: error.start].decode(encoding, "replace").count("\n")
            raise self._trouble((what, do), why=str(error), line=line) from error

    def _attempt(self, action: Callable[[], Any], *, otherwise: int = 0) -> None:
        """Let the parser do something; what it logs counts, which is more than it raises."""
        error = None
        try:
            action()
        except etree.XMLSyntaxError as caught:
            error = caught
        log = self.parser.feed_error_log
        found = next((one for one in log if one.level >= _ERROR or one.type == _UNDEFINED_ENTITY), None)
        if found is not None:
            code = found.type if found.type in _TROUBLE else otherwise
            code = _ENTITY_LOOP if "amplification" in found.message else code
            trouble = _TROUBLE.get(code, _NOT_WELL_FORMED)
            raise self._trouble(trouble, why=found.message.strip(), line=found.line) from error
        if error is not None:
            raise self._trouble(_TROUBLE.get(otherwise, _NOT_WELL_FORMED), why=str(error)) from error

    def _trouble(self, trouble: tuple[str, str], *, why: str, line: int = 0) -> SourceError:
        what, do = trouble
        place = ", ".join(part for part in (f"line {line}" if line else "", self._where()) if part)
        what = f"{place}: {what}" if place else what
        return SourceError(f"Cannot read {self._shown}: {what}.", why=f"{why.rstrip('.')}.", do=do)


def _marked(pieces: Iterator[bytes], mark: bytes) -> Iterator[bytes]:
    """Yield the pieces with a mark where the first markup may stand: behind byte order mark and declaration."""
    first = next(pieces, b"")
    start = len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0
    if first.startswith(b"<?xml", start):
        start = first.find(b"?>") + 2
    yield first[:start] + mark + first[start:]
    yield from pieces


def _forget(parent: Element, names: Place) -> None:
    """Take off the tree whatever is over; of the last elements, which may be open, at most a record stays whole."""
    while len(parent):
        del parent[:-1]
        parent = parent[-1]
        is_on_the_way = bool(names) and _fits(parent, names[0])
        names = names[1:] if is_on_the_way else ()
        if is_on_the_way and not names:
            return


def _parent(element: Element) -> Element:
    return element.getparent()


def _like(element: Element) -> Element:
    """Return a copy of an element and those around it, without what is in them."""
    around = element.getparent()
    if around is None:
        return etree.Element(element.tag, element.attrib, element.nsmap)
    return etree.SubElement(_like(around), element.tag, element.attrib, element.nsmap)


def _fits(element: Element, tag: str) -> bool:
    return tag in (ANY, element.tag)
