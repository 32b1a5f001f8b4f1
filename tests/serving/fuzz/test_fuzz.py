"""Whatever comes over the wire, the service goes on: no failure of its own, no data in errors, no growing memory."""

from __future__ import annotations

import http.client
import json
import random
import select
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from filiera.serving.client import ServiceClient
from tests.serving.fuzz.cases import CASES, PREDICT, PRIVATE, SECRET, UNENDING
from tests.serving.offers import GOOD
from tests.serving.serving import running

_PATIENCE_S = 20.0
_WAIT_S = 0.02
_BETWEEN_S = 0.001
_MAX_GROWTH_MB = 48
_MAX_MORE_FILES = 16
MEANT = (503, 504)
MANNERS = (*["whole"] * 12, "pieces", "pieces", "pieces", "half closed", "half closed", "vanishing")


def test_a_sample_of_hostile_requests(tmp_path: Path) -> None:
    """A few of every kind, the same ones every time."""
    print(besiege(tmp_path, seed=20261122, count=1_200))


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(4))
def test_a_siege(tmp_path: Path, seed: int) -> None:
    """Twenty-five thousand a seed: together a hundred thousand."""
    print(besiege(tmp_path, seed=seed, count=25_000))


def besiege(folder: Path, *, seed: int, count: int) -> str:
    """Send *count* requests to a service; return how each kind was answered. Asserts what must hold.

    Most come whole, some in pieces, some with the caller's half of the connection closed; some callers vanish.
    Each is followed by a good one, all of them over one connection, which is to outlive them.
    """
    dice = random.Random(seed)
    answers: dict[str, Counter[int]] = {name: Counter() for name in CASES}
    errors = folder / "stderr"
    with errors.open("w") as told, running(folder / "log", "access", stderr=told) as (process, url):
        address = urlsplit(url)
        assert address.hostname is not None and address.port is not None
        where, before = (address.hostname, address.port), (0.0, 0)
        with closing(http.client.HTTPConnection(*where, timeout=_PATIENCE_S)) as kept:
            for number in range(count):
                name = dice.choice(list(CASES))
                request, manner = CASES[name](dice), dice.choice(MANNERS)
                found = list(exchange(where, request, ends=name not in UNENDING, manner=manner, dice=dice))
                answers[name].update(status for status, _ in found)
                why = (seed, number, name, manner, request[:300], found)
                assert all(status < 500 or status in MEANT for status, _ in found), why
                assert not any(SECRET.encode() in answer for _, answer in found), why
                statuses = [status for status, _ in found]
                assert manner == "vanishing" or name != "good" or statuses == [200], why
                assert manner == "vanishing" or name != "smuggled" or statuses == [400], why
                kept.request(
                    "POST", PREDICT, json.dumps({"instances": [PRIVATE]}), {"Content-Type": "application/json"}
                )
                answer = kept.getresponse()
                assert (answer.status, b"normal" in answer.read()) == (200, True), why
                if number == count // 5:
                    before = resident_mb(process.pid), open_files(process.pid)
        grown_mb, more_files = resident_mb(process.pid) - before[0], open_files(process.pid) - before[1]
        assert process.poll() is None
        process.terminate()
        assert process.wait() == 0
    logged = errors.read_text() + (folder / "log.access").read_text()
    assert SECRET not in logged
    assert "Traceback" not in logged, logged[:2_000]
    assert grown_mb < _MAX_GROWTH_MB
    assert more_files < _MAX_MORE_FILES
    assert answers["good"][200] > 0
    table = "\n".join(f"  {name:15} {dict(sorted(found.items()))}" for name, found in answers.items())
    grown = f"memory {grown_mb:+.1f} MB, files {more_files:+} after the first fifth"
    return f"{count:,} requests, seed {seed}: {grown}; answers by status\n{table}"


def exchange(
    address: tuple[str, int], request: bytes, *, ends: bool, manner: str, dice: random.Random
) -> Iterator[tuple[int, bytes]]:
    """Yield status and bytes of each answer to *request*; none where the server hangs up on what is no HTTP.

    A request that does not end leaves the server waiting: after a while its caller says that nothing more comes.
    """
    received = b""
    with (
        closing(socket.create_connection(address, timeout=_PATIENCE_S if ends else _WAIT_S)) as peer,
        suppress(OSError),
    ):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cuts = sorted(dice.randrange(len(request) + 1) for _ in range(dice.randint(1, 5))) if manner == "pieces" else []
        for start, end in pairwise([0, *cuts, len(request)]):
            peer.sendall(request[start:end])
            if cuts and select.select([peer], [], [], _BETWEEN_S)[0]:
                break
        if manner == "vanishing":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if manner == "half closed":
            peer.settimeout(_PATIENCE_S)
            peer.shutdown(socket.SHUT_WR)
        try:
            while part := peer.recv(65_536):
                received += part
        except TimeoutError:
            assert not ends, request[:300]
            peer.settimeout(_PATIENCE_S)
            peer.shutdown(socket.SHUT_WR)
            while part := peer.recv(65_536):
                received += part
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        version, _, line = head.partition(b" ")
        assert version.startswith(b"HTTP/1."), received[:200]
        length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
        yield int(line[:3]), head + rest[:length]
        received = rest[length:]


@contextmanager
def half_sent(address: tuple[str, int], request: bytes) -> Iterator[socket.socket]:
    """Send *request* and keep the connection open."""
    with closing(socket.create_connection(address, timeout=_PATIENCE_S)) as peer:
        peer.sendall(request)
        yield peer


def test_callers_who_never_finish_are_let_go(tmp_path: Path) -> None:
    """Bodies that never come end with 408 after the time a body may take; others are answered meanwhile."""
    body = json.dumps({"instances": [GOOD]}).encode()
    head = b"POST /v1/models/flows:predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    started = head + b"content-length: %d\r\n\r\n" % len(body) + body[:-1]
    with running(tmp_path, body_s=0.5) as (_, url):
        address = urlsplit(url)
        assert address.hostname is not None and address.port is not None
        with half_sent((address.hostname, address.port), started) as slow:
            assert [answer["label"] for answer in ServiceClient(url).predict([GOOD])] == ["normal"]
            answer = slow.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 408"), answer
            assert b"urn:filiera:problem:too-slow" in answer


def resident_mb(pid: int) -> float:
    """Return how much memory of a process is in use."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the system does not say")


def open_files(pid: int) -> int:
    """Return how many files and sockets a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
