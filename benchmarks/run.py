"""Measure Filiera beside its peers, in one run: ``make bench``.

Each peer has a virtual environment of its own under ``.venvs``. All subjects take turns within a round, so that a
machine that gets slower gets slower for all of them; figures are medians over the rounds. A peer that cannot be
installed or fails is reported as such. Results go to ``benchmarks/results/VERSION.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from measurements import Measurements, write_results

HERE = Path(__file__).parent
SUBJECTS = HERE / "subjects"
VENVS = HERE.parent / ".venvs"
LIMIT_S = 900
_PROJECT = """\
[project]
name = "benchmark"
flows = ["chains"]

[profile.local]

[profile.inline]
executor = "inline"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Something that runs the chain."""

    name: str
    environment: str  #: virtual environment under .venvs; "" is the one this script runs in
    packages: tuple[str, ...] = ()  #: what is installed there
    chain: tuple[str, ...]  #: command; steps and start are appended
    one: tuple[str, ...] = ()  #: command that runs one step; none: measured elsewhere
    help: tuple[str, ...] = ()  #: command that prints help; none: there is no command line
    variables: Mapping[str, str] | None = None


_NO_REPORTS = {"DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1", "ZENML_ANALYTICS_OPT_IN": "false"}
ALL = (
    Subject(
        name="Filiera",
        environment="",
        chain=("python", "filiera_chain.py"),
        one=("filiera", "run", "one"),
        help=("filiera", "--help"),
        variables={"FILIERA_PROFILE": "local"},
    ),
    Subject(
        name="Filiera inline",
        environment="",
        chain=("python", "filiera_chain.py"),
        one=("filiera", "run", "one"),
        variables={"FILIERA_PROFILE": "inline"},
    ),
    Subject(
        name="joblib.Memory",
        environment="joblib",
        packages=("joblib",),
        chain=("python", "joblib_chain.py"),
        one=("python", "joblib_chain.py", "one"),
    ),
    Subject(
        name="Kedro in memory",
        environment="kedro",
        packages=("kedro", "kedro-datasets"),
        chain=("python", "kedro_chain.py", "memory"),
        one=("python", "kedro_chain.py", "one"),
        help=("kedro", "--help"),
    ),
    Subject(
        name="Kedro on disk",
        environment="kedro",
        packages=("kedro", "kedro-datasets"),
        chain=("python", "kedro_chain.py", "files"),
    ),
    Subject(
        name="ZenML",
        environment="zenml",
        packages=("zenml[local]",),
        chain=("python", "zenml_chain.py"),
        one=("python", "zenml_chain.py", "one"),
        help=("zenml", "--help"),
        variables={"ZENML_LOGGING_VERBOSITY": "ERROR", "ZENML_CONFIG_PATH": "zenml-configuration"},
    ),
)


class CommandFailed(Exception):
    """A command of a subject did not do what it should; the last line it printed."""


def main() -> int:
    """Install, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured (default: 5)")
    parser.add_argument("--steps", type=int, default=100, help="length of the chain (default: 100)")
    parser.add_argument("--only", default="", help="subjects whose name contains this")
    parser.add_argument("--dry", action="store_true", help="print the table and write no results")
    options = parser.parse_args()
    wanted = [subject for subject in ALL if options.only.lower() in subject.name.lower()]
    measurements = Measurements(steps=options.steps)
    ready = [subject for subject in wanted if _prepare(subject, measurements)]
    with tempfile.TemporaryDirectory(prefix="filiera-benchmark-") as folder:
        work = Path(folder)
        for subject in ready:
            _make_folder(subject, work)
        for number in range(-1, options.rounds):
            print("warming up" if number < 0 else f"round {number + 1} of {options.rounds}", flush=True)
            for scenario, subject, seconds in _round(ready, work, number, options.steps, measurements):
                if number >= 0:
                    measurements.add(scenario, subject, seconds)
    print(f"\n{measurements.table()}")
    if not options.dry:
        write_results(measurements, HERE / "results")
    return 0


