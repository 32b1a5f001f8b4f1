"""Measure requests of 1,000 rows by 100 columns, in each body that a service takes, beside services that take JSON.

All servers run at once and take turns within a round; one that waits takes no processor time. What is compared is the
processor time that the processes of a server take for a request, which other programs do not change much.

    python benchmarks/serving_bodies.py --rounds 10
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peers import SUBJECTS, VENVS, CommandFailed, Subject

sys.path.insert(0, str(SUBJECTS))
ROWS, COLUMNS, REQUESTS = 1000, 100, 5
START_S = 90
NAMES = [f"f{place}" for place in range(COLUMNS)]
MATRIX = np.random.default_rng(1).normal(size=(ROWS, COLUMNS))
PEERS = {
    "FastAPI": Subject(
        name="FastAPI",
        environment="fastapi",
        packages=("fastapi", "uvicorn", "uvloop", "httptools", "scikit-learn==1.9.1", "skops", "polars"),
        commands={},
    ),
    "LitServe": Subject(
        name="LitServe",
        environment="litserve",
        packages=("litserve", "scikit-learn==1.9.1", "skops", "polars"),
        commands={},
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way to send the rows to one server."""

    name: str
    server: str
    path: str
    headers: dict[str, str]
    body: Callable[[], bytes]
    peer: bool = False


def _json(instances: object) -> Callable[[], bytes]:
    return lambda: json.dumps({"instances": instances}).encode()


def _tensor(**more: object) -> dict[str, object]:
    return {"name": "rows", "datatype": "FP64", "shape": [ROWS, COLUMNS], **more}


BINARY_HEAD = json.dumps(
    {
        "inputs": [_tensor(parameters={"binary_data_size": MATRIX.nbytes})],
        "parameters": {"binary_data_output": True},
    }
).encode()


def _arrow() -> bytes:
    import pyarrow as pa

    table = pa.table({name: np.ascontiguousarray(MATRIX[:, place]) for place, name in enumerate(NAMES)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


OBJECTS = [dict(zip(NAMES, row, strict=True)) for row in MATRIX.tolist()]
JSON = {"Content-Type": "application/json"}
BINARY = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(BINARY_HEAD))}
ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}

LISTS = _json(MATRIX.tolist())


def _ours(suffix: str) -> tuple[Way, ...]:
    predict, infer = "/v1/models/m:predict", "/v2/models/m/infer"
    server = f"Filiera{suffix}"
    tensor_json = json.dumps({"inputs": [_tensor(data=MATRIX.ravel().tolist())]}).encode()
    return (
        Way(name=f"{server}, records", server=server, path=predict, headers=JSON, body=_json(OBJECTS)),
        Way(name=f"{server}, tensor in JSON", server=server, path=infer, headers=JSON, body=lambda: tensor_json),
        Way(
            name=f"{server}, binary tensor",
            server=server,
            path=infer,
            headers=BINARY,
            body=lambda: BINARY_HEAD + MATRIX.tobytes(),
        ),
        Way(name=f"{server}, Arrow", server=server, path=predict, headers=ARROW, body=_arrow),
    )


WAYS = (
    *_ours(""),
    *_ours(" without log"),
    Way(name="FastAPI, objects", server="FastAPI", path="/rows", headers=JSON, body=_json(OBJECTS), peer=True),
    Way(name="FastAPI, lists", server="FastAPI", path="/lists", headers=JSON, body=LISTS, peer=True),
    Way(
        name="FastAPI, unchecked", server="FastAPI", path="/bare", headers=JSON, body=_json(MATRIX.tolist()), peer=True
    ),
    Way(name="LitServe", server="LitServe", path="/predict", headers=JSON, body=_json(MATRIX.tolist()), peer=True),
)


class Server:
    """A process that serves, and those that it starts."""

    def __init__(self, name: str, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        if name in PEERS:
            PEERS[name].prepare()
            python = str(VENVS / PEERS[name].environment / "bin" / "python")
            words = [f"bodies_with_{name.lower()}.py", "-"]
        else:
            python, log = sys.executable, "-" if "without" in name else str(folder / "log")
            words = ["bodies_with_filiera.py", log]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [python, *words, str(self.port)],
            cwd=SUBJECTS,
            env=os.environ | one_thread,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Come back when it takes connections."""
        ends_at = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if time.monotonic() > ends_at or self.process.poll() is not None:
                    raise CommandFailed("it does not listen") from None
                time.sleep(0.1)

    def processor_s(self) -> float:
        """Return the processor time of its session so far."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End its session."""
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def ask(server: Server, way: Way, body: bytes, times: int) -> float:
    """Return the processor seconds of a request, the mean of some over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    before_s = server.processor_s()
    for _ in range(times):
        connection.request("POST", way.path, body, way.headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise CommandFailed(f"{way.name}: {answer.status} {content[:300]!r}")
    connection.close()
    return (server.processor_s() - before_s) / times


def main() -> int:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers: dict[str, Server] = {}
        for name in dict.fromkeys(way.server for way in WAYS):
            try:
                servers[name] = Server(name, folder)
                stack.callback(servers[name].stop)
                servers[name].wait()
            except CommandFailed as failure:
                print(f"{name} is not measured: {failure}", file=sys.stderr)
                servers.pop(name, None)
        ways = [way for way in WAYS if way.server in servers]
        bodies = {way.name: way.body() for way in ways}
        took_s: dict[str, list[float]] = {way.name: [] for way in ways}
        for way in ways:
            ask(servers[way.server], way, bodies[way.name], 5)
        for number in range(options.rounds):
            for way in ways if number % 2 else reversed(ways):
                # As many as take some tens of ticks of the clock that counts processor time.
                times = REQUESTS if way.peer else 4 * REQUESTS
                took_s[way.name].append(ask(servers[way.server], way, bodies[way.name], times))
    peers = [way.name for way in ways if way.peer]
    best = min(peers, key=lambda name: statistics.median(took_s[name])) if peers else None
    print("| body | bytes | processor ms | times the best JSON peer |\n|---|---|---|---|")
    for way in ways:
        ms = statistics.median(took_s[way.name]) * 1000
        ratio = ""
        if best is not None:
            ratios = [peer / max(ours, 1e-9) for peer, ours in zip(took_s[best], took_s[way.name], strict=True)]
            ratio = f"{statistics.median(ratios):.1f}"
        print(f"| {way.name} | {len(bodies[way.name]):,} | {ms:.2f} | {ratio} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
