"""Measure services of one model beside peers, in one run: ``make bench-serving``.

One processor serves, the other drives (``load.py``). All subjects take turns within a round. What is compared is
requests per second *of the processor time that the service's processes took*: what one processor answers that has
nothing else to do, also on a machine that has. Results go to ``benchmarks/results/serving.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from measurements import Measurements, Outcome, Value, goals_table, write_results
from peers import CommandFailed, Subject

HERE = Path(__file__).parent
MODELS = {"forest": "forest of 100 trees", "logistic": "logistic pipeline", "plain-forest": "forest, no ONNX"}
CONNECTIONS = 32
HALF_LOAD = {"forest": 4200.0, "logistic": 2500.0, "plain-forest": 600.0}
"""Requests per second for everybody: half of what the bare limit answers on one processor; without ONNX, of ours."""
_LOOKS = 5
"""So often latency is looked at: a machine that somebody else stops for 10 ms spoils one of them."""
_START_S = 120
_BEFORE, _MOST, _AFTER = (f"resident memory {when} 3 × overload" for when in ("before", "at", "after"))
_MOST_GROWTH = 1.5
_LOADED = ("scikit-learn==1.9.1", "skops", "polars")
_PROJECT = '[project]\nname = "benchmark"\nflows = ["serving_models"]\n'


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """Something that serves a model."""

    subject: Subject
    command: tuple[str, ...]  #: ``{name}`` and ``{port}`` are filled in
    path: str = "/predict"
    models: tuple[str, ...] = ("forest", "logistic")
    variables: Mapping[str, str] = field(default_factory=dict)


def _peer(name: str, environment: str, *packages: str) -> Subject:
    return Subject(name=name, environment=environment, packages=(*packages, *_LOADED), commands={})


def _ours(name: str) -> Subject:
    return Subject(name=name, commands={})


def _carried(name: str, *command: str) -> Server:
    """Return Filiera's application on another server."""
    return Server(
        subject=_ours(f"Filiera on {name}"),
        command=command,
        path="/v1/models/{name}:predict",
        models=tuple(MODELS),
        variables={"SERVED": "{name}"},
    )


SERVERS = (
    Server(
        subject=_ours("Filiera"),
        command=("filiera", "serve", "{name}", "--port", "{port}"),
        path="/v1/models/{name}:predict",
        models=tuple(MODELS),
    ),
    Server(
        subject=_ours("bare limit"),
        command=("python", "serve_bare.py", "{name}", "{port}"),
    ),
    Server(
        subject=_ours("bare, our loop"),
        command=("python", "serve_bare_loop.py", "{name}", "{port}"),
    ),
    Server(
        subject=_ours("Filiera, no log"),
        command=("python", "serve_unlogged.py", "{name}", "{port}"),
        path="/v1/models/{name}:predict",
    ),
    _carried("uvicorn", "uvicorn", "serve_elsewhere:app", "--port={port}", "--no-access-log"),
    _carried("granian", "granian", "--interface=asgi", "serve_elsewhere:app", "--port={port}"),
    _carried("hypercorn", "hypercorn", "serve_elsewhere:app", "--bind=127.0.0.1:{port}"),
    Server(
        subject=_peer("LitServe", "litserve", "litserve"), command=("python", "serve_litserve.py", "{name}", "{port}")
    ),
    Server(
        subject=_peer("BentoML", "bentoml", "bentoml"),
        command=("bentoml", "serve", "serve_bentoml:Model", "--port", "{port}"),
        variables={"SERVED": "{name}", "BENTOML_DO_NOT_TRACK": "1"},
    ),
    Server(
        subject=_peer("FastAPI by hand", "fastapi", "fastapi", "uvicorn", "uvloop", "httptools"),
        command=("python", "serve_fastapi.py", "{name}", "{port}"),
    ),
    Server(
        subject=_peer("MLflow", "mlflow-serve", "mlflow"),
        command=("python", "serve_mlflow.py", "{name}", "{port}"),
        path="/invocations",
    ),
    Server(
        subject=_peer("MLServer", "mlserver", "mlserver"),
        command=("python", "serve_mlserver.py", "{name}", "{port}"),
        path="/v2/models/{name}/infer",
    ),
    Server(subject=_peer("Ray Serve", "ray", "ray[serve]"), command=("python", "serve_ray.py", "{name}", "{port}")),
)
BARE, BARE_LOOP, UNLOGGED = (server.subject.name for server in SERVERS[1:4])
PEERS = tuple(server.subject.name for server in SERVERS if server.subject.environment)


