"""Sockets that services take requests from. Loads nothing: a supervisor holds them for workers that sleep."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any

from filiera.errors import UsageError

BACKLOG = 1024
_LAST_PORT = 65_535
_FIRST_HELD = 3
"""The file descriptor of the first socket that a service manager hands over: those of standard streams come before."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at *host* and *port*; 0 takes a free one. Raises UsageError.

    One that a service manager such as systemd holds for this address is taken over: callers wait in it while services
    start or are replaced.
    """
    if not 0 <= port <= _LAST_PORT:
        raise _unusable(host, port, f"ports end at {_LAST_PORT}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        held = _held(family, address)
        listener = held or socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _unusable(host, port, error) from error
    try:
        # Without SO_REUSEPORT, which some servers set: two services on one port would share its callers.
        if held is None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _unusable(host, port, error) from error
    return listener


def _held(family: int, address: Any) -> socket.socket | None:
    """Return the socket at *address* that was handed over to this process, or None.

    Source: the protocol of systemd, ``sd_listen_fds(3)``: sockets begin at descriptor 3, ``LISTEN_FDS`` says how many,
    and ``LISTEN_PID`` to whom, so that children do not take them.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not address[1]:
        return None
    count = os.environ.get("LISTEN_FDS", "")
    for descriptor in range(_FIRST_HELD, _FIRST_HELD + (int(count) if count.isdecimal() else 0)):
        try:
            found = socket.socket(fileno=descriptor)
        except OSError:  # it is no socket, or was taken over before
            continue
        listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if listens and found.family == family and found.getsockname()[:2] == address[:2]:
            found.set_inheritable(False)
            return found
        found.detach()
    return None


def _unusable(host: str, port: int, error: Exception | str) -> UsageError:
    return UsageError(
        f"Cannot listen on {host}, port {port}.",
        why=getattr(error, "strerror", None) or str(error),
        do="choose another port, or 0 for any free one",
    )


def url_of(listener: socket.socket) -> str:
    """Return the address of what answers on *listener*."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def must_have_token(host: str) -> bool:
    """Tell whether a service bound to *host* can be reached from other machines, so that it needs a token.

    >>> must_have_token("127.0.0.1"), must_have_token("::1"), must_have_token("0.0.0.0")
    (False, False, True)
    """
    return not is_local(host)


def is_local(host: str) -> bool:
    """Tell whether *host* means this machine and can be reached from it only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
