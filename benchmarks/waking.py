"""Measure services that sleep: the first call of a model on ONNX Runtime, of one in its own library and of a function.

Times are of processors, of the supervisor and all that it started: they change little when other programs run. Prints
tables; writes nothing.

    python benchmarks/waking.py --rounds 3
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measurements import Outcome, goals_table
from peers import Subject
from serving import _processor_s, _resident_mb, publish

SERVICES = {
    "forest, ONNX Runtime": ("forest", 'model = "forest"'),
    "forest in scikit-learn": ("plain-forest", 'model = "plain-forest"'),
    "function": ("twice", 'function = "twice:twice"'),
}
GOALS_S = {"forest, ONNX Runtime": 0.3, "forest in scikit-learn": 1.0, "function": 0.3}
_TWICE = "def twice(number: int) -> int:\n    return 2 * number\n"
_LIMIT_S = 120


class Up:
    """A supervisor with one service."""

    def __init__(self, process: subprocess.Popen[str], port: int, name: str, body: bytes) -> None:
        self.pid, self._name, self._body = process.pid, name, body
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT_S)

    def call(self) -> None:
        """Ask once. Raises SystemExit when it is not answered."""
        kind, verb = ("functions", "call") if self._name == "twice" else ("models", "predict")
        headers = {"Content-Type": "application/json", "Connection": "close"}
        self._connection.request("POST", f"/v1/{kind}/{self._name}:{verb}", self._body, headers)
        answer = self._connection.getresponse()
        if answer.status != http.client.OK:
            raise SystemExit(f"{self._name}: {answer.status} {answer.read()[:300]!r}")
        answer.read()

    def until(self, is_so: Callable[[], bool]) -> None:
        """Come back when something is so. Raises SystemExit after long."""
        ends_at = time.monotonic() + _LIMIT_S
        while not is_so():
            if time.monotonic() > ends_at:
                raise SystemExit(f"{self._name}: it did not come to rest")
            time.sleep(0.05)

    def rest(self) -> None:
        """Come back when its processes do nothing any more."""
        seen: list[float] = []

        def is_quiet() -> bool:
            seen.append(_processor_s(self.pid))
            return len(seen) > 20 and seen[-1] - seen[-20] < 0.03

        self.until(is_quiet)


@contextmanager
def up(folder: Path, name: str, words: str, port: int) -> Iterator[Up]:
    """Run a service that sleeps after a second."""
    project = '[project]\nname = "benchmark"\nflows = ["serving_models"]\n'
    (folder / "filiera.toml").write_text(f"{project}[service.s]\n{words}\nport = {port}\nidle_s = 1.0\n")
    body = b'{"number": 4}' if name == "twice" else (folder / f"{name.removeprefix('plain-')}.body").read_bytes()
    ours = Subject(name="Filiera", commands={})
    command = [ours.program("filiera"), "up"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        while " at " not in process.stdout.readline():
            pass
        found = Up(process, port, name, body)
        found.rest()
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()


def wake(folder: Path, name: str, words: str, port: int) -> tuple[float, float, float, float]:
    """Return processor and wall seconds of the first call, MB while it slept and when it has answered."""
    with up(folder, name, words, port) as service:
        asleep_mb, before_s, began_s = _resident_mb(service.pid), _processor_s(service.pid), time.perf_counter()
        service.call()
        took_s = time.perf_counter() - began_s
        return _processor_s(service.pid) - before_s, took_s, asleep_mb, _resident_mb(service.pid)


def main() -> int:
    """Measure, print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    reached, lines, port = [], [], 31_500
    with tempfile.TemporaryDirectory(prefix="filiera-benchmark-") as name:
        folder = Path(name)
        publish(folder)
        (folder / "twice.py").write_text(_TWICE)
        for shown, (served, words) in SERVICES.items():
            found = []
            for _ in range(options.rounds):
                port += 1
                found.append(wake(folder, served, words, port))
            used_s, took_s, asleep_mb, awake_mb = (statistics.median(each) for each in zip(*found, strict=True))
            lines.append(f"| {shown} | {used_s:.2f} s | {took_s:.2f} s | {asleep_mb:.0f} MB | {awake_mb:.0f} MB |")
            goal_s = GOALS_S[shown]
            work = f"first call of a sleeping service: {shown}"
            told = f"{used_s:.2f} s of processor time"
            reached.append(Outcome(work=work, reach=f"≤ {goal_s:g} s", found=told, is_reached=used_s <= goal_s))
    print(goals_table(reached))
    print("\n| service | processor time | time | asleep | awake |\n|---|---|---|---|---|")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
