"""The process that holds the sockets of services and sees to their workers, for as long as it lives."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from filiera.core.value import dataclass
from filiera.errors import FilieraError, StoreError, UsageError
from filiera.supervision.control import Channel, Gone, open_control
from filiera.supervision.fleet import DRAIN_S
from filiera.supervision.runner import Runner

WORKERS_FILE = "workers.json"
_ADOPTION_S = 3.0
_STRANGER_S = 30.0
"""After a supervisor was killed, it is waited so long for an address: a worker that still starts may have it."""
_LOOK_S = 0.1
"""So often it is looked whether a message has come or a child has ended."""
_KEEP_S = 15.0
_MOURN_S = 60.0
_LAST_WORDS_S = 1.0
"""What the last worker has answered is read for so long after its end."""


class Processes(Protocol):
    """Knows processes of this machine by more than their number, which another one may have later."""

    def identity(self, pid: int) -> str:
        """Return what names the process for ever."""

    def is_alive(self, identity: str) -> bool:
        """Tell whether that process still runs."""


Listen = Callable[[str, int], socket.socket]
"""Returns a socket that listens at host and port. Raises UsageError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """What a supervisor needs from the outside world."""

    folder: Path  #: of this project's supervisor, in its store
    listen: Listen
    url_of: Callable[[socket.socket], str]
    processes: Processes
    say: Callable[[str, str], None]  #: prints about a service, or "" for all
    clock: Callable[[], float] = time.time


