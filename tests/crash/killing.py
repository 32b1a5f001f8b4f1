"""A project whose steps and driver tell where they are, so that they can be killed there, and what is left is seen."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from filiera.core.runstate import RunState
from filiera.project import runs
from tests.crash.soundness import Told, check_flights, check_store, check_told
from tests.projects import SmallProject, command, digests

REPOSITORY = Path(__file__).parents[2]
MARK = "FILIERA_BATTLE"
"""An environment variable that every process of one battle has, workers and what they start too."""

FILES = {
    "flows/__init__.py": "",
    "flows/telling.py": '''
        import os
        from pathlib import Path

        HERE = Path(__file__).parents[1]


        def tell(word):
            """Note an execution for ever, and tell whoever listens; one write each, so that lines stay whole."""
            for name, flags in (("calls", os.O_APPEND | os.O_CREAT), ("ear", os.O_NONBLOCK)):
                try:
                    file = os.open(HERE / name, os.O_WRONLY | flags)
                except OSError:  # nobody listens
                    continue
                os.write(file, f"{word} {os.getpid()}\\n".encode())
                os.close(file)


        def fail_once(name):
            """Fail the first time that it is called with a name, whichever process calls."""
            try:
                (HERE / f"tried-{name}").touch(exist_ok=False)
            except FileExistsError:
                return
            raise ValueError("the first attempt fails")
        ''',
    "flows/counts.py": '''
        """A fan-out, retries, a graph made while it runs, a chain of short steps, uncached steps, a dataset."""

        from filiera import Check, Dataset, pipeline, step
        from flows.telling import fail_once, tell


        @step
        def seeds(width: int) -> list[int]:
            tell("seeds")
            return list(range(width))


        @step(cache=False)
        def salt() -> int:
            tell("salt")
            return 7


        @step(retries=2, retry_delay_s=0)
        def branch(seed: int) -> bytes:
            tell(f"branch[{seed}]")
            if seed % 2:
                fail_once(f"branch-{seed}")
            return bytes([seed]) * 20_000


        @step(retries=1, retry_delay_s=0)
        def grow(number: int) -> int:
            tell("plan.grow" if number == 0 else f"plan.grow-{number + 1}")
            return number * number


        @step
        def add_up(numbers: list[int]) -> int:
            tell("plan.add_up")
            return sum(numbers)


        @step(dynamic=True)
        def plan(seeds: list[int]) -> int:
            tell("plan")
            return add_up([grow(seed) for seed in seeds])


        @step
        def link(x: int) -> int:
            tell("link" if x == 1 else f"link-{x}")
            return x + 1


        @step(retries=2, retry_delay_s=0)
        def gather(parts: list[bytes], salt: int, grown: int, linked: int) -> dict[str, list[int]]:
            tell("gather")
            fail_once("gather")
            return {"part": [part[0] for part in parts], "size": [len(part) + salt + grown + linked for part in parts]}


        @pipeline(kind="data", publishes=Dataset("counts", checks=[Check.rows(at_least=1)]))
        def counts(width: int = 4, length: int = 8):
            numbers = seeds(width)
            end = 1
            for _ in range(length):
                end = link(end)
            return gather(branch.map(numbers), salt(), plan(numbers), end)
        ''',
    "flows/endless.py": """
        from filiera import pipeline, step
        from flows.telling import HERE, tell


        @step
        def begin(x: int) -> int:
            tell("begin")
            return x


        @step
        def wait_for_ever(x: int) -> str:
            tell("wait_for_ever")
            return open(HERE / "never").read()


        @pipeline(kind="data")
        def endless(x: int = 4):
            return wait_for_ever(begin(x))
        """,
}
UNCACHED = "salt"


class Battlefield:
    """One project in a fresh folder, whose runs are killed and looked at."""

    def __init__(self, root: Path, *, store: Path | None = None) -> None:
        self.project = SmallProject(root, FILES, executor="processes")
        if store is not None:
            self.project.replace("filiera.toml", "workers = 2", f'workers = 2\nstore = "{store}"')
        self.ear = root / "ear"
        self.mark = uuid.uuid4().hex
        os.mkfifo(self.ear)
        os.mkfifo(root / "never")

    @property
    def path(self) -> str:
        """Return the import path of other processes, on which these tests are too."""
        return os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))

    def running(self, *words: str) -> Any:
        """Return a context that gives a ``filiera`` command, and what it and its steps tell; see ``hearing``."""
        return self.hearing(command(*words))

    def driving(self, verb: str, what: str) -> Any:
        """Return a context that gives a driver which tells each event as its listener hears it; see ``hearing``."""
        return self.hearing([sys.executable, "-m", "tests.crash.driving", verb, str(self.project.root), what])

    @contextmanager
    def hearing(self, words: list[str]) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
        """Yield a started command, and what it and its steps tell, line by line; it has ended afterwards."""
        reader = os.open(self.ear, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(reader, True)
        options = self.project.surroundings()
        options["env"] = {**options["env"], MARK: self.mark, "PYTHONPATH": self.path}
        with self.ear.open("w") as writer:
            # A session of its own: Ctrl-C is ours to send.
            process = subprocess.Popen(words, **options, stdout=writer, stderr=writer, start_new_session=True)
        with os.fdopen(reader) as told:
            try:
                yield process, told
            finally:
                process.kill()
                process.wait()

    def state(self, run_id: str) -> RunState:
        return self.project.state(run_id)

    def shown(self, run_id: str) -> str:
        """Return what lists show of a run, "not begun" when it is not there."""
        with self.project.opened() as project:
            found = project.records.read("get_run", {"run_id": run_id})
            return runs.shown_state(project, found[0]) if found else "not begun"

    def finished(self, run_id: str) -> set[str]:
        """Return the steps of a run that are recorded as finished."""
        if self.shown(run_id) == "not begun":
            return set()
        return {name for name, step in self.state(run_id).steps.items() if step.status in ("succeeded", "hit")}

    def executions(self) -> Counter[str]:
        """Return how often each step was executed, since the beginning."""
        calls = self.project.root / "calls"
        return Counter(line.split()[0] for line in calls.read_text().splitlines()) if calls.exists() else Counter()

    def versions(self) -> list[str]:
        """Return the digests of all published versions."""
        with self.project.opened() as project:
            return [version.artifact.digest for version in project.versions.find()]

    def processes(self) -> list[int]:
        """Return all processes of this battle that live."""
        wanted = f"{MARK}={self.mark}".encode()
        return [int(place.name) for place in Path("/proc").glob("[0-9]*") if wanted in _environment(place)]

    def check(self, told: Told | None = None, *, may_lack: bool = False) -> None:
        """Assert that nobody is left, that the store is sound, that it holds what was told, and that it is free."""
        while pids := self.processes():
            for pid in pids:
                wait_for_end(pid)
        with self.project.opened() as project:
            check_store(project, may_lack=may_lack)
            check_told(project, told or Told())
            check_flights(project.store / "flights")


@dataclass
class Kill:
    """Whom to kill, and when."""

    whom: str  #: "driver", "worker" or "both"
    after: int  #: so many lines that driver and steps have told; 0: as soon as the driver was started
    then_s: float  #: and so many seconds
    back: int = 1  #: which worker: the one that told something last, or before that one
    outcome: str = field(default="", compare=False)  #: what the lists showed then
    said: str = field(default="", compare=False)  #: what was told until then


def fight(field: Battlefield, verb: str, what: str, kill: Kill) -> Told:
    """Run or resume, kill when *kill* says so, wait for the end, and return what the driver told of the run."""
    workers: list[int] = []
    told = Told()
    with field.driving(verb, what) as (process, lines):
        if kill.after == 0:
            _strike(kill, process, workers)
        for number, line in enumerate(lines, start=1):
            kill.said += line
            told.hear(line)
            parts = line.split()
            if len(parts) == 2 and parts[1].isdigit():
                workers.append(int(parts[1]))
            if number == kill.after:
                _strike(kill, process, workers)
        process.wait()
    return told


def _strike(kill: Kill, process: subprocess.Popen[str], workers: list[int]) -> None:
    wait_for_end(process.pid, at_most_s=kill.then_s)
    if kill.whom in ("worker", "both"):
        for pid in workers[-kill.back :][:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if kill.whom in ("driver", "both"):
        process.kill()


def wait_for_end(pid: int, *, at_most_s: float | None = None) -> None:
    """Return when a process has ended, or after a while; without *at_most_s*, one that lives long is a failure."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        has_ended = select.select([handle], [], [], 20.0 if at_most_s is None else at_most_s)[0]
        assert has_ended or at_most_s is not None, f"process {pid} lives on"
    finally:
        os.close(handle)


def _environment(process: Path) -> bytes:
    try:
        if (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return b""  # dead, and not yet noticed by whoever started it
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def reference(root: Path) -> tuple[dict[str, list[str]], list[str], int]:
    """Return the digests, the versions and the number of lines of an undisturbed run."""
    field = Battlefield(root)
    told = Told()
    with field.driving("run", "counts") as (process, lines):
        heard = list(lines)
        assert process.wait() == 0, "".join(heard)
    for line in heard:
        told.hear(line)
    field.check(told)
    return digests(field.state("counts-1")), field.versions(), len(heard)
