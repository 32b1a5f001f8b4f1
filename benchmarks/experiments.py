"""Measure experiments beside ``git worktree add`` and DVC: ``python benchmarks/experiments.py --dvc DVC``.

All take turns on one repository; figures are medians over the rounds, ratios those of one round. The stage that runs
does nothing: what is measured is the experiment around it, from starting a command to its end, in wall-clock time and,
since files are written by the system, in processor time of the command and all that it starts. A plain run of the same
stage is beside it. *A part* is an experiment that was started with ``--only``. DVC, a command in an environment of its
own, is measured where it is named, beside a pipeline that publishes nothing either; ``--files 100000`` makes a large
repository.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

TOML = '[project]\nname = "b"\nflows = ["flows"]\n[profile.local]\nexecutor = "inline"\n'
FLOW = """
from filiera import Dataset, pipeline, step


@step(stage="transform")
def before() -> int:
    return 1


@step(stage="transform")
def number(given: int) -> list[int]:
    return [given, 0]


@pipeline(kind="data", publishes=Dataset("numbers"))
def numbers():
    return number(before())


@pipeline(kind="data")
def bare():
    return number(before())
"""
DVC = """
stages:
  before: {cmd: echo 1 > before.txt, outs: [before.txt]}
  number: {cmd: cp before.txt number.txt, deps: [before.txt, number.py], outs: [number.txt]}
"""
BARE = "experiment run, a stage changed, nothing published"
_EXAMPLE = "    return [given, 0]"


class Bench:
    """A repository with so many files, and a stopwatch."""

    def __init__(self, folder: Path, files: int) -> None:
        self.root = folder / "repository"
        who = {f"GIT_{one}_{what}": "b@b" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        kept = {
            "FILIERA_WORKTREES": str(folder / "worktrees"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "DVC_NO_ANALYTICS": "1",
        }
        self.variables = {**os.environ, **who, **kept}
        self.took: dict[str, list[tuple[float, float]]] = {}
        for place, text in {"filiera.toml": TOML, "flows/__init__.py": "", "flows/work.py": FLOW}.items():
            self.write(place, text)
        self.write(".gitignore", ".filiera/\n__pycache__/\n")
        for number in range(files):
            self.write(f"rest/{number // 100:04d}/{number % 100:02d}.py", f"x = {number}\n" * 20)
        self.run("git", "init", "--quiet", "--initial-branch", "main")
        self.commit()
        self.filiera("run", "numbers")

    def write(self, place: str, text: str) -> None:
        (self.root / place).parent.mkdir(parents=True, exist_ok=True)
        (self.root / place).write_text(text)

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "state")

    def run(self, *words: str, what: str = "", cwd: Path | None = None) -> str:
        start, worked = time.perf_counter(), _work()
        done = subprocess.run(
            words, cwd=cwd or self.root, env=self.variables, capture_output=True, text=True, check=False
        )
        if what:
            self.took.setdefault(what, []).append((time.perf_counter() - start, _work() - worked))
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def filiera(self, *words: str, what: str = "", cwd: Path | None = None) -> str:
        return self.run(sys.executable, "-m", "filiera.cli.main", *words, what=what, cwd=cwd)

    def folder_of(self, name: str) -> Path:
        return next((self.root.parent / "worktrees").glob(f"*/{name}"))

    def change(self, folder: Path, number: int) -> None:
        """Let the stage in a folder return another number."""
        (folder / "flows/work.py").write_text(FLOW.replace(_EXAMPLE, f"    return [given, {number}]"))


def _work() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def one_round(bench: Bench, number: int, dvc: str) -> None:
    """Take turns: git, a plain run, an experiment with all files and one with a part of them, DVC."""
    plain = bench.root.parent / "plain"
    bench.run("git", "worktree", "add", "--quiet", "--detach", str(plain), what="git worktree add")
    bench.run("git", "worktree", "remove", "--force", str(plain))
    bench.filiera("--version", what="filiera --version")
    bench.filiera("run", "numbers", what="run, all from cache")
    bench.change(bench.root, 3 * number + 1)
    bench.filiera("run", "numbers", what="run, a stage changed")
    bench.run("git", "checkout", "--quiet", "--", ".")
    for kind, name, only in (("", f"e{number}", ()), (", a part", f"p{number}", ("--only", "flows"))):
        bench.filiera("experiment", "start", name, *only, what=f"experiment start{kind}")
        bench.change(bench.folder_of(name), 3 * number + (3 if only else 2))
        for how in ("a stage changed", "all from cache"):
            bench.filiera("experiment", "run", name, "--pipeline", "numbers", what=f"experiment run{kind}, {how}")
        bench.filiera("experiment", "accept", name, "--squash", what=f"experiment accept{kind}")
    if dvc:
        bench.filiera("experiment", "start", f"b{number}")
        bench.change(bench.folder_of(f"b{number}"), 1_000_000 + number)
        bench.filiera("experiment", "run", f"b{number}", "--pipeline", "bare", what=BARE)
        bench.filiera("experiment", "drop", f"b{number}")
        bench.write("number.py", f"{number}\n")
        bench.run(dvc, "exp", "run", "--quiet", what="dvc exp run, a stage changed")
        bench.run("git", "checkout", "--quiet", "--", ".")  # DVC leaves its lock file changed


def concurrent(bench: Bench, count: int) -> str:
    """Start *count* experiments, run all of them at once, and count records that are missing or another one's."""
    names = [f"c{number}" for number in range(count)]
    for number, name in enumerate(names):
        bench.filiera("experiment", "start", name)
        bench.change(bench.folder_of(name), 1000 + number)
    start = time.perf_counter()
    bench.filiera("experiment", "run", *names, "--pipeline", "numbers", "--jobs", "16")
    took = time.perf_counter() - start
    return f"{count} at once, 16 side by side: {took:.0f} s, {_wrong(bench, names)} of them lost or mixed up"


