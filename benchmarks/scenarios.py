"""What is measured, and how often."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from measurements import OURS, Value
from peers import CommandFailed, Subject

TABLE_ROW_BYTES = 64
STORE_SCALE = Path(__file__).parent / "store_scale.py"
VERSIONS = Path(__file__).parent / "versions.py"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """A piece of work."""

    name: str  #: as subjects name it
    size: int = 0  #: how many steps, items, rows, epochs or runs
    small: int = 0  #: the same for a quick look
    titles: tuple[str, ...] = ()  #: what the numbers are that a subject's program prints last
    rounds: int = 99  #: no more than so many
    unit: str = "s"

    @property
    def is_warmed(self) -> bool:
        """Tell whether it takes part in the round that is not counted: what takes long warms itself."""
        return self.rounds > 5


SCENARIOS = (
    Scenario(name="--help"),
    Scenario(name="one"),
    Scenario(name="chain, cold", size=100, small=3, titles=("chain of {size} steps, cold",)),
    Scenario(name="chain, unchanged", size=100, small=3, titles=("chain of {size} steps, unchanged",)),
    Scenario(
        name="fan-out",
        size=1000,
        small=5,
        titles=("fan-out to {size}", "fan-out to {size}, once more", "fan-out to {size}, cached"),
    ),
    Scenario(name="table", size=5_000_000, small=500, titles=("table of {size} MB, three steps",), rounds=5),
    Scenario(name="fits", size=1000, small=2, titles=("8 fits, 2 workers",), rounds=5),
    Scenario(
        name="runs",
        size=1000,
        small=2,
        titles=("{size} runs of 3 steps", "{size} runs of 3 steps, one by one"),
        rounds=3,
    ),
    Scenario(name="many", size=10_000, small=3, titles=("{size} pipelines of 3 steps together, a step",), rounds=3),
    Scenario(name="growth", size=100_000, small=100, titles=("a step of {few}", "a step of {size}"), rounds=1),
)


def sized(scenarios: tuple[Scenario, ...], *, is_quick: bool) -> tuple[Scenario, ...]:
    """Return the scenarios as they are, or small enough for a quick look."""
    return tuple(replace(s, size=s.small, rounds=1) for s in scenarios) if is_quick else scenarios


def measure(scenario: Scenario, subject: Subject, folder: Path, start: int) -> Iterator[Value]:
    """Yield what is found; *start* is a number from which nothing has been computed before. Raises CommandFailed."""
    command = tuple(word.format(size=scenario.size, start=start) for word in subject.commands[scenario.name])
    if scenario.name == "--help":
        yield Value(title="--help", subject=subject.name, number=_timed(subject, command, folder))
    elif scenario.name == "one":
        yield from _one(subject, command, folder)
    else:
        printed = subject.run(command, folder)[-1].split()
        for title, number in zip(scenario.titles, printed, strict=False):
            yield Value(title=title_of(title, scenario), subject=subject.name, number=float(number), unit=scenario.unit)


def measure_memory(scenario: Scenario, subject: Subject, folder: Path, start: int) -> Iterator[Value]:
    """Yield the peaks of memory of the process that is started, and of the largest below it. Raises CommandFailed."""
    command = tuple(word.format(size=scenario.size, start=start) for word in subject.commands[scenario.name])
    peaks = subject.watch(command, folder)
    title = title_of(scenario.titles[0], scenario)
    for kind, found in (("memory", peaks.own), ("memory with mapped files", peaks.resident)):
        driver, *workers = found.values() or [0]
        figures = {"driver": driver, "worker": max(workers, default=0), "all processes": driver + sum(workers)}
        for process, size_bytes in figures.items():
            if size_bytes:
                number = size_bytes / 1e6
                yield Value(title=f"{title}: {kind}, {process}", subject=subject.name, number=number, unit="MB")


def bare_python(subject: Subject, folder: Path) -> Value:
    """Return how long Python takes to do nothing."""
    return Value(title="python -c pass", subject="Python", number=_timed(subject, ("python", "-c", "pass"), folder))


def measure_store(runs: int) -> Iterator[Value]:
    """Yield the milliseconds of each query of a store with so many runs. Raises CommandFailed."""
    command = [sys.executable, STORE_SCALE, "--runs", str(runs), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise CommandFailed((done.stderr.strip().splitlines() or ["it printed nothing"])[-1])
    found = json.loads(done.stdout)
    for figure in found["reads"]:
        place = f"store of {runs:,} runs" if figure["limit_ms"] is not None else "the same store"
        yield Value(title=f"{place}: {figure['name']}", subject=OURS, number=figure["median_ms"] / 1000)
    for figure in found["writes"]:
        for size in ("large", "empty"):
            title = f"{size} store: write one {figure['name']}"
            yield Value(title=title, subject=OURS, number=figure[f"{size}_us"] / 1e6)


def measure_versions(versions: int) -> Iterator[Value]:
    """Yield how long so many versions of a model take to be read, compared and printed. Raises CommandFailed."""
    command = [sys.executable, VERSIONS, "--versions", str(versions), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise CommandFailed((done.stderr.strip().splitlines() or ["it printed nothing"])[-1])
    found = json.loads(done.stdout)
    for kind in ("read", "compared", "printed"):
        yield Value(title=f"{versions:,} versions {kind}", subject=OURS, number=found[f"{kind}_ms"] / 1000)


def title_of(title: str, scenario: Scenario) -> str:
    """Return a title with the size of its scenario."""
    size = scenario.size * TABLE_ROW_BYTES // 1_000_000 if scenario.name == "table" else scenario.size
    return title.format(size=f"{size:,}", few=f"{max(scenario.size // 1000, 1):,}")


def _one(subject: Subject, command: tuple[str, ...], folder: Path) -> Iterator[Value]:
    started = folder / "started.txt"
    before = time.monotonic()
    subject.run(command, folder, {"BENCHMARK_STARTED": str(started)})
    whole = time.monotonic() - before
    first = float(started.read_text(encoding="utf-8")) - before
    yield Value(title="one step: command to first line", subject=subject.name, number=first)
    yield Value(title="one step: whole command", subject=subject.name, number=whole)


def _timed(subject: Subject, command: tuple[str, ...], folder: Path) -> float:
    before = time.perf_counter()
    subject.run(command, folder)
    return time.perf_counter() - before
