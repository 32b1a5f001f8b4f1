"""Drive one address with the same request over several connections, and say how fast it was answered.

A program of its own, for a processor of its own: raw sockets and epoll, so that what is measured is the service.

    python load.py HOST:PORT REQUEST-FILE --seconds 5 --connections 32 [--rate R]

Without a rate each connection sends its next request when the last is answered (closed loop). With a rate requests
leave at fixed times whatever became of those before (open loop), and latency counts from when a request should have
left, so that a service that stalls cannot hide it. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import select
import socket
import time
from collections import Counter, deque
from pathlib import Path

_TIMEOUT_S = 30.0
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Connection:
    """One keep-alive connection with at most one request under way."""

    __slots__ = ("_buffer", "_expected", "due_s", "socket", "status")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._expected: float = -1
        self.due_s = 0.0
        self.status = 0

    def ask(self, request: bytes, due_s: float) -> None:
        """Send *request*, due at *due_s*."""
        self.due_s = due_s
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """Read what is there; tell whether the answer is complete. Raises ConnectionError when the service hung up."""
        received = self.socket.recv(262_144)
        if not received:
            raise ConnectionError
        self._buffer = self._buffer + received if self._buffer else received
        if self._expected < 0:
            head, found, _ = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return False
            self.status = int(head[9:12])
            length = _body_length(head)
            self._expected = math.inf if length is None else len(head) + 4 + length
        if len(self._buffer) < self._expected and not (
            self._expected == math.inf and self._buffer.endswith(_LAST_CHUNK)
        ):
            return False
        self._buffer, self._expected = b"", -1
        return True


def _body_length(head: bytes) -> int | None:
    """Return how long the body is; None when it comes in chunks."""
    lower = head.lower()
    start = lower.find(b"content-length:")
    if start < 0:
        if b"transfer-encoding: chunked" not in lower:
            raise SystemExit("an answer of unknown length cannot be measured")
        return None
    return int(lower[start + 15 : (lower + b"\r\n").find(b"\r\n", start)])


class Load:
    """What was asked and answered."""

    def __init__(self, address: tuple[str, int], request: bytes, connections: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.latencies_s: list[tuple[int, float]] = []
        self._address = address
        self._request = request
        self._epoll = select.epoll()
        self._connections = {}
        for _ in range(connections):
            self._connect()
        self._free = deque(self._connections.values())

    def closed(self, seconds: float) -> float:
        """Ask again as soon as there is an answer, for *seconds*; return how long it took in all."""
        started_s = now_s = time.perf_counter()
        until_s = started_s + seconds
        while self._free:
            self._free.popleft().ask(self._request, now_s)
        under_way = len(self._connections)
        while under_way:
            for answered in self._answers(1.0):
                now_s = time.perf_counter()
                if now_s < until_s:
                    answered.ask(self._request, now_s)
                else:
                    under_way -= 1
                    self._free.append(answered)
        return time.perf_counter() - started_s

    def open(self, seconds: float, rate: float) -> float:
        """Ask *rate* times a second, for *seconds*; return how long it took until the last answer."""
        total, asked, under_way = int(seconds * rate), 0, 0
        started_s = time.perf_counter()
        while asked < total or under_way:
            now_s = time.perf_counter()
            while asked < total and self._free and started_s + asked / rate <= now_s:
                self._free.popleft().ask(self._request, started_s + asked / rate)
                asked += 1
                under_way += 1
            due_s = started_s + asked / rate if asked < total and self._free else now_s + 1.0
            for answered in self._answers(max(0.0, due_s - time.perf_counter())):
                under_way -= 1
                self._free.append(answered)
        return time.perf_counter() - started_s

    def _answers(self, patience_s: float) -> list[Connection]:
        # epoll counts in milliseconds and rounds up: the last one is waited for by looking again.
        found = []
        for number, _ in self._epoll.poll(max(0.0, patience_s - 0.001)):
            connection = self._connections[number]
            try:
                if not connection.is_answered():
                    continue
                self.statuses[connection.status] += 1
            except ConnectionError:
                self.statuses[0] += 1
                self._epoll.unregister(number)
                del self._connections[number]
                connection.socket.close()
                due_s, connection = connection.due_s, self._connect()
                connection.due_s, connection.status = due_s, 0
            self.latencies_s.append((connection.status, time.perf_counter() - connection.due_s))
            found.append(connection)
        return found

    def _connect(self) -> Connection:
        connection = Connection(self._address)
        self._connections[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)
        return connection


def summary(load: Load, took_s: float) -> dict[str, object]:
    """Return rates and latencies of what was answered with 200, and how the rest was answered."""
    good = sorted(latency for status, latency in load.latencies_s if status == 200)
    refused = sorted(latency for status, latency in load.latencies_s if status != 200)
    return {
        "seconds": took_s,
        "processor_s": time.process_time(),
        "rate": len(good) / took_s,
        "statuses": {str(status): count for status, count in sorted(load.statuses.items())},
        **{f"p{q:g}_s": _quantile(good, q) for q in (50, 90, 99, 99.9)},
        "refused_p99_s": _quantile(refused, 99),
    }


def _quantile(values: list[float], percent: float) -> float | None:
    return values[min(len(values) - 1, int(len(values) * percent / 100))] if values else None


def main() -> None:
    """Drive and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address")
    parser.add_argument("request", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.0)
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    load = Load((host, int(port)), options.request.read_bytes(), options.connections)
    took_s = load.open(options.seconds, options.rate) if options.rate else load.closed(options.seconds)
    print(json.dumps(summary(load, took_s)))


if __name__ == "__main__":
    main()