def _wrong(bench: Bench, names: Sequence[str]) -> int:
    from filiera.core.products import ProductRef
    from filiera.experiments.place import Place
    from filiera.experiments.records import runs_in

    os.environ.update({key: bench.variables[key] for key in ("FILIERA_WORKTREES", "GIT_CONFIG_GLOBAL")})
    place = Place(bench.root)
    records = {name: runs_in(found) for name, found in place.records(*names).items()}
    seen = {record.run_id for found in records.values() for record in found}
    wrong = len(names) - len(seen)
    for number, name in enumerate(names):
        (record,) = records[name] if len(records[name]) == 1 else (None,)
        if record is None or record.published != f"numbers~{name}@1":
            wrong += 1
            continue
        version = place.project.versions.get("dataset", ProductRef.parse(record.published))
        code = bench.run("git", "show", f"exp/{name}:flows/work.py")
        made = place.project.artifacts.get(version.artifact)["column_0"].to_list()
        is_its = made == [1, 1000 + number] and f", {1000 + number}]" in code
        wrong += version.artifact.digest != record.artifact or not is_its
    return wrong


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrent", type=int, default=200, help="0: leave that out")
    parser.add_argument("--dvc", default="", help="the command dvc, in an environment of its own")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="experiments-"))
    try:
        bench = Bench(folder / "many", options.files)
        if options.dvc:
            bench.run(options.dvc, "init", "--quiet")
            bench.write("dvc.yaml", DVC)
            bench.write("number.py", "0\n")
            bench.run(options.dvc, "repro", "--quiet")
            bench.commit()
        for number in range(options.rounds):
            one_round(bench, number, options.dvc)
        print(f"{options.files:,} files, {options.rounds} rounds; seconds of wall-clock and of processor time\n")
        for what, took in bench.took.items():
            walls, works = zip(*took, strict=True)
            wall, work = statistics.median(walls), statistics.median(works)
            print(f"  {what:52} {wall:7.2f}  ({min(walls):.2f} to {max(walls):.2f})  {work:7.2f}")
        print("\nratios of wall-clock and of processor time")
        _print_ratio(bench, "experiment start", "git worktree add")
        _print_ratio(bench, "git worktree add", "experiment start, a part")
        _print_ratio(bench, "dvc exp run, a stage changed", "experiment run, a stage changed")
        _print_ratio(bench, "dvc exp run, a stage changed", BARE)
        if options.concurrent:
            print(concurrent(Bench(folder / "few", 10), options.concurrent))
    finally:
        shutil.rmtree(folder)


def _print_ratio(bench: Bench, above: str, below: str) -> None:
    if above in bench.took:
        pairs = list(zip(bench.took[above], bench.took[below], strict=True))
        wall, work = (statistics.median(one[kind] / other[kind] for one, other in pairs) for kind in (0, 1))
        print(f"  {above} / {below}: {wall:.2f}, {work:.2f}")


if __name__ == "__main__":
    main()
