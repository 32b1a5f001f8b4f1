"""The mock of a model at an address of this machine, for applications that are no Python, or another process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from filiera.serving.plain_caller import Reply

Ask = Callable[[str, str, bytes, Mapping[str, str]], Reply]
_MAX_BYTES = 64 * 1024 * 1024


class MockServer:
    """Answers on a loopback address, one request after another: ``with MockServer(ask, port=0) as server``."""

    def __init__(self, ask: Ask, *, port: int = 0) -> None:
        """Listen, and answer each request by *ask* (method, path, body, headers). Raises OSError for a taken port."""
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body leave together: apart, the body waits 40 ms for the caller's word of the head

            def _answer(self) -> None:
                length = self.headers.get("Content-Length", "0")
                if not length.isdecimal() or int(length) > _MAX_BYTES:
                    self.send_error(400, "a body of known length is needed")
                    self.close_connection = True
                    return
                body = self.rfile.read(int(length))
                with lock:
                    answered = ask(self.command, self.path.partition("?")[0], body, dict(self.headers.items()))
                self.send_response(answered.status)
                for name, value in answered.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else answered.body)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):  # of every method; the mock says which it takes
                    return self._answer
                raise AttributeError(name)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the library
                """Say nothing: what is asked is in the contract."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="mock", daemon=True)

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> MockServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
