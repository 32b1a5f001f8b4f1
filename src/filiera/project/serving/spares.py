"""Spare processes: they have loaded what takes long, and wait to be told which service to work for.

A model in its own library wakes in the time that reading it takes: importing scikit-learn takes several times as long.
There is one spare for each set of libraries that a sleeping service needs. It holds no model and no code of the
project, ends with its supervisor, and is never waited for. Not a fork of one process for all: libraries that compute
start threads when they are loaded, which no fork has.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

Begin = Callable[[dict[str, Any], Sequence[int]], "subprocess.Popen[bytes]"]
"""Starts a process of a service worker with these words, and with these descriptors."""
_LONGEST_WORDS = 65_536


class Spares:
    """Keeps a process ready for each set of libraries that is asked for."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._waiting: dict[tuple[str, ...], tuple[subprocess.Popen[bytes], socket.socket]] = {}

    def prepare(self, libraries: tuple[str, ...]) -> None:
        """Have a process load *libraries*, unless one does or has. Raises OSError."""
        found = self._waiting.get(libraries)
        if not libraries or (found is not None and found[0].poll() is None):
            return
        self._forget(libraries)
        ours, theirs = socket.socketpair()
        with theirs:
            process = self._begin({"spare": theirs.fileno(), "libraries": libraries}, [theirs.fileno()])
        self._waiting[libraries] = process, ours

    def try_take(
        self, libraries: tuple[str, ...], words: dict[str, Any], listener: int
    ) -> subprocess.Popen[bytes] | None:
        """Return the process that works as *words* say from now on, or None when none is ready for that."""
        found = self._waiting.pop(libraries, None)
        if found is None:
            return None
        process, ours = found
        with ours, suppress(OSError):
            if process.poll() is None:
                socket.send_fds(ours, [json.dumps(words).encode()], [listener])
                return process
        return None

    def close(self) -> None:
        """Let all that wait end."""
        for libraries in list(self._waiting):
            self._forget(libraries)

    def _forget(self, libraries: tuple[str, ...]) -> None:
        found = self._waiting.pop(libraries, None)
        if found is not None:
            found[1].close()


def wait_for_words(channel: int, libraries: Sequence[str]) -> dict[str, Any] | None:
    """Load *libraries*, then return what a supervisor says, with the ``listener`` that came along; None: it is gone."""
    for name in libraries:
        with suppress(ImportError):  # the service says what is missing, when it is asked to start
            importlib.import_module(name)
    with socket.socket(fileno=channel) as theirs:
        content, descriptors, _, _ = socket.recv_fds(theirs, _LONGEST_WORDS, 1)
    if not content:
        return None
    (listener,) = descriptors
    os.set_inheritable(listener, False)
    words: dict[str, Any] = {**json.loads(content), "listener": listener}
    return words
