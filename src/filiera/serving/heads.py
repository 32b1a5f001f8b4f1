"""Heads and framing of HTTP/1.1 requests: bytes in, values out; nothing here waits or sends.

What the standard lets a reader guess at is refused: whoever stands before a service may guess otherwise, and then the
two do not agree where a request ends (request smuggling).

Source:
    RFC 9112, HTTP/1.1 (2022): sections 2.2 to 3.2 (lines and targets), 5 (fields), 6.3 (length of a body), 7.1
    (chunks).
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from filiera.core.value import dataclass

MAX_HEAD_BYTES = 32 * 1024
MAX_FIELDS = 100
_LONGEST_LENGTH = 15  #: digits
_LONGEST_LINE = 1024  #: bytes, between chunks

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_HEAD = re.compile(
    rb"(%b) ([!-~\x80-\xff]++) HTTP/1\.([01])\r\n((?:%b:[\t -~\x80-\xff]*+\r\n)*+)\r\n" % (_TOKEN, _TOKEN)
)
_FIELD = re.compile(rb"(%b):([^\r]*+)\r\n" % _TOKEN)
_ABSOLUTE = re.compile(rb"https?://([^/?#]++)", re.IGNORECASE)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[\t ]*+(?:;[\t -~\x80-\xff]*+)?+")
_TRAILER = re.compile(rb"%b:[\t -~\x80-\xff]*+" % _TOKEN)

Fields = list[tuple[bytes, bytes]]
"""Names in lower case and values without the blanks around them, in the order in which they came."""


class BadHead(Exception):
    """Bytes that are no request, or none that is taken: after them nothing on the connection can be understood."""

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        self.why = why
        super().__init__(status, why)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """All of a request before its body."""

    method: str
    target: bytes  #: path and query as they came
    minor: int  #: of the version: HTTP/1.1 or 1.0
    fields: Fields
    length: int | None  #: bytes of the body; None: it comes in chunks
    is_kept: bool  #: the caller means to send another request over this connection
    waits: bool  #: the caller sends the body when told that it may

    @property
    def path(self) -> str:
        """Return the path, decoded, without the query."""
        path = self.target.partition(b"?")[0]
        return (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8", "replace")

    @property
    def query(self) -> bytes:
        """Return what stands behind the first question mark, as it came."""
        return self.target.partition(b"?")[2]


def read_head(content: bytes) -> Head:
    r"""Return what a head says.

    Args:
        content: From the first byte of the request to the empty line, that one included.

    Raises:
        BadHead: With status 400 or 431.

    >>> head = read_head(b"POST /a%20b?c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
    >>> head.method, head.path, head.query, head.length, head.is_kept
    ('POST', '/a b', b'c', 3, True)
    """
    found = _HEAD.fullmatch(content)
    if found is None:
        raise BadHead(400, "Its head is not one of HTTP/1.1.")
    method, target, minor, lines = found.groups()
    fields = [(name.lower(), value.strip(b"\t ")) for name, value in _FIELD.findall(lines)]
    if len(fields) > MAX_FIELDS:
        raise BadHead(431, f"It has more than {MAX_FIELDS} headers.")
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if name in _FRAMING:
            by_name.setdefault(name, []).append(value)
    if len(by_name.get(b"host", ())) != 1 and (minor == b"1" or b"host" in by_name):
        raise BadHead(400, "It needs one header Host.")
    target, fields = _addressed(method, target, fields)
    options = {word.strip().lower() for value in by_name.get(b"connection", ()) for word in value.split(b",")}
    return Head(
        method=method.decode(),
        target=target,
        minor=int(minor),
        fields=fields,
        length=_length(by_name, minor),
        is_kept=b"close" not in options and (minor == b"1" or b"keep-alive" in options),
        waits=minor == b"1" and any(value.lower() == b"100-continue" for value in by_name.get(b"expect", ())),
    )


_FRAMING = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding", b"expect"))


def _addressed(method: bytes, target: bytes, fields: Fields) -> tuple[bytes, Fields]:
    """Return path and query, and the headers with the host that the target names, if it does."""
    if target[:1] == b"/" or (target == b"*" and method == b"OPTIONS"):
        return target, fields
    found = _ABSOLUTE.match(target)
    if found is None:
        raise BadHead(400, "Its target is no path.")
    rest = target[found.end() :].partition(b"#")[0]
    named = [(b"host", found[1]), *(field for field in fields if field[0] != b"host")]
    return (rest if rest[:1] == b"/" else b"/" + rest), named


def _length(by_name: dict[bytes, list[bytes]], minor: bytes) -> int | None:
    lengths, codings = set(by_name.get(b"content-length", ())), by_name.get(b"transfer-encoding")
    if codings is not None:
        if lengths or minor == b"0":
            raise BadHead(400, "It says in two ways how long its body is.")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadHead(400, "Send the body with Content-Length, or with Transfer-Encoding: chunked.")
        return None
    if not lengths:
        return 0
    given = lengths.pop()
    if lengths or not given.isdigit() or len(given) > _LONGEST_LENGTH:
        raise BadHead(400, "Its Content-Length is not one number.")
    return int(given)


class Chunks:
    r"""Takes a chunked body apart as it comes.

    >>> chunks = Chunks()
    >>> chunks.feed(b"3\r\nab"), chunks.feed(b"c\r\n0\r\n\r\nGET"), chunks.is_over, chunks.rest
    (b'ab', b'c', True, b'GET')
    """

    def __init__(self) -> None:
        self.is_over = False
        self.rest = b""  #: what came behind the body, once it is over
        self._buffer = b""
        self._at = 0  #: so much of it is done with
        self._left = 0  #: bytes of the chunk at hand that are still to come
        self._trailers = 0  #: their bytes
        self._step = self._size

    def feed(self, data: bytes) -> bytes:
        """Return what *data* adds to the body. Raises BadHead when it is not chunked as it should be."""
        self._buffer, self._at = self._buffer[self._at :] + data, 0
        found: list[bytes] = []
        while not self.is_over and self._step(found):
            pass
        if self.is_over:
            self.rest = self._buffer[self._at :]
        return b"".join(found)

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", self._at, self._at + _LONGEST_LINE)
        if end < 0:
            if len(self._buffer) - self._at >= _LONGEST_LINE:
                raise BadHead(400, "A line between its chunks is too long.")
            return None
        line = self._buffer[self._at : end]
        self._at = end + 2
        return line

    def _size(self, found: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        size = _SIZE.fullmatch(line)
        if size is None:
            raise BadHead(400, "A chunk does not say how long it is.")
        self._left = int(size[1], 16)
        self._step = self._content if self._left else self._trailer
        return True

    def _content(self, found: list[bytes]) -> bool:
        taken = self._buffer[self._at : self._at + self._left]
        found.append(taken)
        self._at += len(taken)
        self._left -= len(taken)
        if self._left:
            return False
        self._step = self._end
        return True

    def _end(self, found: list[bytes]) -> bool:
        end = self._buffer[self._at : self._at + 2]
        if not b"\r\n".startswith(end):
            raise BadHead(400, "A chunk is longer than it says.")
        if end != b"\r\n":
            return False
        self._at += 2
        self._step = self._size
        return True

    def _trailer(self, found: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        self._trailers += len(line)
        if line and (_TRAILER.fullmatch(line) is None or self._trailers > MAX_HEAD_BYTES):
            raise BadHead(400, "What follows its chunks is no header.")
        self.is_over = not line
        return True