def _prepare(subject: Subject, measurements: Measurements) -> bool:
    """Make the subject's environment if need be; tell whether it can be measured."""
    try:
        _install(subject)
        shown = (subject.packages or ("filiera",))[0].partition("[")[0]
        code = f"from importlib.metadata import version; print(version({shown!r}))"
        measurements.versions[subject.name] = _run(subject, ("python", "-c", code), HERE)[0]
    except CommandFailed as failure:
        measurements.failures[subject.name] = f"not installed: {failure}"
        print(f"{subject.name} is not measured: {failure}", flush=True)
        return False
    return True


def _install(subject: Subject) -> None:
    if not subject.environment or _bin(subject).joinpath("python").exists():
        return
    print(f"installing {', '.join(subject.packages)} into {VENVS.name}/{subject.environment}", flush=True)
    partial = VENVS / subject.environment
    done = subprocess.run([sys.executable, "-m", "venv", partial], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        pip = (partial / "bin" / "python", "-m", "pip", "--quiet", "install", *subject.packages)
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(partial, ignore_errors=True)
        raise CommandFailed(_last_line(done.stderr))


def _make_folder(subject: Subject, work: Path) -> None:
    folder = work / subject.name
    shutil.copytree(SUBJECTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "filiera.toml").write_text(_PROJECT, encoding="utf-8")


def _round(
    subjects: list[Subject], work: Path, number: int, steps: int, measurements: Measurements
) -> Iterator[tuple[str, str, float]]:
    """Yield scenario, subject and seconds; round -1 warms disks and stores and is not counted."""
    yield "python -c pass", "Python", _timed(ALL[0], ("python", "-c", "pass"), work)
    start = (number + 2) * 1_000_000  # where no chain has started: nothing is cached
    for scenario in ("help", "one", "cold", "unchanged"):
        for subject in subjects:
            if subject.name in measurements.failures:
                continue
            try:
                for name, seconds in _measure(subject, scenario, work / subject.name, (str(steps), str(start))):
                    yield name, subject.name, seconds
            except CommandFailed as failure:
                measurements.failures[subject.name] = f"{scenario}: {failure}"
                print(f"{subject.name} fails: {failure}", flush=True)


def _measure(subject: Subject, scenario: str, folder: Path, chain: tuple[str, str]) -> Iterator[tuple[str, float]]:
    if scenario == "help" and subject.help:
        yield "--help", _timed(subject, subject.help, folder)
    elif scenario == "one" and subject.one:
        started = folder / "started.txt"
        before = time.monotonic()
        _run(subject, subject.one, folder, {"BENCHMARK_STARTED": str(started)})
        yield "one step: command to first line", float(started.read_text()) - before
        yield "one step: whole command", time.monotonic() - before
    elif scenario in ("cold", "unchanged"):
        printed = _run(subject, (*subject.chain, *chain), folder)
        yield f"chain, {scenario}", float(printed[-1])


def _timed(subject: Subject, command: tuple[str, ...], folder: Path) -> float:
    before = time.perf_counter()
    _run(subject, command, folder)
    return time.perf_counter() - before


def _run(subject: Subject, command: tuple[str, ...], folder: Path, more: Mapping[str, str] | None = None) -> list[str]:
    """Return the lines that a command of the subject's environment prints. Raises CommandFailed."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("FILIERA_", "ZENML_"))}
    variables |= {**_NO_REPORTS, **(subject.variables or {}), **(more or {})}
    if "ZENML_CONFIG_PATH" in variables:
        variables["ZENML_CONFIG_PATH"] = str(folder / variables["ZENML_CONFIG_PATH"])
    try:
        done = subprocess.run(
            [_bin(subject) / command[0], *command[1:]],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"no end after {LIMIT_S} s") from error
    if done.returncode:
        raise CommandFailed(_last_line(done.stderr or done.stdout))
    return done.stdout.splitlines()


def _bin(subject: Subject) -> Path:
    return VENVS / subject.environment / "bin" if subject.environment else Path(sys.executable).parent


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it printed nothing"])[-1]


if __name__ == "__main__":
    sys.exit(main())
