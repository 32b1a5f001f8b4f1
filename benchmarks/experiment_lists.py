"""Measure lists and comparisons among 1,000 experiments: ``python benchmarks/experiment_lists.py``.

A small project publishes a dataset and a model, and two experiments run for real. ``git fast-import`` then makes
branches from their records (``--experiments`` for another number than 1,000): each begins at one of 200 commits of
main and has two runs with metrics of their own. Measured are the list of all, the list with all metrics and
parameters sorted by one, as it is printed, and the comparison of two with tests on the rows that both have answered.
Figures are medians of wall-clock time and of processor time, git's included, in a process that has done it once; how
many processes of git each takes is counted. What the limit is for is processor time, which is all that it takes when
the machine has nothing else to do. It is not for the first list of all, in which each branch is read; from then on
only branches that have moved are.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from guessing import write_project

ROUNDS = 11
LIMIT_MS = 200.0
BASES = 200
FIRST = "listed for the first time"
BEGUN = (
    ["start", "first"],
    ["start", "second"],
    ["run", "first", "--set", "depth=2"],
    ["run", "second", "--set", "depth=9"],
)
TRAINING = """
@step(stage="train")
def fit(rows: pl.DataFrame, depth: int, leaf: float) -> DecisionTreeClassifier:
    tree = DecisionTreeClassifier(max_depth=depth, random_state=0, min_samples_leaf=leaf)
    return tree.fit(rows.select("a", "b"), rows["big"].to_numpy())

@pipeline(kind="model", publishes=Model("guess", gates=[Gate("f1_macro", at_least=0.3)], may_share_rows=True))
def train(rows: pl.DataFrame = Dataset("pairs@latest"), depth: int = 5):
    model = fit(rows, depth, 0.001)
    return model, assess(model, rows)
