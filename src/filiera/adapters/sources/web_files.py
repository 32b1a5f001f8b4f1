"""Files on web servers, by their address: fetched when they are read.

What a file holds is known by the entity tag or the time of change that the server sends with it, without its content;
of a server that sends neither, it is fetched to find out.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from blake3 import blake3

from filiera.adapters.credentials import hidden
from filiera.core.digest import digest
from filiera.core.value import dataclass
from filiera.errors import SourceError

if TYPE_CHECKING:
    from filiera.adapters.sources.found_files import Workspace

_PIECE_BYTES = 1 << 20
_SILENCE_S = 60.0
"""A server that says nothing for so long has broken off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebFile:
    """A file on a web server, as it was when it was asked for."""

    address: str
    shown: str
    tag: str  #: what the server says of its content; "" when it says nothing
    size: int  #: 0 when the server does not say
    name: str = ""

    def identity(self) -> str:
        if self.tag:
            return digest("remote/1", self.tag.encode(), str(self.size).encode())
        hasher = blake3()
        with _speaking(self.shown), _asked(self.address) as answer:
            while piece := answer.read(_PIECE_BYTES):
                hasher.update(piece)
        return hasher.hexdigest()

    def size_bytes(self) -> int:
        return self.size

    def local(self, workspace: Workspace) -> Path:
        """Return the file, fetched: all of it, or an error."""
        target = workspace.file()
        with _speaking(self.shown), _asked(self.address) as answer, target.open("wb") as file:
            if _tag(answer) != self.tag:
                raise SourceError(
                    f"{self.shown} changed while it was read.",
                    why="It is not what it was when it was asked for first.",
                    do="Run again when nobody writes to it.",
                )
            while piece := answer.read(_PIECE_BYTES):
                file.write(piece)
            fetched = file.tell()
        if self.size and fetched != self.size:
            raise SourceError(
                f"{self.shown} broke off after {fetched:,} of {self.size:,} bytes.", do="Run again, or filiera resume."
            )
        return target


def find_web_file(address: str, *, shown: str) -> WebFile:
    """Return the file at an address, called *shown* where people may see it. Raises SourceError."""
    # Asked for as it will be read, and not by HEAD: an address that is signed allows nothing else.
    with _speaking(shown), _asked(address) as answer:
        return WebFile(
            address=address, shown=shown, tag=_tag(answer), size=int(answer.headers.get("Content-Length") or 0)
        )


def _asked(address: str) -> Any:
    safe = quote(address, safe="%/:=&?~#+!$,;'@()*[]")
    request = Request(safe, headers={"User-Agent": "filiera", "Accept-Encoding": "identity"})  # noqa: S310  by its caller
    return urlopen(request, timeout=_SILENCE_S)  # noqa: S310


def _tag(answer: Any) -> str:
    return str(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")


@contextmanager
def _speaking(shown: str) -> Iterator[None]:
    try:
        yield
    except HTTPError as error:
        with error:
            what = f"There is no {shown}." if error.code in (404, 410) else f"Cannot read {shown}."
            why = f"The server answers: {error.code} {error.reason}."
        raise SourceError(what, why=why, do="Correct path in the catalog of filiera.toml.") from error
    except (URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        why = hidden(f"{getattr(error, 'reason', '') or error or type(error).__name__}", shown)
        raise SourceError(f"Cannot read {shown}.", why=f"{why}.", do="Check the address and the network.") from error
