"""Makers of hostile requests: each gives the bytes of one, drawn from a seeded dice."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from tests.serving.offers import GOOD

SECRET = "Zx9-very-private-Qw7"
"""Stands in every body as a value; no answer may contain it."""

PREDICT = "/v1/models/flows:predict"
PRIVATE: dict[str, Any] = {**GOOD, "user": SECRET}


def malformed_json(dice: random.Random) -> bytes:
    """A good body with some bytes flipped, cut, doubled or put in."""
    body = bytearray(_body([PRIVATE] * dice.randint(1, 3)))
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(body))
        edit = dice.randrange(4)
        if edit == 0:
            body[at] = dice.randrange(256)
        elif edit == 1:
            del body[at : at + dice.randint(1, 20)]
        elif edit == 2:
            body[at:at] = body[at : at + dice.randint(1, 20)]
        else:
            body[at:at] = dice.choice((b"\x00", b"\xff\xfe", b"//", b"NaN", b"-Infinity", b'"', b"\\ud800", b"{", b"]"))
        if not body:
            return _post(b"")
    return _post(bytes(body))


def huge_number(dice: random.Random) -> bytes:
    """A number that no float64 or int64 holds, or that is long to read."""
    digits = dice.choice((20, 400, 5_000, 50_000))
    number = dice.choice(
        (
            "1" * digits,
            "-" + "9" * digits,
            f"1e{digits}",
            f"1e-{digits}",
            "0." + "3" * digits,
            f"1{'0' * digits}e-{digits}",
        )
    )
    field = dice.choice(("duration", "rate"))
    row = json.dumps({**PRIVATE, field: "NUMBER"}).replace('"NUMBER"', number)
    return _post(f'{{"instances": [{row}]}}'.encode())


def deep_nesting(dice: random.Random) -> bytes:
    """Brackets within brackets."""
    depth = dice.choice((10, 1_000, 100_000))
    opening, closing = dice.choice((("[", "]"), ('{"a":', "}"), ('[{"instances":', "}]")))
    value = opening * depth + f'"{SECRET}"' + closing * dice.choice((depth, 0))
    frame = dice.choice(("{value}", '{{"instances": {value}}}', '{{"instances": [{{"user": {value}}}]}}'))
    return _post(frame.format(value=value).encode())


def wrong_rows(dice: random.Random) -> bytes:
    """Values of wrong types, lost, unknown and doubled fields, too many rows or none."""
    values = (None, True, -1, 1.5, 10**20, SECRET, [SECRET], {"a": SECRET}, "", "\ud800", "tcp\x00", 1e308)
    rows: list[Any] = []
    for _ in range(dice.choice((0, 1, 2, 5, 6, 500))):
        row: dict[str, Any] = {
            **PRIVATE,
            dice.choice((*GOOD, "new", "x" * 300, "\ud800", "__class__")): dice.choice(values),
        }
        for name in dice.sample(list(GOOD), dice.choice((0, 0, 1, 4))):
            row.pop(name)
        rows.append(dice.choice((row, row, row, SECRET, [row])))
    return _post(_body(rows))


def wrong_type(dice: random.Random) -> bytes:
    """A content type or an encoding that is not served."""
    kind = dice.choice(
        (
            "",
            "text/plain",
            "application/xml",
            "application/json; charset=utf-16",
            "application/x-pickle",
            "multipart/form-data",
        )
    )
    coding = dice.choice(("utf-8", "utf-16", "utf-32", "latin-1", "utf-8-sig"))
    body = _body([PRIVATE]).decode().encode(coding)
    return _post(body, {"content-type": kind, "content-encoding": dice.choice(("", "gzip", "br", "identity"))})


def wrong_length(dice: random.Random) -> bytes:
    """A length that is not that of the body, twice, or beside chunks."""
    body = _body([PRIVATE])
    length = dice.choice((0, 1, len(body) - 1, len(body) + 1, 10**9, 10**30, -1))
    headers = dice.choice(
        (
            f"content-length: {length}",
            f"content-length: {length}\r\ncontent-length: {len(body)}",
            f"content-length: {len(body)}\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked",
            "transfer-encoding: identity",
            "content-length: 0x10",
            f"content-length: +{len(body)}",
        )
    )
    return _head("POST", PREDICT, headers) + body


def cut_short(dice: random.Random) -> bytes:
    """A good request that ends too early."""
    whole = _post(_body([PRIVATE] * 3))
    return whole[: dice.randrange(1, len(whole))]


def bad_chunks(dice: random.Random) -> bytes:
    """A chunked body, right or with wrong sizes."""
    body, parts = _body([PRIVATE]), []
    while body:
        size = dice.randint(1, 30)
        said = dice.choice((f"{len(body[:size]):x}",) * 8 + ("-1", "ffffffffffffffffff", "zz", f"{size + 3:x}"))
        parts.append(said.encode() + b"\r\n" + body[:size] + b"\r\n")
        body = body[size:]
    return (
        _head("POST", PREDICT, "transfer-encoding: chunked")
        + b"".join(parts)
        + dice.choice((b"0\r\n\r\n", b"0\r\n", b""))
    )


def odd_path(dice: random.Random) -> bytes:
    """A path that leads elsewhere or nowhere."""
    path = dice.choice(
        (
            "/../../etc/passwd",
            "/v1/models/../../etc/passwd",
            "/v1/models/%2e%2e%2fetc:predict",
            "/v1/models/flows%00:predict",
            "/v1/models/FLOWS:predict",
            "/v1/models/flows:predict/",
            "//v1/models/flows:predict",
            "/" + "a" * 60_000,
            "http://evil.example/v1/models/flows:predict",
            "*",
            "/v1/models/flows:predict?x=" + SECRET,
            "/v1/models/{name}:predict",
            "/v1/models/flows:feedback",
            "/v2/models/flows/infer",
            "/v2/models/flows/versions/9/infer",
            "/%ff%fe",
            "/\u00e9",
            "/v1/models/${jndi:ldap://evil}:predict",
            "/v1/models/flows:predict#part",
        )
    )
    return _post(_body([PRIVATE]), path=path)


def odd_method(dice: random.Random) -> bytes:
    """A method, version or preface that is not expected."""
    body = _body([PRIVATE])
    line = dice.choice(
        (
            "DELETE {p} HTTP/1.1",
            "post {p} HTTP/1.1",
            "POST {p} HTTP/1.0",
            "POST {p} HTTP/0.9",
            "POST {p} HTTP/3.0",
            "POST {p}",
            "TRACE {p} HTTP/1.1",
            "CONNECT evil.example:443 HTTP/1.1",
            "PRI * HTTP/2.0",
            "OPTIONS * HTTP/1.1",
            "\x16\x03\x01\x00",
            "POST  {p}  HTTP/1.1",
            "G\u00cbT {p} HTTP/1.1",
        )
    )
    first = line.format(p=PREDICT).encode("latin-1")
    rest = f"host: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return first + b"\r\n" + rest.encode() + body


def odd_headers(dice: random.Random) -> bytes:
    """Many headers, long ones, wrong ones, several hosts."""
    lines = dice.choice(
        (
            "\r\n".join(f"x-{i}: {SECRET}" for i in range(dice.choice((50, 99, 500)))),
            "x-long: " + "a" * dice.choice((8_000, 70_000, 600_000)),
            "host: evil.example",
            "host: localhost\r\nhost: evil.example",
            "x-bad\x00: 1",
            " folded: 1\r\n  more",
            "expect: 100-continue",
            "connection: upgrade\r\nupgrade: websocket",
            f"authorization: Bearer {SECRET}",
            f"cookie: a={SECRET}",
            "accept: */*;q=zz\r\naccept-encoding: \xff",
        )
    )
    body = _body([PRIVATE])
    return _head("POST", PREDICT, f"{lines}\r\ncontent-length: {len(body)}") + body


def wrong_tensors(dice: random.Random) -> bytes:
    """A request of the Open Inference Protocol with wrong names, types, shapes, lengths or bytes."""
    tensors: list[dict[str, Any]] = [
        {"name": name, "shape": [1], "datatype": kind, "data": [PRIVATE[name]]}
        for name, kind in (("duration", "INT16"), ("protocol", "BYTES"), ("rate", "FP64"), ("user", "BYTES"))
    ]
    tensor = dice.choice(tensors)
    edits: tuple[tuple[str, Any], ...] = (
        ("shape", dice.choice(([], [2], [-1], [2**62, 4], [1, 10**9], [1] * 1_000, "1", [None]))),
        ("datatype", dice.choice(("FP8", "BYTES", "BOOL", "UINT64", 7, None))),
        ("data", dice.choice(([], [SECRET], [[1]], [None], [1e999], SECRET, {}, [2**70]))),
        ("name", dice.choice(("new", "", None, "x" * 5_000, "user"))),
        ("parameters", {"binary_data_size": dice.choice((-1, 0, 2, 10**12, "a", 1.5))}),
        ("extra", SECRET),
    )
    key, value = dice.choice(edits)
    tensor[key] = value
    body: dict[str, Any] = {"inputs": tensors, "outputs": [{"name": dice.choice(("label", "nothing"))}]}
    head = json.dumps(body).encode()
    tail = dice.randbytes(dice.choice((0, 0, 2, 8, 500)))
    length = dice.choice((len(head), len(head) - 1, len(head) + 5, -1, 10**20, "x", 0))
    headers = {"Inference-Header-Content-Length": str(length)} if dice.random() < 0.6 else {}
    return _post(head + tail, headers, path="/v2/models/flows/infer")


def wrong_arrow(dice: random.Random) -> bytes:
    """An Arrow stream that was damaged, cut or made up."""
    frame = pl.DataFrame([PRIVATE] * dice.randint(1, 5), schema_overrides={"duration": pl.Int16})
    if dice.random() < 0.4:
        frame = frame.rename({"rate": "other"}) if dice.random() < 0.5 else frame.with_columns(duration=pl.lit(SECRET))
    body = bytearray(_stream(frame))
    for _ in range(dice.choice((0, 1, 4, 40))):
        body[dice.randrange(len(body))] = dice.randrange(256)
    cut = dice.choice((len(body), len(body), dice.randrange(len(body))))
    return _post(bytes(body[:cut]), {"content-type": "application/vnd.apache.arrow.stream"})


def wrong_feedback(dice: random.Random) -> bytes:
    """Feedback on nothing, of wrong types, twice, or much of it."""
    entry: dict[str, Any] = {
        "prediction": dice.choice(("01M82A4Y97T7TVSF1JKSYQ0000", SECRET, "", None, 7, "../../x", "Z" * 26)),
        dice.choice(("outcome", "action", "outcome\ud800")): dice.choice(
            (SECRET, None, [], {"a": {"b": 1}}, 1e308, "x" * 2_000)
        ),
    }
    if dice.random() < 0.5:
        entry[dice.choice(("at", "id", "new"))] = dice.choice(
            ("2026-01-01", "9999-99-99T00:00:00Z", -1, "x" * 3_000, None)
        )
    body = {dice.choice(("feedback", "feedback", "instances")): [entry] * dice.choice((0, 1, 2, 2_000))}
    return _post(json.dumps(body).encode(), path="/v1/models/flows:feedback")


def smuggled(dice: random.Random) -> bytes:
    """A request within another, about whose end two readers could differ: lengths, codings, line ends, names."""
    body = _body([PRIVATE])
    inner = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
    size = f"content-length: {len(body)}"
    coding = dice.choice(("Transfer-Encoding: chunked", "transfer-encoding:chunked", "TRANSFER-ENCODING:\tchunked"))
    odd_coding = dice.choice(
        ("xchunked", "chunked, identity", "identity, chunked", '"chunked"', "\x0bchunked", "chunked;a", "gzip", "", ",")
    )
    odd_size = dice.choice(
        (f"{len(body)}, {len(body)}", f"+{len(body)}", f"{len(body)} 1", "0x9", "", "1e1", "9" * 30, "٣")
    )
    lines = dice.choice(
        (
            f"{coding}\r\n{size}",
            f"{size}\r\n{coding}",
            f"{coding}\r\n{coding}",
            f"transfer-encoding: {odd_coding}",
            f"{coding}\r\ntransfer-encoding: {odd_coding}",
            f"content-length: {odd_size}",
            f"{size}\r\ncontent-length: {len(body) + dice.choice((-1, 1, len(inner)))}",
            f"content-length : {len(body)}",
            f"x-a: b\r\n {coding}\r\n{size}",
            f"x-a: b\n{coding}\r\n{size}",
            f"x-a: b\r{coding}\r\n{size}",
            f"x-a: b\0{coding}\r\n{size}",
            f"x-a\r\n{size}",
            f": b\r\n{size}",
            f"x(a): b\r\n{size}",
            f"host: evil.example\r\n{size}",
        )
    )
    content = dice.choice((body, b"0\r\n\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)))
    target = dice.choice((PREDICT, PREDICT, f"http://localhost{PREDICT}"))
    head = f"POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{lines}\r\n\r\n"
    return head.encode("utf-8") + content + inner


def pipelined(dice: random.Random) -> bytes:
    """Good requests one behind another, and behind them what is none, and a good one again."""
    body = _body([PRIVATE])
    kept = _post(body).replace(b"connection: close\r\n", b"")
    garbage = dice.choice(
        (
            dice.randbytes(dice.randint(1, 3_000)),
            b"\r\n" * dice.randint(1, 500) + b"\0\r\n\r\n",
            b"{}" * dice.randint(1, 30_000),
            b"GET /" + b"a" * dice.randint(1, 50_000),
            b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * dice.randint(1, 300),
        )
    )
    return kept * dice.choice((1, 2, 30)) + garbage + kept


def good(dice: random.Random) -> bytes:
    """A request that must be answered, between the others."""
    return _post(_body([PRIVATE] * dice.randint(1, 5)))


CASES: Mapping[str, Callable[[random.Random], bytes]] = {
    case.__name__: case
    for case in (
        malformed_json, huge_number, deep_nesting, wrong_rows, wrong_type, wrong_length, cut_short, bad_chunks,
        wrong_tensors, wrong_arrow, wrong_feedback, odd_path, odd_method, odd_headers, smuggled, pipelined, good,
    )
}  # fmt: skip
"""Every kind of hostile request, and the good one, by name."""

UNENDING = frozenset({"wrong_length", "cut_short", "bad_chunks", "odd_method", "odd_headers", "pipelined"})
"""Kinds that may leave a server waiting for more."""


def _stream(frame: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    frame.write_ipc_stream(target)
    return target.getvalue()


def _body(rows: list[Any]) -> bytes:
    return json.dumps({"instances": rows}).encode()


def _post(body: bytes, headers: Mapping[str, str] | None = None, path: str = PREDICT) -> bytes:
    lines = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    return _head("POST", path, "\r\n".join(f"{name}: {value}" for name, value in lines.items() if value)) + body


def _head(method: str, path: str, headers: str) -> bytes:
    kind = "" if "content-type" in headers else "content-type: application/json\r\n"
    host = "" if headers.startswith("host:") else "host: localhost\r\n"
    return f"{method} {path} HTTP/1.1\r\n{host}{kind}connection: close\r\n{headers}\r\n\r\n".encode(
        "latin-1", "replace"
    )
