"""Who answers for a file of the catalog may send us elsewhere, but not to where only we can get."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from filiera.adapters.sources.web_files import find_web_file, require_harmless
from filiera.errors import SourceError


class Sender(BaseHTTPRequestHandler):
    """Sends whoever asks to where the path says."""

    def do_GET(self) -> None:
        """Answer 302, or with a file."""
        to = self.path.removeprefix("/to/")
        self.send_response(200 if to == self.path else 302)
        self.send_header("Location", to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """Give the address of the server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Sender) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("there", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "data:,x"])
def test_only_the_web_is_read(server: str, there: str) -> None:
    """A redirect leads to no file of this machine and to no other protocol."""
    with pytest.raises(SourceError):
        find_web_file(f"{server}/to/{there}", shown="orders")


def test_other_redirects_are_followed(server: str) -> None:
    """As files are moved."""
    assert find_web_file(f"{server}/to/{server}/orders.csv", shown="orders").size == 0


@pytest.mark.parametrize(
    "there",
    [
        "http://192.0.2.1/x",  # read along
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://2130706433/x",  # 127.0.0.1 as one number
        "https://localhost:8000/v1/models",
        "https://0.0.0.0/x",
        "https://169.254.169.254/latest/meta-data/",  # where clouds keep credentials
        "https://[fe80::1]/x",
    ],
)
def test_nobody_sends_us_inside(there: str) -> None:
    """From another machine no redirect leads into this one, beside it, or out of encryption."""
    with pytest.raises(SourceError, match="where we do not follow"):
        require_harmless("https://192.0.2.1/orders.csv", there)
    require_harmless("https://192.0.2.1/orders.csv", "https://192.0.2.2/orders.csv")