"""


def git(*words: str, given: bytes | None = None) -> str:
    """Return what git prints."""
    named = ["-c", "user.name=b", "-c", "user.email=b@b"]
    done = subprocess.run(["git", *named, *words], input=given, capture_output=True, check=True)
    return done.stdout.decode().strip()


def fill(folder: Path, experiments: int) -> None:
    """Make the project, run two experiments, and make branches of further ones."""
    from filiera.experiments.place import Place

    write_project(folder, 'executor = "inline"', TRAINING)
    (folder / ".gitignore").write_text(".filiera/\n__pycache__/\n")
    git("init", "--quiet", "--initial-branch", "main")
    git("add", "--all")
    git("commit", "--quiet", "-m", "first state")
    for words in (["run", "pairs", "--rows", "2000"], ["run", "train"], *(["experiment", *each] for each in BEGUN)):
        subprocess.run([sys.executable, "-m", "filiera.cli.main", *words], capture_output=True, check=True)
    git("fast-import", "--quiet", given=b"".join(notes(git("rev-parse", "main"))))
    bases = git("rev-list", "main").splitlines()
    git("reset", "--quiet", "--hard", "main")
    git("fast-import", "--quiet", given=b"".join(branches(Place(folder), bases, experiments - 2)))


def notes(first: str) -> Iterator[bytes]:
    """Yield what makes ``git fast-import`` add commits to main."""
    for number in range(BASES):
        parent = first if number == 0 else f":{number}"
        yield _commit("refs/heads/main", number + 1, parent, {f"notes/{number}.md": b"A note.\n"}, "Note something")


def branches(place: Any, bases: Sequence[str], experiments: int) -> Iterator[bytes]:
    """Yield what makes it add branches with records like those of the two experiments."""
    from filiera.experiments.names import new_id
    from filiera.experiments.records import path_of, runs_in, start_in, write_record

    records = [place.records(name)[name] for name in ("first", "second")]
    for number in range(experiments):
        name, base, found = f"idea-{number}", bases[number % len(bases)], records[number % 2]
        begun = start_in(found)
        assert begun is not None
        begun = replace(begun, id=new_id(), experiment=name, at=begun.at + number, base=base)
        mark, branch = 10 * number + 1, f"refs/heads/exp/{name}"
        yield _commit(branch, mark, base, {path_of(begun, ""): write_record(begun)}, f"Start experiment {name}")
        for attempt in range(2):
            one = runs_in(found)[-1]
            shift = (number * 7 + attempt) % 100 / 1e4
            metrics = {key: {**each, "value": each["value"] - shift} for key, each in one.metrics.items()}
            one = replace(one, id=new_id(), experiment=name, metrics=metrics, run_id=f"train-{number}-{attempt}")
            text = {path_of(one, ""): write_record(one), "notes/idea.md": f"{number} {attempt}\n".encode()}
            told = f"Run train\n\nExperiment: {name}\n"
            yield _commit(branch, mark + 1 + attempt, f":{mark + attempt}", text, told)


def _commit(branch: str, mark: int, parent: str, files: dict[str, bytes], message: str) -> bytes:
    content = message.encode()
    lines = [b"commit %s\nmark :%d\ncommitter b <b@b> %d +0000" % (branch.encode(), mark, 1_700_000_000 + mark)]
    lines += [b"data %d\n%s" % (len(content), content), b"from %s" % parent.encode()]
    lines += [b"M 100644 inline %s\ndata %d\n%s" % (name.encode(), len(text), text) for name, text in files.items()]
    return b"\n".join(lines) + b"\n\n"


def timed(do: Callable[[], Any]) -> dict[str, float]:
    """Return the medians of the milliseconds that a call takes, and how many processes it starts."""
    walls, works = [], []
    for _ in range(ROUNDS):
        before, own = time.perf_counter(), _work()
        do()
        walls.append(time.perf_counter() - before)
        works.append(_work() - own)
    started = _processes(do)
    return {
        "wall_ms": 1e3 * statistics.median(walls[1:]),
        "work_ms": 1e3 * statistics.median(works[1:]),
        "processes": started,
    }


def _work() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _processes(do: Callable[[], Any]) -> int:
    """Return how many processes a call starts."""
    started = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal started
        started += event == "subprocess.Popen"

    sys.addaudithook(count)
    do()
    found, started = started, -1_000_000
    return found


def measure(experiments: int) -> dict[str, dict[str, float]]:
    """Return what lists and comparisons among so many experiments take."""
    from filiera.cli.main import main as filiera
    from filiera.experiments.comparing import compare
    from filiera.experiments.listing import list_experiments
    from filiera.experiments.place import Place

    def printed(*words: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            assert filiera(["experiment", *words]) == 0

    with tempfile.TemporaryDirectory(prefix="filiera-experiments-") as name, contextlib.chdir(name):
        os.environ["FILIERA_WORKTREES"] = f"{name}/worktrees"
        folder = Path(name, "repository")
        folder.mkdir()
        os.chdir(folder)
        fill(folder, experiments)
        place = Place(folder)
        assert len(list_experiments(place)) == experiments
        remembered = place.folder / "listed.json"

        def listed_first() -> None:
            remembered.unlink()
            list_experiments(place)

        found = {
            FIRST: timed(listed_first),
            "listed": timed(lambda: list_experiments(place)),
            "printed, sorted": timed(lambda: printed("list", "--columns", "all", "--sort", "f1_macro")),
            "two compared, one metric": timed(lambda: compare(place, ["first", "second"], metrics=["f1_macro"])),
            "two compared, all metrics": timed(lambda: compare(place, ["first", "second"])),
        }
        os.chdir(name)
        return found


def main() -> int:
    """Measure and print; return 1 when it takes too long."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--experiments", type=int, default=1000, help="how many there are (default: 1000)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = measure(options.experiments)
    if options.json:
        print(json.dumps(found))
    else:
        for kind, figures in found.items():
            wall, work, started = figures["wall_ms"], figures["work_ms"], figures["processes"]
            print(f"{options.experiments:,} {kind}: {wall:.0f} ms ({work:.0f} ms of work, {started:.0f} processes)")
    return 0 if all(each["work_ms"] <= LIMIT_MS for kind, each in found.items() if kind != FIRST) else 1


if __name__ == "__main__":
    sys.exit(main())
