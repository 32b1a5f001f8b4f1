"""How the supervisor, its workers and the command line talk: JSON lines over a socket in the store's folder."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAME = "control.sock"
_LONGEST_ADDRESS = 100
_CHUNK = 65_536


class Gone(Exception):
    """The other side has closed, or does not take what is sent to it."""


class Channel:
    """One end of a connection. Nothing here waits."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self._rest = b""
        self.descriptors: list[int] = []  #: that came along and nobody has taken; they are ours to close

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send a message, which is small, perhaps with open files. Raises Gone."""
        line = json.dumps(message).encode() + b"\n"
        try:
            sent = socket.send_fds(self.socket, [line], list(descriptors))
        except OSError as error:
            raise Gone from error
        if sent != len(line):
            raise Gone

    def receive(self) -> list[dict[str, Any]]:
        """Return the messages that have come, perhaps none. Raises Gone."""
        try:
            content, descriptors, _, _ = socket.recv_fds(self.socket, _CHUNK, 1)
        except BlockingIOError:
            return []
        except OSError as error:
            raise Gone from error
        self.descriptors += descriptors
        if not content:
            raise Gone
        *lines, self._rest = (self._rest + content).split(b"\n")
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise Gone from error

    def end(self) -> None:
        """Let who watches this end see that it is over, as if the other side had hung up; it is open until then."""
        with suppress(OSError):  # it is over already
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up."""
        self.socket.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


def open_control(folder: Path) -> socket.socket:
    """Return a socket that listens in *folder* for this user, in place of one that was. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with suppress(FileNotFoundError):
        (folder / NAME).unlink()
    with _address(folder) as address:
        listener.bind(address)
    (folder / NAME).chmod(0o600)
    listener.listen(128)
    listener.setblocking(False)
    return listener


def connect(folder: Path) -> Channel:
    """Return a connection to who listens in *folder*. Raises OSError: nobody does."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(folder) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return Channel(connection)


def knock(folder: Path) -> None:
    """Let who listens in *folder*, if anybody does, look around at once."""
    with suppress(OSError):
        connect(folder).close()


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """Give the address of the socket in *folder*: the system takes about a hundred bytes, and paths may be longer."""
    whole = str((folder / NAME).absolute())
    if len(os.fsencode(whole)) <= _LONGEST_ADDRESS:
        yield whole
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
