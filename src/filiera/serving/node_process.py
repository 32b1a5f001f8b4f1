"""A node of a serving graph in a process of its own: asked over a socket, started again when it ends."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from filiera.errors import ProjectError
from filiera.serving.batch import Batch, Outputs
from filiera.serving.course import NodeDied, NodeDown, NodeLate, course
from filiera.serving.node_wire import Incoming, Told, ask_of, outputs_of, send
from filiera.serving.predictor import PredictionFailed

_START_S = 120.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
_SHORTEST_S = 1e-6

Launch = Callable[[socket.socket], "subprocess.Popen[bytes]"]
"""Starts a process that answers for the node over its end of a socket."""


class NodeProcess:
    """Asks a process, one batch at a time, and starts another when it has ended."""

    is_brief = False
    runtime = "process"

    def __init__(self, name: str, launch: Launch) -> None:
        """Prepare to ask what *launch* starts for the node *name*."""
        self.name = name
        self.restarts = 0  #: how often it was started again
        self._launch = launch
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._incoming: Incoming | None = None
        self._asking = threading.Lock()
        self._number = 0
        self._pause_s = 0.0
        self._since_s = 0.0
        self._is_over = threading.Event()

    def start(self) -> None:
        """Start the process and come back when it is ready. Raises ProjectError when it does not come up."""
        if not self._begin():
            raise ProjectError(
                f"The process of node {self.name!r} did not come up.",
                why="What it says is printed above.",
                do=f"Let the node run in this process: leave {self.name!r} out of the configuration of the graph.",
            )

    def stop(self) -> None:
        """End the process."""
        self._is_over.set()
        self._close()

    def predict(self, batch: Batch) -> Outputs:
        """Return what the node says. Raises PredictionFailed, NodeDown, NodeDied, NodeLate."""
        left_s = course().left_s
        if not self._asking.acquire(timeout=-1 if left_s is None else left_s):
            raise NodeLate(self.name)
        try:
            told = self._exchanged(batch)
        finally:
            self._asking.release()
        if told.failed:
            raise PredictionFailed(told.failed, why=told.why)
        if told.down:
            raise (NodeDied if told.died else NodeDown)(told.down, told.why)
        if told.late:
            raise NodeLate(told.late)
        return outputs_of(told.outputs)

    def _exchanged(self, batch: Batch) -> Told:
        connection, incoming = self._connection, self._incoming
        if connection is None or incoming is None:
            raise NodeDown(self.name, "Its process has ended, and another one is not ready yet.")
        self._number += 1
        is_asked, now = False, course()
        try:
            connection.settimeout(None)  # the other side reads one question behind the other
            send(connection, ask_of(self._number, batch, now.left_s))
            is_asked = True
            while True:
                connection.settimeout(None if now.left_s is None else max(_SHORTEST_S, now.left_s))
                told = msgspec.msgpack.decode(incoming.receive(), type=Told)
                if told.number == self._number:  # else it answers what nobody waits for any more
                    return told
        except TimeoutError:
            raise NodeLate(self.name) from None
        except (OSError, EOFError, msgspec.DecodeError) as error:
            self._lost()
            kind = NodeDied if is_asked else NodeDown
            raise kind(self.name, "Its process has ended.") from error

    def _lost(self) -> None:
        self._close()
        if not self._is_over.is_set():
            threading.Thread(target=self._again, name=f"restart {self.name}", daemon=True).start()

    def _again(self) -> None:
        if time.monotonic() - self._since_s >= _STEADY_S:
            self._pause_s = 0.0
        while not self._is_over.wait(self._pause_s):
            self._pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * self._pause_s))
            self.restarts += 1
            if self._begin():
                return

    def _begin(self) -> bool:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = self._launch(theirs)
        ours.settimeout(_START_S)
        incoming = Incoming(ours)
        try:
            incoming.receive()
        except (OSError, EOFError):
            ours.close()
            self._end_process()
            return False
        self._since_s = time.monotonic()
        self._connection, self._incoming = ours, incoming
        if self._is_over.is_set():
            self._close()
        return True

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._end_process()

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.kill()
        process.wait()
