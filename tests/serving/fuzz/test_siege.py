"""Crowds of callers who come and go, say little, read nothing or vanish: the service stays as large as it was."""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from filiera.serving.client import ServiceClient
from tests.serving.fuzz.test_fuzz import open_files, resident_mb
from tests.serving.offers import GOOD
from tests.serving.serving import running

CROWD = 2_000
ROUNDS = 5
PREDICT = b"POST /v1/models/flows:predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
BODY = json.dumps({"instances": [GOOD]}).encode()
ASK = PREDICT + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
LARGE = 7_500_000
_PATIENCE_S = 60.0
_MORE_FILES = 8
_MORE_MB = 24  #: from the second round to the last, whatever the allocator kept of the first two
_MOST_MB = (
    800  #: more than before, at any time: bodies on their way take 256 MiB, once more while they are put together
)

_UNREAD_MB = 200  #: for answers that 200 callers do not read, and for requests behind them


class Service:
    """A service in a process of its own, and what it takes."""

    def __init__(self, process: subprocess.Popen[str], url: str, errors: Path) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        self.pid, self.where, self.errors = process.pid, (parts.hostname, parts.port), errors
        self.client = ServiceClient(url)
        self.answers()
        self.files, self.mb = open_files(self.pid), resident_mb(self.pid)

    def answers(self) -> None:
        """See that it does."""
        assert [answer["label"] for answer in self.client.predict([GOOD])] == ["normal"]

    def call(self, content: bytes = b"") -> socket.socket:
        """Return a connection over which *content* was sent, as much as it takes."""
        peer = socket.create_connection(self.where, timeout=_PATIENCE_S)
        if content:
            peer.setblocking(False)
            with suppress(BlockingIOError):
                while content:
                    content = content[peer.send(content) :]
            peer.settimeout(_PATIENCE_S)
        return peer

    def await_files(self, most_s: float = _PATIENCE_S) -> None:
        """Wait until it has as many open as before."""
        until_s = time.monotonic() + most_s
        while open_files(self.pid) > self.files + _MORE_FILES:
            assert time.monotonic() < until_s, (open_files(self.pid), self.files)
            select.select([], [], [], 0.05)

    def processor_s(self) -> float:
        """Return how long it has computed."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """Yield a service that must answer in the end, hold no more than before, and have logged nothing of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * CROWD)), hard))
    errors = folder / "stderr"
    with errors.open("w") as told, running(folder / "log", body_s=5.0, stderr=told) as (process, url):
        found = Service(process, url, errors)
        yield found
        found.answers()
        found.await_files()
        found.client.close()
        assert process.poll() is None
        process.terminate()
        assert process.wait() == 0
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Traceback" not in errors.read_text()


def vanish(peers: Sequence[socket.socket]) -> None:
    """Break connections off."""
    for peer in peers:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()


def rounds(found: Service, what: str) -> Iterator[int]:
    """Yield the number of a round; see after each that files are closed, and in the end that memory stays."""
    memory = []
    for number in range(ROUNDS):
        yield number
        found.await_files()
        found.answers()
        memory.append(resident_mb(found.pid) - found.mb)
    print(f"{what}, {ROUNDS} rounds: memory {', '.join(f'{mb:+.1f}' for mb in memory)} MB")
    assert memory[-1] - memory[1] < _MORE_MB


@pytest.mark.campaign
def test_a_crowd_comes_and_goes(tmp_path: Path) -> None:
    """All at once: answered, half of them hang up, half vanish."""
    with service(tmp_path) as found:
        for _ in rounds(found, f"{CROWD:,} callers at once"):
            peers = [found.call(ASK) for _ in range(CROWD)]
            assert {status(peer) for peer in peers} == {200}
            vanish(peers[::2])
            for peer in peers[1::2]:
                peer.close()