class Benchmark:
    """Takes measurements of the servers that can be measured."""

    def __init__(self, servers: list[Server], folder: Path, seconds: float) -> None:
        self.found = Measurements()
        self._folder, self._seconds = folder, seconds
        self._servers = [server for server in servers if self._is_there(server)]

    def round(self, number: int, models: list[str]) -> None:
        """Measure everything once."""
        for model in models:
            for server in self._servers if number % 2 else self._servers[::-1]:
                what = f"{server.subject.name}, {model}"
                if model not in server.models or what in self.found.failures:
                    continue
                print(f"  {what} ", end="", flush=True)
                try:
                    for value in self._measure(server, model):
                        self.found.add(value)
                        print(f" {value.number:.4g} {value.unit}", end="", flush=True)
                except CommandFailed as failure:
                    self.found.failures[what] = str(failure)
                print(flush=True)

    def _measure(self, server: Server, model: str) -> Iterator[Value]:
        name, shown = server.subject.name, MODELS[model]
        with self._running(server, model) as (process, port, ready_s):
            request = self._request(server, model, port)
            self._drive(port, request, self._seconds / 4)
            before_s = _processor_s(process)
            closed = self._drive(port, request, self._seconds)
            took_s = _processor_s(process) - before_s
            good = closed["statuses"].get("200", 0)
            if not good:
                raise CommandFailed(f"no request was answered: {closed['statuses']}")
            yield Value(title=f"{shown}: requests per processor second", subject=name, number=good / took_s, unit="/s")
            yield Value(title=f"{shown}: requests per second", subject=name, number=closed["rate"], unit="/s")
            if name in ("Filiera", BARE, BARE_LOOP):
                seconds, rate = self._seconds / 2, HALF_LOAD[model]
                looks = [self._drive(port, request, seconds, rate=rate) for _ in range(_LOOKS)]
                for which in ("p50", "p99"):
                    number = statistics.median(look[f"{which}_s"] for look in looks)
                    yield Value(title=f"{shown}: {which} at half load", subject=name, number=number)
            if name == "Filiera":
                before_s, before_mb = _processor_s(process), _resident_mb(process)
                with _most_resident(process) as most_mb:
                    three = self._drive(port, request, self._seconds, rate=closed["rate"] * 3, connections=512)
                overloaded = three["statuses"].get("200", 0) / (_processor_s(process) - before_s)
                goodput = overloaded / (good / took_s)
                yield Value(title=f"{shown}: goodput at 3 × overload", subject=name, number=goodput, unit="×")
                yield Value(title=f"{shown}: {_BEFORE}", subject=name, number=before_mb, unit="MB")
                yield Value(title=f"{shown}: {_MOST}", subject=name, number=max(most_mb), unit="MB")
                yield Value(title=f"{shown}: {_AFTER}", subject=name, number=_resident_mb(process), unit="MB")
            yield Value(title=f"{shown}: resident memory", subject=name, number=_resident_mb(process), unit="MB")
            yield Value(title=f"{shown}: start to first answer", subject=name, number=ready_s)

    @contextmanager
    def _running(self, server: Server, model: str) -> Iterator[tuple[int, int, float]]:
        """Run a server on the first processor; gives its process, its port, and the seconds to its first answer."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        filled = {"name": model, "port": str(port)}
        command = [part.format(**filled) for part in server.command]
        began_s = time.perf_counter()
        process = subprocess.Popen(
            ["taskset", "-c", "0", server.subject.program(command[0]), *command[1:]],
            cwd=self._folder,
            env=server.subject.surroundings({key: text.format(**filled) for key, text in server.variables.items()}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait(server, model, process, port)
            yield process.pid, port, time.perf_counter() - began_s
        finally:
            started = _tree(process.pid)  # some of them leave the group, and go on when the first has ended
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            for pid in started:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()

    def _wait(self, server: Server, model: str, process: subprocess.Popen[bytes], port: int) -> None:
        content = self._request(server, model, port).read_bytes()
        until_s = time.perf_counter() + _START_S
        while time.perf_counter() < until_s:
            if process.poll() is not None:
                raise CommandFailed(f"it ended with exit code {process.returncode}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
                caller.sendall(content)
                if caller.recv(65_536)[9:12] == b"200":
                    return
            time.sleep(0.01)
        raise CommandFailed(f"no answer after {_START_S} s")

    def _request(self, server: Server, model: str, port: int) -> Path:
        body = (self._folder / f"{model.removeprefix('plain-')}.body").read_bytes()
        if server.subject.name == "MLflow":
            rows = json.loads(body)["instances"]
            body = json.dumps({"dataframe_records": rows}).encode()
        if server.subject.name == "MLServer":
            body = json.dumps({"inputs": _tensors(json.loads(body)["instances"])}).encode()
        path = server.path.format(name=model)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        file = self._folder / "request.http"
        file.write_bytes(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return file

    def _drive(
        self, port: int, request: Path, seconds: float, *, rate: float = 0.0, connections: int = CONNECTIONS
    ) -> dict:
        command = ["taskset", "-c", "1", sys.executable, HERE / "load.py", f"127.0.0.1:{port}", request]
        options = ["--seconds", str(seconds), "--rate", str(rate), "--connections", str(connections)]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandFailed((done.stderr.strip().splitlines() or ["the load generator failed"])[-1])
        return json.loads(done.stdout)

    def _is_there(self, server: Server) -> bool:
        try:
            self.found.versions[server.subject.name] = server.subject.prepare()
        except CommandFailed as failure:
            self.found.failures[server.subject.name] = f"not installed: {failure}"
            return False
        return True


def _tensors(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return rows as the Open Inference Protocol has them: one tensor if all is numbers, else one per column."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    if not any(isinstance(value, str) for value in rows[0].values()):
        flat = [float(value) for row in rows for value in row.values()]
        return [{"name": "rows", "shape": [len(rows), len(columns)], "datatype": "FP64", "data": flat}]
    kinds = {str: "BYTES", float: "FP64", int: "INT64", bool: "BOOL"}
    return [
        {"name": name, "shape": [len(rows), 1], "datatype": kinds[type(values[0])], "data": values}
        for name, values in columns.items()
    ]


def _tree(root: int) -> list[int]:
    """Return a process and all that it started."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _processor_s(root: int) -> float:
    """Return the processor time that a process and those it started have taken."""
    total = 0
    for pid in _tree(root):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def _resident_mb(root: int) -> float:
    """Return the memory of a process and those it started that no other has."""
    total = 0
    for pid in _tree(root):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1000


