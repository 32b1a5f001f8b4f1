"""Messages through the queue of a service: how many a second, how soon, and how soon when it sleeps.

``python benchmarks/queues.py [--messages 3000]`` measures the queue in the records, and with it each broker whose
server and library are installed here. The function only notes when it was called. One worker, eight messages at once.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3_000)
    parser.add_argument("--alone", type=int, default=40, help="messages that are put alone")
    options = parser.parse_args()
    os.environ["BROKER_PASSWORD"] = brokers.PASSWORD
    print(
        "| messages of | per second | of processor time, each | accepted to called, median | 95 % | the same, asleep |"
    )
    print("|---|---|---|---|---|---|")
    for name, server in (("filiera queue put", None), *_servers()):
        with server() if server else _nobody() as found, tempfile.TemporaryDirectory() as folder:
            print(f"| {name} | {' | '.join(measured(Path(folder), found, options))} |", flush=True)
    return 0


def measured(folder: Path, server: Any, options: argparse.Namespace) -> list[str]:
    """Return the row of one way to put messages."""
    (folder / "jobs.py").write_text(CODE)
    text = "[project]\nname = 'bench'\n[service.note]\nfunction = 'jobs:note'\nidle_s = 2\n"
    (folder / "filiera.toml").write_text(text + (f"messages = '{server.url('bench')}'\n" if server else ""))
    project = Project.open(folder)
    queue = queue_of(project, "note")

    def put(numbers: range) -> None:
        bodies = [json.dumps({"number": number}).encode() for number in numbers]
        if server is None:
            queue.put(bodies)
            tell_of_messages(project)
        else:
            server.send("bench", bodies)

    with _up(folder) as process:
        put(range(1))
        _await(lambda: len(called(folder)) == 1)
        many = range(1, options.messages + 1)
        before, started_at = processor_s(process.pid, project), time.time()
        put(many)
        _await(lambda: len(called(folder)) == 1 + len(many))
        lasted_s = max(called(folder).values()) - started_at
        cost_s = processor_s(process.pid, project) - before
        waits = []
        for number in range(10**6, 10**6 + options.alone):
            time.sleep(0.15)  # by turns with what looks ten times a second, and not at the same moment of each turn
            put(range(number, number + 1))
            at = time.time()
            _await(lambda one=number: one in called(folder))
            waits.append(max(called(folder)[number] - at, 0.0))
        _await(lambda: (standing_services(project) or [{"state": ""}])[0]["state"] == "asleep")
        put(range(2 * 10**6, 2 * 10**6 + 1))
        at = time.time()
        _await(lambda: 2 * 10**6 in called(folder))
        woken_s = called(folder)[2 * 10**6] - at
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT_S)
    return [
        f"{len(many) / lasted_s:,.0f}",
        f"{1000 * cost_s / len(many):.2f} ms",
        f"{1000 * statistics.median(waits):.0f} ms",
        f"{1000 * statistics.quantiles(waits, n=20)[-1]:.0f} ms",
        f"{1000 * woken_s:.0f} ms",
    ]


def called(folder: Path) -> dict[int, float]:
    """Return when each message was noted."""
    try:
        lines = (folder / "done").read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {int(number): float(at) for number, at in (line.split() for line in lines)}


def processor_s(supervisor: int, project: Project) -> float:
    """Return the processor time that the supervisor and the workers have taken."""
    (service,) = standing_services(project) or ()
    spent = 0.0
    for pid in (supervisor, *service["pids"]):
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
def _up(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "filiera.cli.main", "up"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            for line in process.stdout or ():
                if line.startswith(b"up;"):
                    break
            yield process
        finally:
            process.kill()


@contextmanager
def _nobody() -> Iterator[None]:
    yield None


def _servers() -> Iterator[tuple[str, Callable[[], Any]]]:
    import shutil

    if shutil.which("redis-server"):
        yield "Redis, appendfsync always", lambda: _running(brokers.RedisServer)
    if shutil.which("rabbitmq-server"):
        yield "RabbitMQ, durable queue", lambda: _running(brokers.RabbitServer)
    yield "Kafka, cluster of librdkafka", _kafka


@contextmanager
def _running(make: Callable[[Path], Any]) -> Iterator[Any]:
    with servers.running(make) as server:
        if hasattr(server, "declare"):
            server.declare("bench")
        yield server


@contextmanager
def _kafka() -> Iterator[Any]:
    cluster = brokers.KafkaCluster()
    cluster.create("bench")
    yield cluster


if __name__ == "__main__":
    sys.exit(main())
