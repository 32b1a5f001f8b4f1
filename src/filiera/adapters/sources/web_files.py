"""Files on web servers, by their address: fetched when they are read.

What a file holds is known by the entity tag or the time of change that the server sends with it, without its content;
of a server that sends neither, it is fetched to find out.
"""

from __future__ import annotations

import functools
import http.client
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

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
    return _opener().open(request, timeout=_SILENCE_S)


@functools.cache
def _opener() -> OpenerDirector:
    return build_opener(_Redirects)


class _Redirects(HTTPRedirectHandler):
    """Goes where a server sends us, unless that is where only we could get."""

    def redirect_request(self, req: Request, *answer: Any) -> Any:
        require_harmless(req.full_url, answer[-1])
        return super().redirect_request(req, *answer)


def require_harmless(here: str, there: str) -> None:
    """Raise SourceError when the server at the address *here* must not send us *there*.

    From https it may not lead to where others read along. What is no part of this machine may not lead into it, nor to
    what is next to it, where clouds keep credentials: a stranger's server would choose what is read of ours.
    """
    old, new = urlsplit(here), urlsplit(there)
    if new.scheme != "https" and (new.scheme, old.scheme) != ("http", "http"):
        what = f"from {old.scheme} to {new.scheme or 'no protocol'}"
    elif _is_inside(new.hostname or "") and not _is_inside(old.hostname or ""):
        what = "to an address of this machine, or next to it"
    else:
        return
    raise SourceError(
        f"{old.hostname} sends us {what}, where we do not follow.",
        do="If the file is there, name its own address in the catalog of filiera.toml.",
    )


def _is_inside(host: str) -> bool:
    try:
        found = {str(each[4][0]).partition("%")[0] for each in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):  # as behind a proxy, which knows the names of the world
        return False
    addresses = [getattr(each, "ipv4_mapped", None) or each for each in map(ipaddress.ip_address, found)]
    return any(each.is_loopback or each.is_link_local or each.is_unspecified for each in addresses)


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