@contextmanager
def _most_resident(process: int) -> Iterator[list[float]]:
    """Look at the memory of a process and its children five times a second while the block runs."""
    found, is_over = [_resident_mb(process)], threading.Event()

    def look() -> None:
        while not is_over.wait(0.2):
            found.append(_resident_mb(process))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield found
    finally:
        is_over.set()
        looking.join()


def outcomes(found: Measurements) -> list[Outcome]:
    """Return what we want to reach, and how far we came."""
    reached = []
    for model in ("forest", "logistic"):
        title = f"{MODELS[model]}: requests per processor second"
        reached.append(_at_least(found, title, BARE, 0.8))
        best = max((found.median(title, peer) or 0.0, peer) for peer in PEERS)[1]
        reached.append(_at_least(found, title, best, 5.0))
        reached.append(_at_least(found, title, UNLOGGED, 0.95))
    title = f"{MODELS['forest']}: requests per processor second"
    reached.append(_at_least(found, f"{MODELS['plain-forest']}: requests per processor second", "LitServe", 1.3, title))
    for model in MODELS:
        goodput = found.median(f"{MODELS[model]}: goodput at 3 × overload", "Filiera")
        told = "" if goodput is None else f"{goodput:.2f} ×"
        is_reached = None if goodput is None else goodput >= 0.95
        work = f"{MODELS[model]}: goodput at 3 × overload"
        reached.append(Outcome(work=work, reach="≥ 0.95 of the peak", found=told, is_reached=is_reached))
        growth = found.ratio(f"{MODELS[model]}: {_MOST}", "Filiera", f"{MODELS[model]}: {_BEFORE}", "Filiera")
        told, is_reached = ("", None) if growth is None else (f"{growth:.2f} ×", growth <= _MOST_GROWTH)
        reached.append(
            Outcome(work=f"{MODELS[model]}: {_MOST}", reach="≤ 1.5 × before", found=told, is_reached=is_reached)
        )
    for model in ("forest", "logistic"):
        title = f"{MODELS[model]}: p99 at half load"
        for least in (BARE, BARE_LOOP):
            ours, bare = found.median(title, "Filiera"), found.median(title, least)
            added_ms = None if ours is None or bare is None else (ours - bare) * 1000
            told, is_reached = ("", None) if added_ms is None else (f"{added_ms:+.1f} ms", added_ms <= 1)
            reached.append(Outcome(work=title, reach=f"≤ 1 ms more than {least}", found=told, is_reached=is_reached))
    return reached


