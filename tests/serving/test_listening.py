"""Sockets that services take requests from."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing

import pytest

_LAUNCH = """
import os, sys
first, *words = sys.argv[1:]
os.dup2(int(first), 3)
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "1"
os.execv(sys.executable, [sys.executable, *words])
"""
_LISTEN = """
import os, sys
from filiera.serving.listening import listen
port = int(sys.argv[1])
taken = listen("127.0.0.1", port)
print(taken.fileno(), taken.getsockname()[1] == port, taken.getblocking(), os.get_inheritable(taken.fileno()))
print(listen("127.0.0.1", 0).fileno() != 3)
"""


def _held() -> socket.socket:
    """Return a socket as a service manager makes it."""
    held = socket.create_server(("127.0.0.1", 0))
    held.set_inheritable(True)
    return held


def _run(held: socket.socket, port: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", _LAUNCH, str(held.fileno()), "-c", _LISTEN, str(port)]
    return subprocess.run(words, pass_fds=(held.fileno(),), capture_output=True, text=True, check=False)


def test_a_socket_of_the_service_manager_is_taken_over() -> None:
    """A socket held for the address is used as it is: not made anew, not blocking, and not given to children."""
    with closing(_held()) as held:
        done = _run(held, held.getsockname()[1])
    assert done.stdout.splitlines() == ["3 True False False", "True"], done.stderr


def test_a_socket_for_another_address_is_left_alone() -> None:
    """What the manager holds for another port is not taken for this one."""
    with closing(_held()) as held, closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        other.close()
        done = _run(held, port)
    assert done.stdout.split()[1] == "True", done.stderr
    assert done.stdout.split()[0] != "3"


def test_sockets_of_another_process_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that inherits the variables does not take what was handed to its parent."""
    from filiera.errors import UsageError
    from filiera.serving.listening import listen

    with closing(_held()) as held:
        monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
        monkeypatch.setenv("LISTEN_FDS", "1000")
        with pytest.raises(UsageError, match="Cannot listen"):
            listen("127.0.0.1", held.getsockname()[1])


def test_callers_wait_in_the_socket_while_nothing_runs() -> None:
    """Who calls before the service takes the socket over is answered by it."""
    answer = """
import sys
from filiera.serving.listening import listen
taken = listen("127.0.0.1", int(sys.argv[1]))
taken.setblocking(True)
caller, _ = taken.accept()
caller.sendall(b"here")
"""
    with closing(_held()) as held, closing(socket.create_connection(held.getsockname())) as caller:
        port = str(held.getsockname()[1])
        words = [sys.executable, "-c", _LAUNCH, str(held.fileno()), "-c", answer, port]
        subprocess.run(words, pass_fds=(held.fileno(),), check=True)
        assert caller.recv(4) == b"here"