@pytest.mark.campaign
def test_callers_vanish_within_their_bodies(tmp_path: Path) -> None:
    """Nearly whole large bodies: as many as fit are waited for, the rest is refused, and small ones are answered."""
    with service(tmp_path) as found:
        started = PREDICT + b"content-length: %d\r\n\r\n" % (LARGE + 1) + b" " * LARGE
        for _ in rounds(found, "100 callers who do not end bodies of 7.5 MB"):
            peers = [found.call() for _ in range(100)]
            for part in (started[: LARGE // 2], started[LARGE // 2 :]):
                for peer in peers:
                    with suppress(OSError):
                        peer.sendall(part)
            found.answers()
            statuses = Counter(status(peer) for peer in peers)
            print(f"  at most {peak_mb(found.pid) - found.mb:+.1f} MB, answers {dict(statuses)}")
            assert statuses.keys() <= {0, 408, 503}
            assert peak_mb(found.pid) - found.mb < _MOST_MB
            vanish(peers)


def status(peer: socket.socket) -> int:
    """Return the status of an answer, 0 when the connection broke before it came."""
    with suppress(OSError):
        return int(peer.recv(65_536)[9:12] or 0)
    return 0


def peak_mb(pid: int) -> float:
    """Return how much memory a process has had in use at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


@pytest.mark.campaign
def test_answers_that_nobody_reads(tmp_path: Path) -> None:
    """Requests one behind another by those who read nothing: sending stops, and after a minute they are hung up on."""
    asked = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 40_000
    with service(tmp_path) as found:
        peers = [found.call(asked) for _ in range(200)]  # who take twenty seconds of processor until they are stuck
        found.answers()
        until_s = time.monotonic() + 10
        while time.monotonic() < until_s:
            found.answers()
        print(f"200 callers who read nothing: memory {resident_mb(found.pid) - found.mb:+.1f} MB")
        assert resident_mb(found.pid) - found.mb < _UNREAD_MB
        found.await_files(10 * _PATIENCE_S)
        for peer in peers:
            peer.close()


@pytest.mark.campaign
def test_callers_who_say_little(tmp_path: Path) -> None:
    """A byte now and then of a head or of a body: let go of in time, and so are those who never say anything again."""
    with service(tmp_path) as found, ExitStack() as stack:
        idle = [stack.enter_context(found.call(ASK)) for _ in range(CROWD // 2)]
        assert {status(peer) for peer in idle} == {200}
        heads = [stack.enter_context(found.call()) for _ in range(CROWD // 4)]
        bodies = [stack.enter_context(found.call(ASK[: -len(BODY)])) for _ in range(CROWD // 4)]
        for number in range(20):
            for peers, content in ((heads, ASK), (bodies, b" " * len(ASK))):
                for peer in peers:
                    with suppress(OSError):
                        peer.send(content[number : number + 1])
            found.answers()
            select.select([], [], [], 0.4)
        assert {status(peer) for peer in bodies} == {408}
        found.await_files(4 * _PATIENCE_S)
        assert {peer.recv(1) for peer in (*idle, *heads)} == {b""}
        print(f"{CROWD:,} who say little: memory {resident_mb(found.pid) - found.mb:+.1f} MB")


@pytest.mark.campaign
@pytest.mark.parametrize("known", [True, False], ids=["limit known from the start", "limit met"])
def test_more_callers_than_files(tmp_path: Path, known: bool) -> None:
    """Those who are in are answered, the others wait and cost nothing, and are answered when there is room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        if known:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            process, url = stack.enter_context(running(tmp_path / "log", body_s=60.0))
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        else:
            process, url = stack.enter_context(running(tmp_path / "log", body_s=60.0))
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (open_files(process.pid) + 100, hard))
        errors = tmp_path / "none"
        errors.touch()
        found = Service(process, url, errors)
        asking = [stack.enter_context(closing(found.call(ASK[:-1]))) for _ in range(400)]
        before_s = found.processor_s()
        select.select([], [], [], 5.0)
        spent_s = found.processor_s() - before_s
        asking[0].sendall(ASK[-1:])
        assert status(asking[0]) == 200
        print(f"400 callers, {open_files(process.pid)} files: {spent_s:.2f} s of processor in 5 s")
        assert spent_s < 1.0
        for peer in asking[1:]:
            peer.sendall(ASK[-1:])
        assert {status(peer) for peer in asking[1:]} == {200}
        for peer in asking:
            peer.close()
        found.await_files()
        found.client.close()
        process.terminate()
        _, told = process.communicate()
        assert process.returncode == 0
        assert told.count("no more connections can be taken for now") == len(told.splitlines()) == 1, told
