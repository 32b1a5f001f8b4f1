"""Somebody between a caller and a service, who answers some requests himself."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

Answer: TypeAlias = tuple[int, Mapping[str, str], bytes] | None
"""What is answered to a request: status, headers, body; None: what the service answers."""
Answers = Callable[[BaseHTTPRequestHandler], Answer]


@contextmanager
def between(url: str, answers: Answers) -> Iterator[str]:
    """Give the address of somebody who passes on to the service at *url* what he does not answer himself."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, content = answers(self) or self.passed_on(body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def passed_on(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            with closing(http.client.HTTPConnection(url.removeprefix("http://"))) as connection:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                return answer.status, {"Content-Type": answer.headers["content-type"]}, answer.read()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
