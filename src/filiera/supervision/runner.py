"""One service under supervision: its socket, its worker processes, its queue, its triggers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from filiera.core.value import dataclass
from filiera.errors import StoreError
from filiera.supervision.control import Channel, Gone
from filiera.supervision.couriers import Couriers
from filiera.supervision.doorstep import Doorstep
from filiera.supervision.fleet import Drain, Fleet, Kill, Start
from filiera.supervision.intake import Intake
from filiera.supervision.prompting import Prompter
from filiera.supervision.service import Service

_CLOSE_S = 5.0


class Launch(Protocol):
    """Starts a process that works for a service and takes requests from a socket."""

    def __call__(self, service: Service, listener: int) -> subprocess.Popen[bytes]:
        """Return it. Raises OSError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a service under supervision is made of."""

    service: Service
    fleet: Fleet
    couriers: Couriers
    prompter: Prompter
    intake: Intake | None = None
    launch: Launch
    prepare: Callable[[], None]  #: has at hand what makes the next launch quick
    tell: Callable[[str], None]


class Runner:
    """Does for one service what its fleet decides, and tells the fleet what has happened."""

    def __init__(self, parts: Parts) -> None:
        self.service, self.fleet, self.tell = parts.service, parts.fleet, parts.tell
        self.couriers, self.deliveries = parts.couriers, parts.couriers.deliveries
        self._prompter, self._launch = parts.prompter, parts.launch
        self.intake = parts.intake
        self._prepare = parts.prepare
        self.listener: socket.socket | None = None
        self.url = ""
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._channels: dict[int, Channel] = {}
        self._told_to_end: dict[int, str] = {}
        self._started_at: dict[int, float] = {}
        self._doorstep = Doorstep()

    @property
    def pids(self) -> list[int]:
        """Return the numbers of the worker processes."""
        return list(self.fleet.workers)

    def listen(self, listener: socket.socket, url: str, address: tuple[str, int]) -> None:
        """Take requests from *listener*."""
        self.listener, self.url, self.couriers.address = listener, url, address
        self._prepare()

    def step(self, now: float) -> bool:
        """Do what is to be done now; tell whether the processes are others than before. Raises StoreError."""
        has_changed = self._reap(now)
        self._doorstep.sweep(now)
        for action in self.fleet.decide(now):
            match action:
                case Start():
                    self._start(now)
                    has_changed = True
                case Drain(worker):
                    self._tell_to_end(worker)
                case Kill(worker, why):
                    self._kill(worker, why)
        if self.intake is not None:
            self.intake.see_to()
        self._prompter.step()
        if self.fleet.state == "ready":
            limits = self.service.workers
            self.couriers.send_out(limits.in_flight * limits.most)
        elif self.deliveries.has_work():
            self.fleet.wanted()
        return has_changed

    def next_at(self) -> float:
        """Return by when, on the wall clock, a trigger must be looked at."""
        return self._prompter.next_at()

    def knocked(self, now: float) -> None:
        """Somebody has called, and no worker takes calls."""
        if not self.fleet.refuses(now):
            self.fleet.wanted()
        elif self.listener is not None:
            self._doorstep.turn_away(self.listener, now)

    def adopt(self, pid: int, channel: Channel, now: float) -> None:
        """Take over a ready worker that a former supervisor has left."""
        self._channels[pid] = channel
        self.fleet.adopted(pid, now)

    def greeted(self, pid: int, channel: Channel) -> bool:
        """Tell whether the process that has called is a worker of ours; from now on it is heard."""
        if pid not in self._children:
            return False
        self._channels[pid] = channel
        return True

    def hear(self, pid: int, message: dict[str, Any], now: float) -> None:
        """A worker has said something."""
        if pid not in self.fleet.workers:
            return
        if message.get("ready"):
            self.couriers.paths = dict(message["paths"])
            self.fleet.ready(pid, now)
            started_at = self._started_at.pop(pid, None)
            if started_at is not None:
                self.tell(f"worker {pid} is ready after {now - started_at:.2f} s")
        elif "in_flight" in message:
            self.fleet.reported(pid, now, in_flight=message["in_flight"], requests=message["requests"])

    def lost(self, pid: int, now: float) -> None:
        """A worker has hung up: it has ended, or ends now."""
        self._channels.pop(pid, None)
        if pid not in self._children and pid in self.fleet.workers:
            self._ended(pid, "", now)

    def stop(self) -> None:
        """Begin to end: what has begun is finished."""
        if self.intake is not None:
            self.intake.stop()
        self.deliveries.stop()
        self.fleet.stop()

    def kill_all(self) -> None:
        """End all workers at once, which is not held against the messages that they have."""
        with suppress(StoreError):  # then they are suspects
            self.deliveries.give_back()
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Give the socket back, and the connection to the broker."""
        if self.intake is not None:
            self.intake.stop()
            self.intake.join(_CLOSE_S)
        self._doorstep.close()
        if self.listener is not None:
            self.listener.close()

    def _start(self, now: float) -> None:
        if self.listener is None:
            raise RuntimeError("a service starts workers only once it listens")
        try:
            child = self._launch(self.service, self.listener.fileno())
        except OSError as error:
            self.tell(f"no worker can be started: {error}")
            self.fleet.started(-1, now)
            self.fleet.ended(-1, now)
            return
        self._children[child.pid] = child
        self._started_at[child.pid] = now
        self.fleet.started(child.pid, now)

    def _reap(self, now: float) -> bool:
        gone = [(pid, code) for pid, child in self._children.items() if (code := child.poll()) is not None]
        for pid, code in gone:
            del self._children[pid]
            channel = self._channels.pop(pid, None)
            if channel is not None:
                channel.end()  # its watcher closes it: the next caller may have its number then
            self._ended(pid, _ending(code), now)
        return bool(gone)

    def _ended(self, pid: int, how: str, now: float) -> None:
        self._started_at.pop(pid, None)
        why = self._told_to_end.pop(pid, "")
        delay_s = self.fleet.ended(pid, now)
        if delay_s is None:
            self.tell(f"worker {pid} has ended")
            if not self.fleet.workers and not self.fleet.is_stopping:
                self._prepare()
            return
        because = f": {why}" if why else how
        if self.fleet.refuses(now):
            self.tell(f"worker {pid} has ended{because}; given up for {delay_s:.0f} s, callers are told 503 meanwhile")
        else:
            again = f"in {delay_s:.1f} s" if delay_s else "at once"
            self.tell(f"worker {pid} has ended{because}; when one is needed, it is started {again}")

    def _tell_to_end(self, pid: int) -> None:
        channel = self._channels.get(pid)
        try:
            if channel is None:
                os.kill(pid, signal.SIGTERM)
            else:
                channel.send({"drain": True})
        except (Gone, ProcessLookupError):
            return  # it is ending, which is seen soon

    def _kill(self, pid: int, why: str) -> None:
        self._told_to_end[pid] = why
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _ending(code: int) -> str:
    """Return how a process has ended, to follow "has ended".

    >>> _ending(-9), _ending(4)
    (' by SIGKILL', ' with exit code 4')
    """
    if code < 0:
        with suppress(ValueError):
            return f" by {signal.Signals(-code).name}"
    return f" with exit code {code}"
