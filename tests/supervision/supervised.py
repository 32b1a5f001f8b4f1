"""Start a small supervisor, and look at it from outside as its users do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.supervision.control import connect
from filiera.supervision.queue import MessageQueue
from filiera.supervision.supervisor import ask

ROOT = Path(__file__).parents[2]
LIMIT_S = 120.0


@dataclass
class Supervised:
    """A supervisor that runs."""

    folder: Path
    process: subprocess.Popen[str]
    url: str
    said: list[str]

    def call(self, **order: object) -> dict[str, Any]:
        """Return what the service answers. Raises OSError: it does not, or not well."""
        body = json.dumps(order).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url, data=body), timeout=LIMIT_S) as response:
            found: dict[str, Any] = json.load(response)
        return found

    def refusal(self, **order: object) -> tuple[int, dict[str, str]]:
        """Return status and headers of the answer to a call that fails."""
        try:
            self.call(**order)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers)
        raise AssertionError("it did not fail")

    def standing(self) -> dict[str, Any]:
        """Return what ``filiera services`` shows."""
        found: dict[str, Any] = ask(connect(self.folder), {"status": True})["services"][0]
        return found

    def wait_until(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return how it stands when that is as asked for."""
        return wait_for(self.standing, is_so)

    def says(self, word: str) -> str:
        """Return the next line that it prints with *word* in it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if word in line:
                return line
        raise AssertionError(f"{word!r} is not in {self.said}")

    def end(self) -> str:
        """Tell it to end; return the rest of what it prints."""
        self.process.send_signal(signal.SIGTERM)
        rest, _ = self.process.communicate(timeout=LIMIT_S)
        return rest

    def kill(self) -> None:
        """Kill it, and leave its workers alone."""
        self.process.kill()
        self.process.wait()


def wait_for(look: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    """Return what a look finds when it is as asked for; look again and again until then."""
    until = time.monotonic() + LIMIT_S
    while not is_so(found := look()):
        assert time.monotonic() < until, found
        time.sleep(0.02)
    return found


@contextmanager
def supervised(folder: Path, **options: Any) -> Iterator[Supervised]:
    """Run a supervisor until the block ends; then nothing of it is left."""
    command = [sys.executable, "-m", "tests.supervision.small_supervisor", str(folder), json.dumps(options)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        running = Supervised(folder, process, "", [])
        try:
            running.url = running.says("up at http").rsplit(" ", 1)[1].strip()
            yield running
        finally:
            process.kill()


def end_orphans(folder: Path) -> None:
    """Kill workers whose supervisor was killed."""
    with suppress(OSError, ValueError):
        for pid in json.loads((folder / "workers.json").read_text()):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@contextmanager
def queue_of(folder: Path) -> Iterator[MessageQueue]:
    """Give the queue of the service, as another process sees it."""
    records = SqliteRecords(folder / "records.db")
    try:
        yield MessageQueue(records, "work", clock=time.time)
    finally:
        records.close()


def done(folder: Path) -> list[str]:
    """Return what workers have noted."""
    try:
        return (folder / "done").read_text().splitlines()
    except FileNotFoundError:
        return []
