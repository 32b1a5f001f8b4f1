"""A service that answers as tests say, and notes what it was asked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[bytes], "int | None"]
"""What to answer to a body: a status, or None: hang up without an answer."""


@dataclass
class Asked:
    """What a service was asked."""

    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    most_at_once: int = 0
    at_once: int = 0

    def wait_for(self, count: int) -> None:
        """Return when so many more requests were answered."""
        for _ in range(count):
            assert self.came.acquire(timeout=30.0)


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[tuple[str, int], Asked]]:
    """Run a service until the block ends; gives its address and what it is asked."""
    asked, lock = Asked(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                asked.bodies.append(body)
                asked.headers.append(dict(self.headers))
                asked.paths.append(self.path)
                asked.at_once += 1
                asked.most_at_once = max(asked.most_at_once, asked.at_once)
            try:
                status = answer(body)
                if status is None:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                content = json.dumps({"title": "Wrong", "detail": "See.", "errors": [{"at": "a", "rule": "is b"}]})
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content.encode())
            finally:
                with lock:
                    asked.at_once -= 1
                asked.came.release()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield ("127.0.0.1", server.server_address[1]), asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
