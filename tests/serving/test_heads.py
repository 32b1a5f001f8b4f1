"""Heads and chunks, against h11, which reads them in another way, and against what the standard calls ambiguous."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.serving.heads import MAX_FIELDS, BadHead, Chunks, Head, read_head

NAMES = st.sampled_from(["Accept", "X-a", "a!#$%&'*+-.^_`|~9", "Content-Type", "TRACEPARENT", "cookie"])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12)
TARGETS = st.sampled_from(["/", "/v1/models/m:predict", "/a%20b?c=%2F", "/?", "//x", "/ä".encode().decode("latin-1")])
FRAMINGS = st.sampled_from(
    [
        {},
        {"Content-Length": "0"},
        {"content-length": " 12\t"},
        {"Transfer-Encoding": "Chunked"},
        {"Connection": "close"},
        {"Connection": "Upgrade, keep-alive", "Upgrade": "h2c"},
        {"Expect": "100-Continue", "Content-Length": "5"},
    ]
)


@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "M-SEARCH"]),
    target=TARGETS,
    fields=st.lists(st.tuples(NAMES, VALUES), max_size=5),
    framing=FRAMINGS,
)
def test_what_is_sent_is_what_is_read(
    method: str, target: str, fields: list[tuple[str, str]], framing: dict[str, str]
) -> None:
    """Method, target and headers are those that h11 finds, in their order."""
    lines = [f"{name}:{value}" for name, value in [("Host", " h"), *fields, *framing.items()]]
    content = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(content)
    try:
        oracle = reader.next_event()
    except h11.RemoteProtocolError:
        return  # it is stricter about values that hold signs beyond ASCII
    assert isinstance(oracle, h11.Request)
    head = read_head(content)
    assert (head.method.encode(), head.target) == (oracle.method, oracle.target)
    lowered = [
        (name, value.lower() if name in (b"transfer-encoding", b"expect") else value) for name, value in head.fields
    ]
    theirs = [
        (name, value.lower() if name in (b"transfer-encoding", b"expect") else value) for name, value in oracle.headers
    ]
    assert lowered == theirs
    assert head.length == (
        None
        if "Transfer-Encoding" in framing
        else int(framing.get("Content-Length", framing.get("content-length", "0")))
    )
    assert head.is_kept == (framing.get("Connection") != "close")
    assert head.waits == ("Expect" in framing) == reader.they_are_waiting_for_100_continue


REFUSED = {
    "no version": b"GET /\r\nHost: h\r\n\r\n",
    "another version": b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
    "two blanks": b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\n",
    "a header that goes on": b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\r\nHost: h\nContent-Length: 3\r\n\r\n",
    "a bare return": b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
    "a zero byte": b"GET / HTTP/1.1\r\nHost: h\0\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "two hosts in 1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "two hosts beside that of the target": b"GET http://h/ HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n",
    "no host but that of the target": b"GET http://h/ HTTP/1.1\r\n\r\n",
    "a tunnel": b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
    "another scheme": b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
    "a sign": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n",
    "an underscore": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1_0\r\n\r\n",
    "digits of elsewhere": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ³\r\n\r\n".encode("latin-1"),
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "endless": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999999999\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks in 1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "another coding": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "nearly chunked": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(content: bytes) -> None:
    """Where the standard lets a reader choose, or somebody before us may choose otherwise, nothing is guessed."""
    with pytest.raises(BadHead) as bad:
        read_head(content)
    assert bad.value.status == 400


def test_what_is_said_twice_in_the_same_way_is_taken() -> None:
    """Equal lengths agree; of two addresses that of the target counts, as the standard has it."""
    head = read_head(b"POST http://Real:80?q HTTP/1.1\r\nHost: other\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n")
    assert (head.path, head.query, head.length) == ("/", b"q", 3)
    assert [value for name, value in head.fields if name == b"host"] == [b"Real:80"]


def test_headers_are_bounded() -> None:
    """More than anybody has use for are refused with a status of their own."""
    lines = b"A: b\r\n" * MAX_FIELDS
    with pytest.raises(BadHead) as bad:
        read_head(b"GET / HTTP/1.1\r\nHost: h\r\n%b\r\n" % lines)
    assert bad.value.status == 431


def test_old_callers_close_unless_they_say_otherwise() -> None:
    """HTTP/1.0 keeps a connection when asked to, and needs no Host."""
    assert not read_head(b"GET / HTTP/1.0\r\n\r\n").is_kept
    assert read_head(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").is_kept


@given(st.binary(max_size=60))
def test_bytes_are_a_head_or_refused(content: bytes) -> None:
    """Nothing else comes of them."""
    try:
        assert isinstance(read_head(b"GET /" + content + b"\r\nHost: h\r\n\r\n"), Head)
    except BadHead as bad:
        assert bad.status in (400, 431)


@given(
    parts=st.lists(st.binary(min_size=1, max_size=30), max_size=6),
    extension=st.sampled_from(["", ";a=b", " ; c"]),
    trailers=st.sampled_from(["", "X: y\r\n"]),
    behind=st.binary(max_size=9),
    cuts=st.lists(st.integers(1, 7), min_size=1, max_size=20),
)
def test_a_chunked_body_is_found_however_it_is_cut(
    parts: list[bytes], extension: str, trailers: str, behind: bytes, cuts: list[int]
) -> None:
    """Its content is that of the chunks, and what stands behind it is left, whatever pieces it comes in."""
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension.encode(), part) for part in parts)
    whole = body + b"0\r\n" + trailers.encode() + b"\r\n" + behind
    chunks, found, at, number = Chunks(), b"", 0, 0
    while not chunks.is_over:
        size = cuts[number % len(cuts)]
        found += chunks.feed(whole[at : at + size])
        at, number = at + size, number + 1
    assert found == b"".join(parts)
    assert chunks.rest + whole[at:] == behind


@pytest.mark.parametrize(
    "body",
    [b"x\r\n", b"-1\r\n", b"0x3\r\nabc\r\n", b"3\r\nabcd\r\n", b"3\nabc\r\n", b"\r\n", b"1" * 2000,
     b"0\r\nnot a header\r\n", b"1" * 13 + b"\r\n", b"3;\x00\r\nabc\r\n"],
)  # fmt: skip
def test_chunks_that_are_none_are_refused(body: bytes) -> None:
    """A size that another reader may understand otherwise, or a chunk that is not as long as it says."""
    with pytest.raises(BadHead):
        Chunks().feed(body)


def test_many_small_chunks_take_no_longer_than_their_bytes() -> None:
    """A hundred thousand of one byte are taken apart in one pass over them."""
    chunks = Chunks()
    assert chunks.feed(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n") == b"x" * 100_000
    assert chunks.is_over