def _at_least(found: Measurements, title: str, peer: str, goal: float, peer_title: str = "") -> Outcome:
    ratio = found.ratio(title, "Filiera", peer_title, peer)
    told = "" if ratio is None else f"{ratio:.2f} ×"
    is_reached = None if ratio is None else ratio >= goal
    return Outcome(work=title, reach=f"≥ {goal:g} × {peer}", found=told, is_reached=is_reached)


def publish(folder: Path) -> None:
    """Make the project with the models, and the files that the peers serve. Raises CommandFailed."""
    shutil.copytree(HERE / "subjects", folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    (folder / "filiera.toml").write_text(_PROJECT, encoding="utf-8")
    subject = SERVERS[0].subject
    for pipeline in ("forest", "plain_forest", "logistic"):
        subject.run(("filiera", "run", pipeline), folder)
    subject.run(("python", "serving_models.py"), folder)


def main() -> int:
    """Publish, measure, print; 1 when one of ours could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured (default: 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each is driven (default: 4)")
    parser.add_argument("--only", default="", help="subjects whose name contains one of these, with commas between")
    parser.add_argument("--model", default="", help="models whose name contains this")
    parser.add_argument("--quick", action="store_true", help="one short round: does everything work?")
    parser.add_argument("--dry", action="store_true", help="print the tables and write no results")
    options = parser.parse_args()
    wanted = options.only.lower().split(",")
    servers = [server for server in SERVERS if any(part in server.subject.name.lower() for part in wanted)]
    models = [model for model in MODELS if options.model in model]
    with tempfile.TemporaryDirectory(prefix="filiera-benchmark-") as name:
        publish(Path(name))
        benchmark = Benchmark(servers, Path(name), 0.5 if options.quick else options.seconds)
        for number in range(1 if options.quick else options.rounds):
            print(f"round {number + 1}", flush=True)
            benchmark.round(number, models)
    reached = outcomes(benchmark.found)
    print(f"\n{goals_table(reached)}\n\n{benchmark.found.table()}")
    if not (options.dry or options.quick):
        write_results(benchmark.found, reached, HERE / "results", name="serving")
    return int(any(name.startswith(("Filiera", BARE)) for name in benchmark.found.failures))


if __name__ == "__main__":
    sys.exit(main())