class Supervisor:
    """Runs services until it is told to end."""

    def __init__(self, runners: Sequence[Runner], outside: Outside) -> None:
        self._runners = {runner.service.name: runner for runner in runners}
        self._outside = outside
        self._selector = selectors.DefaultSelector()
        self._callers: dict[Channel, tuple[Runner, int] | None] = {}
        self._watched: set[str] = set()
        self._stop_at: float | None = None
        self._until = 0.0  # once no worker is left: when it ends, whatever is still under way
        self._is_killing = False
        self._alarm: socket.socket | None = None
        self._keep_at = 0.0
        self._silent_until: dict[str, float] = {}

    def run(self, on_up: Callable[[Sequence[Runner]], None]) -> None:
        """Run until SIGTERM or SIGINT; come back when all that had begun is finished. A second signal ends it at once.

        Args:
            on_up: Called once, when all services listen.

        Raises:
            UsageError: An address cannot be listened on.
            StoreError: The store's folder cannot be used.
        """
        with self._signals(), self._control():
            try:
                until = time.monotonic() + (_STRANGER_S if self._take_over() else 0.0)
                self._write_workers()
                for runner in self._runners.values():
                    if runner.intake is not None:
                        runner.intake.has_come = self._wake
                    self._bind(runner, until)
                on_up(list(self._runners.values()))
                while not self._is_finished():
                    self._turn()
            finally:
                self._end()

    # One turn of the loop

    def _turn(self) -> None:
        now = time.monotonic()
        changed = [self._step(runner, now) for runner in self._runners.values()]
        if any(changed):
            self._write_workers()
        if now >= self._keep_at:
            self._keep_at = now + _KEEP_S
            for runner in self._runners.values():
                with self._mourned(runner):
                    runner.deliveries.keep()
        self._watch()
        for key, _ in self._selector.select(_LOOK_S):
            key.data(time.monotonic())

    def _step(self, runner: Runner, now: float) -> bool:
        with self._mourned(runner):
            return runner.step(now)
        return False

    @contextmanager
    def _mourned(self, runner: Runner) -> Iterator[None]:
        """Say what the store refuses, once a minute, and go on: services answer without it."""
        try:
            yield
        except StoreError as error:
            now = time.monotonic()
            if now >= self._silent_until.get(runner.service.name, 0.0):
                self._silent_until[runner.service.name] = now + _MOURN_S
                runner.tell(f"its queue cannot be used at the moment: {error}")

    def _watch(self) -> None:
        """Watch the sockets of those services, and only those, that no worker takes requests from."""
        wanted = {name for name, runner in self._runners.items() if runner.fleet.listens}
        for name in wanted - self._watched:
            self._selector.register(self._listener(name), selectors.EVENT_READ, self._runners[name].knocked)
        for name in self._watched - wanted:
            self._selector.unregister(self._listener(name))
        self._watched = wanted

    def _listener(self, name: str) -> socket.socket:
        listener = self._runners[name].listener
        if listener is None:
            raise RuntimeError(f"{name} does not listen")
        return listener

    def _is_finished(self) -> bool:
        if self._stop_at is None:
            return False
        now = time.monotonic()
        if self._is_killing or now >= self._stop_at:
            for runner in self._runners.values():
                runner.kill_all()
        if any(runner.pids for runner in self._runners.values()):
            self._until = now + _LAST_WORDS_S
            return False
        is_over = self._is_killing or now >= self._until  # what waits for a worker still will have none
        return is_over or not any(runner.deliveries.under_way for runner in self._runners.values())

    # Signals

    @contextmanager
    def _signals(self) -> Iterator[None]:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
        former = {number: signal.signal(number, lambda *_: None) for number in numbers}
        wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)

        def told(_: float) -> None:
            for number in ours.recv(1024):
                if number in (signal.SIGINT, signal.SIGTERM):
                    self._stop()

        self._alarm = theirs
        self._selector.register(ours, selectors.EVENT_READ, told)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in former.items():
                signal.signal(number, handler)
            self._selector.close()
            ours.close()
            theirs.close()

    def _wake(self) -> None:
        """Let the loop look around at once; may be called by any thread."""
        if self._alarm is not None:
            with suppress(OSError):  # full: it will look; closed: it has ended
                self._alarm.send(b"\0")

    def _stop(self) -> None:
        if self._stop_at is not None:
            self._is_killing = True
            return
        self._stop_at = time.monotonic() + DRAIN_S
        self._until = time.monotonic() + _LAST_WORDS_S
        self._outside.say("", "ending: what has begun is finished; once more ends it at once")
        for runner in self._runners.values():
            runner.stop()

    def _end(self) -> None:
        for runner in self._runners.values():
            runner.kill_all()
            runner.close()
        (self._outside.folder / WORKERS_FILE).unlink(missing_ok=True)

    # The control socket

    @contextmanager
    def _control(self) -> Iterator[None]:
        try:
            control = open_control(self._outside.folder)
        except OSError as error:
            raise StoreError(
                f"{self._outside.folder} cannot be used.", why=f"The system says: {error.strerror}."
            ) from error

        def called(_: float) -> None:
            with suppress(OSError):
                channel = Channel(control.accept()[0])
                self._callers[channel] = None
                self._selector.register(channel.socket, selectors.EVENT_READ, lambda now: self._hear(channel, now))

        self._selector.register(control, selectors.EVENT_READ, called)
        try:
            yield
        finally:
            for channel in self._callers:
                channel.close()
            control.close()

    def _hear(self, channel: Channel, now: float) -> None:
        try:
            messages = channel.receive()
            for message in messages:
                self._answer(channel, message, now)
        except (Gone, KeyError, TypeError, ValueError, AttributeError):  # the last ones: it speaks another language
            self._hang_up(channel, now)

    def _hang_up(self, channel: Channel, now: float) -> None:
        self._selector.unregister(channel.socket)
        worker = self._callers.pop(channel)
        channel.close()
        if worker is not None:
            runner, pid = worker
            runner.lost(pid, now)

    def _answer(self, channel: Channel, message: Mapping[str, Any], now: float) -> None:
        worker = self._callers[channel]
        if worker is not None:
            worker[0].hear(worker[1], dict(message), now)
        elif "hello" in message:
            self._greet(channel, message, now)
        elif "status" in message:
            channel.send({"services": [snapshot(runner) for runner in self._runners.values()]})
        elif "renew" in message:
            runner = self._runners.get(str(message["renew"]))
            if runner is not None:
                runner.fleet.renew()
            channel.send({"renewed": runner is not None})

    def _greet(self, channel: Channel, message: Mapping[str, Any], now: float) -> None:
        runner, pid = self._runners.get(str(message["hello"])), int(message["pid"])
        if runner is None or self._stop_at is not None:
            channel.send({"drain": True})
            return
        if not runner.greeted(pid, channel):
            if not message.get("ready") or message.get("address") != runner.service.address_digest:
                channel.send({"drain": True})
                return
            if runner.listener is None:
                self._give(runner, socket.socket(fileno=channel.descriptors.pop()))
            runner.adopt(pid, channel, now)
            runner.tell(f"worker {pid} of the supervisor before is taken over, and replaced by a new one")
            self._write_workers()
        self._callers[channel] = (runner, pid)
        runner.hear(pid, dict(message), now)

    # Workers of a supervisor that was killed

    def _take_over(self) -> bool:
        """Let workers of a killed supervisor call in, and end those that do not; tell whether there was one."""
        left = self._read_workers()
        if left is None:
            return False
        until = time.monotonic() + _ADOPTION_S
        while waits := [pid for pid, who in left.items() if not self._is_ours(pid) and self._lives(who)]:
            if time.monotonic() >= until:
                break
            for key, _ in self._selector.select(_LOOK_S):
                key.data(time.monotonic())
        for pid in waits:
            self._outside.say("", f"worker {pid} of the supervisor before does not call, and is ended")
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(self._lives(left[pid]) for pid in waits):
            self._selector.select(_LOOK_S)
        return True

    def _bind(self, runner: Runner, until: float) -> None:
        """Give a service its socket; until then wait for a worker that a killed supervisor had no time to note."""
        while runner.listener is None:
            try:
                self._give(runner, self._outside.listen(runner.service.host, runner.service.port))
            except UsageError:
                if time.monotonic() >= until:
                    raise
                for key, _ in self._selector.select(_LOOK_S):
                    key.data(time.monotonic())

    def _lives(self, identity: str) -> bool:
        return self._outside.processes.is_alive(identity)

    def _is_ours(self, pid: int) -> bool:
        return any(pid in runner.pids for runner in self._runners.values())

    def _read_workers(self) -> dict[int, str] | None:
        """Return the workers that the supervisor before has noted; None: it has ended well, or there was none."""
        try:
            known = json.loads((self._outside.folder / WORKERS_FILE).read_text(encoding="utf-8"))
            return {int(pid): str(identity) for pid, identity in known.items()}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError):
            return {}

    def _write_workers(self) -> None:
        pids = [pid for runner in self._runners.values() for pid in runner.pids]
        file = self._outside.folder / WORKERS_FILE
        partial = file.with_suffix(".partial")
        try:
            partial.write_text(json.dumps({pid: self._outside.processes.identity(pid) for pid in pids}))
            partial.replace(file)
        except OSError as error:
            self._outside.say("", f"{file} cannot be written: {error.strerror}")

    def _give(self, runner: Runner, listener: socket.socket) -> None:
        listener.setblocking(False)
        host, port = listener.getsockname()[:2]
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  an address to compare with
        runner.listen(listener, self._outside.url_of(listener), (local, port))


def snapshot(runner: Runner) -> dict[str, Any]:
    """Return how a service stands, for ``filiera services``."""
    fleet = runner.fleet
    return {
        "name": runner.service.name,
        "state": fleet.state,
        "url": runner.url,
        "workers": len(fleet.workers),
        "in_flight": fleet.in_flight,
        "requests": fleet.requests,
        "restarts": fleet.restarts,
        "wakes": fleet.wakes,
        "pids": runner.pids,
        "messages": runner.intake.state if runner.intake is not None else "",
    }


def ask(channel: Channel, question: Mapping[str, Any], timeout_s: float = 5.0) -> dict[str, Any]:
    """Return what a supervisor answers. Raises FilieraError: it does not."""
    channel.socket.setblocking(True)
    channel.socket.settimeout(timeout_s)
    try:
        channel.send(dict(question))
        while not (found := channel.receive()):
            pass
        return found[0]
    except (Gone, OSError) as error:
        raise FilieraError("The supervisor does not answer.", do="look at what filiera up prints") from error
    finally:
        channel.close()
