"""Measure Filiera beside its peers, in one run: ``make bench``.

Each peer has a virtual environment of its own under ``.venvs``. All subjects take turns within a round, so that a
machine that gets slower gets slower for all of them; figures are medians over the rounds. A peer that cannot be
installed or fails is reported as such. Results go to ``benchmarks/results/VERSION.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measurements import Measurements, Value, goals_table, write_results
from peers import ALL, CommandFailed, Subject
from reach import outcomes
from scenarios import SCENARIOS, Scenario, bare_python, measure, measure_memory, measure_store, measure_versions, sized

HERE = Path(__file__).parent
STORE_RUNS = 1_000_000
VERSIONS = 1_000
_SPACING = 2_000_000
"""How far apart the numbers lie from which rounds start, so that nothing was computed before."""


class Benchmark:
    """Takes measurements of those subjects that can be measured."""

    def __init__(self, subjects: list[Subject], scenarios: tuple[Scenario, ...], work: Path) -> None:
        self.found = Measurements()
        self._scenarios = scenarios
        self._work = work
        self._folders: dict[str, Path] = {}
        self._subjects = [subject for subject in subjects if self._prepare(subject, work)]

    def round(self, number: int) -> None:
        """Measure everything once; round -1 warms disks and stores and is not counted."""
        subject = self._subjects[0]
        values = [bare_python(subject, self._folders[subject.name])]
        for scenario in self._scenarios:
            # The other way round every other time: who comes first finds the machine as the scenario before left it.
            for subject in self._subjects if number % 2 else self._subjects[::-1]:
                is_due = number < min(scenario.rounds, subject.rounds) and (number >= 0 or scenario.is_warmed)
                if scenario.name in subject.commands and is_due:
                    values += self._attempt(scenario, subject, (number + 2) * _SPACING)
        if number >= 0:
            for value in values:
                self.found.add(value)

    def memory(self) -> None:
        """Measure the memory that some of it takes, apart from the time: looking costs some."""
        for scenario in self._scenarios:
            for subject in self._subjects:
                if scenario.name in ("table", "many") and scenario.name in subject.commands:
                    for value in self._attempt(scenario, subject, -_SPACING, is_memory=True):
                        self.found.add(value)

    def store(self, runs: int) -> None:
        """Measure the queries of a large store."""
        self._add("store", measure_store(runs))

    def versions(self, count: int) -> None:
        """Measure a comparison of many versions of a model."""
        self._add("Filiera, versions", measure_versions(count))

    def _add(self, what: str, values: Iterator[Value]) -> None:
        try:
            for value in values:
                self.found.add(value)
        except CommandFailed as failure:
            self._fails(what, str(failure))

    def _prepare(self, subject: Subject, work: Path) -> bool:
        try:
            self.found.versions[subject.name] = subject.prepare()
        except CommandFailed as failure:
            self._fails(subject.name, f"not installed: {failure}")
            return False
        self._folders[subject.name] = subject.make_folder(work)
        return True

    def _attempt(self, scenario: Scenario, subject: Subject, start: int, *, is_memory: bool = False) -> Iterator[Value]:
        if f"{subject.name}, {scenario.name}" in self.found.failures:
            return
        print(f"  {scenario.name}{', memory' * is_memory}: {subject.name} ", end="", flush=True)
        before = time.monotonic()
        act = measure_memory if is_memory else measure
        try:
            with self._place(scenario, subject) as folder:
                yield from list(act(scenario, subject, folder, start))
        except CommandFailed as failure:
            self._fails(f"{subject.name}, {scenario.name}", str(failure))
        print(f"{time.monotonic() - before:.1f} s", flush=True)

    @contextmanager
    def _place(self, scenario: Scenario, subject: Subject) -> Iterator[Path]:
        """Give the folder to work in: of its own and empty where gigabytes are written, on a disk that is at rest."""
        if scenario.name != "table":
            yield self._folders[subject.name]
            return
        with tempfile.TemporaryDirectory(dir=self._work) as folder:
            os.sync()
            yield subject.make_folder(Path(folder))

    def _fails(self, what: str, why: str) -> None:
        self.found.failures[what] = why
        print(f"{what} is not measured: {why}", flush=True)


def main() -> int:
    """Install, measure, print; 1 when one of ours could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often each thing is measured (default: 7)")
    parser.add_argument("--only", default="", help="subjects whose name contains this")
    parser.add_argument("--work", default="", help="scenarios whose name contains this")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: does everything work?")
    parser.add_argument("--dry", action="store_true", help="print the tables and write no results")
    options = parser.parse_args()
    subjects = [subject for subject in ALL if options.only.lower() in subject.name.lower()]
    scenarios = tuple(s for s in sized(SCENARIOS, is_quick=options.quick) if options.work in s.name)
    with tempfile.TemporaryDirectory(prefix="filiera-benchmark-") as folder:
        benchmark = Benchmark(subjects, scenarios, Path(folder))
        rounds = 1 if options.quick else options.rounds
        for number in range(0 if options.quick else -1, rounds):
            print("warming up" if number < 0 else f"round {number + 1} of {rounds}", flush=True)
            benchmark.round(number)
        if not options.quick:
            benchmark.memory()
    if not (options.quick or options.work):
        benchmark.store(STORE_RUNS)
    if not options.work:
        benchmark.versions(3 if options.quick else VERSIONS)
    found = benchmark.found
    reached = outcomes(found, sized(SCENARIOS, is_quick=options.quick))
    print(f"\n{goals_table(reached)}\n\n{found.table()}")
    if not (options.dry or options.quick):
        write_results(found, reached, HERE / "results")
    return int(any(name.startswith("Filiera") for name in found.failures))


if __name__ == "__main__":
    sys.exit(main())
