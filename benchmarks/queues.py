"""Messages through the queue of a service: how many a second, how soon, and how soon when it sleeps.

``python benchmarks/queues.py [--messages 3000]`` measures the queue in the records, and with it each broker whose
server and library are installed here; and Celery with Redis as its broker, which is installed under ``.venvs``. The
function only notes when it was called. One worker process, eight messages at once. Processor time is that of all
processes but the broker's and the sender's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from peers import SUBJECTS, Subject

from filiera.project.project import Project
from filiera.project.serving.supervising import queue_of, standing_services, tell_of_messages

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests import brokers, servers

CODE = '''\
import os
import time

from filiera import service

FILE = os.open("done", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@service(concurrency=8)
def note(number: int) -> None:
    """Note when it was called."""
    os.write(FILE, f"{number} {time.time()}\\n".encode())
'''
LIMIT_S = 300.0
CELERY = Subject(name="celery", environment="celery", packages=("celery[redis]==5.5.3",), commands={})
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3_000)
    parser.add_argument("--alone", type=int, default=40, help="messages that are put alone")
    parser.add_argument("--only", default="", metavar="WORD", help="those ways that have this word in their name")
    options = parser.parse_args()
    os.environ["BROKER_PASSWORD"] = brokers.PASSWORD
    columns = ["messages of", "put, per second", "put and handled", "of processor time, each"]
    columns += ["accepted to called, median", "95 %", "the same, asleep"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name, make in _ways():
        if options.only in name:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, make(Path(folder)) as way:
                print(f"| {name} | {' | '.join(measured(Path(folder), way, options))} |", flush=True)
    return 0


def measured(folder: Path, way: Way, options: argparse.Namespace) -> list[str]:
    """Return the row of one way to put messages."""
    way.put(range(1))
    _await(lambda: len(called(folder)) == 1)
    many = range(1, options.messages + 1)
    before, started_at = processor_s(way.pids()), time.time()
    sent_s = way.put(many) - started_at
    _await(lambda: len(called(folder)) == 1 + len(many))
    lasted_s = max(called(folder).values()) - started_at
    cost_s = processor_s(way.pids()) - before
    waits = []
    for number in range(10**6, 10**6 + options.alone):
        time.sleep(0.15)  # by turns with what looks ten times a second, and not at the same moment of each turn
        at = way.put(range(number, number + 1))
        _await(lambda one=number: one in called(folder))
        waits.append(max(called(folder)[number] - at, 0.0))
    woken = "never asleep"
    if way.falls_asleep():
        at = way.put(range(2 * 10**6, 2 * 10**6 + 1))
        _await(lambda: 2 * 10**6 in called(folder))
        woken = f"{1000 * (called(folder)[2 * 10**6] - at):.0f} ms"
    return [
        f"{len(many) / sent_s:,.0f}",
        f"{len(many) / lasted_s:,.0f}",
        f"{1000 * cost_s / len(many):.2f} ms",
        f"{1000 * statistics.median(waits):.0f} ms",
        f"{1000 * statistics.quantiles(waits, n=20)[-1]:.0f} ms",
        woken,
    ]


class Way(Protocol):
    """A queue with a worker, and messages for it."""

    def put(self, numbers: range) -> float:
        """Put messages; return when they had been accepted."""

    def pids(self) -> list[int]:
        """Return the processes that see to them, without the broker."""

    def falls_asleep(self) -> bool:
        """Wait until no worker is there; False: one always is."""


class Ours:
    """A function of ``filiera up``, with messages put here or sent to a broker."""

    def __init__(self, folder: Path, server: Any, process: subprocess.Popen[bytes]) -> None:
        self._project, self._server, self._process = Project.open(folder), server, process
        self._queue = queue_of(self._project, "note")

    def put(self, numbers: range) -> float:
        """Put messages; return when they had been accepted."""
        bodies = [json.dumps({"number": number}).encode() for number in numbers]
        if self._server is None:
            self._queue.put(bodies)
            tell_of_messages(self._project)
        else:
            self._server.send("bench", bodies)
        return time.time()

    def pids(self) -> list[int]:
        """Return the supervisor and its workers."""
        (service,) = standing_services(self._project) or ()
        return [self._process.pid, *service["pids"]]

    def falls_asleep(self) -> bool:
        """Wait until no worker is there."""
        _await(lambda: (standing_services(self._project) or [{"state": ""}])[0]["state"] == "asleep")
        return True


class Celerys:
    """A task of Celery on Redis, in one process with eight threads."""

    def __init__(self, worker: subprocess.Popen[str], sender: subprocess.Popen[str]) -> None:
        self._worker, self._sender = worker, sender

    def put(self, numbers: range) -> float:
        """Put messages; return when they had been accepted."""
        if self._sender.stdin is None or self._sender.stdout is None:
            raise TypeError("the sender has no pipes")
        self._sender.stdin.write(f"{numbers.start} {numbers.stop}\n")
        self._sender.stdin.flush()
        return float(self._sender.stdout.readline())

    def pids(self) -> list[int]:
        """Return the worker."""
        return [self._worker.pid]

    def falls_asleep(self) -> bool:
        """A worker of Celery is always there."""
        return False


def called(folder: Path) -> dict[int, float]:
    """Return when each message was noted."""
    try:
        lines = (folder / "done").read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {int(number): float(at) for number, at in (line.split() for line in lines)}


def processor_s(pids: Iterable[int]) -> float:
    """Return the processor time that processes have taken."""
    spent = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent += (int(fields[11]) + int(fields[12])) / _TICKS
    return spent


def _await(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT_S
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError("it takes too long")
        time.sleep(0.01)


@contextmanager
def _ours(folder: Path, make: Callable[[Path], Any] | None = None) -> Iterator[Way]:
    with _running(make) if make else nullcontext() as server:
        (folder / "jobs.py").write_text(CODE)
        text = "[project]\nname = 'bench'\n[service.note]\nfunction = 'jobs:note'\nidle_s = 2\n"
        (folder / "filiera.toml").write_text(text + (f"messages = '{server.url('bench')}'\n" if server else ""))
        command = [sys.executable, "-m", "filiera.cli.main", "up"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            try:
                for line in process.stdout or ():
                    if line.startswith(b"up;"):
                        break
                yield Ours(folder, server, process)
            finally:
                process.terminate()


@contextmanager
def _celery(folder: Path) -> Iterator[Way]:
    CELERY.prepare()
    with servers.running(brokers.RedisServer) as server:
        place = f"redis://:{quote(brokers.PASSWORD, safe='')}@127.0.0.1:{server.port}/0"
        variables = {**CELERY.surroundings({"BROKER": place}), "PYTHONPATH": str(SUBJECTS)}
        pool = ["--pool", "threads", "--concurrency", "8", "--loglevel", "ERROR"]
        commands = (
            [CELERY.program("celery"), "-A", "queue_celery", "worker", *pool],
            [CELERY.program("python"), str(SUBJECTS / "queue_celery.py")],
        )
        worker, sender = (
            subprocess.Popen(
                command,
                cwd=folder,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for command, stdout in zip(commands, (subprocess.DEVNULL, subprocess.PIPE), strict=True)
        )
        with worker, sender:
            try:
                yield Celerys(worker, sender)
            finally:
                worker.kill()
                sender.kill()


def _ways() -> Iterator[tuple[str, Callable[[Path], AbstractContextManager[Way]]]]:
    yield "filiera queue put", _ours
    if shutil.which("redis-server"):
        yield "Redis, appendfsync always", partial(_ours, make=brokers.RedisServer)
        yield "Celery, on the same Redis", _celery
    if shutil.which("rabbitmq-server"):
        yield "RabbitMQ, durable queue", partial(_ours, make=brokers.RabbitServer)
    yield "Kafka, cluster of librdkafka", partial(_ours, make=lambda _: brokers.KafkaCluster())


@contextmanager
def _running(make: Callable[[Path], Any]) -> Iterator[Any]:
    with servers.running(make) as server:
        for prepare in ("declare", "create"):
            if hasattr(server, prepare):
                getattr(server, prepare)("bench")
        yield server


if __name__ == "__main__":
    sys.exit(main())
