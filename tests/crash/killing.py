"""A project whose steps and driver tell where they are, so that it can be killed exactly there."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from filiera.core.runstate import RunState
from filiera.project import runs
from tests.projects import SmallProject, command, digests

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
        ''',
    "flows/counts.py": '''
        """Fan-out, retries, uncached steps, values in files, and a published dataset."""

        import polars as pl

        from filiera import Check, Dataset, pipeline, step
        from flows.telling import HERE, tell


        @step
        def seeds(width: int) -> list[int]:
            tell("seeds")
            return list(range(width))


        @step(cache=False)
        def salt() -> int:
            tell("salt")
            return 7


        @step(retries=2, retry_delay_s=0)
        def branch(seeds: list[int], place: int) -> bytes:
            tell(f"branch-{place + 1}" if place else "branch")
            if place % 2:
                try:
                    (HERE / f"tried-{place}").touch(exist_ok=False)
                except FileExistsError:
                    pass
                else:
                    raise ValueError("the first attempt fails")
            return bytes([seeds[place]]) * 20_000


        @step(retries=2, retry_delay_s=0)
        def gather(parts: list[bytes], salt: int) -> pl.DataFrame:
            tell("gather")
            return pl.DataFrame({"part": [part[0] for part in parts], "size": [len(part) + salt for part in parts]})


        @pipeline(kind="data", publishes=Dataset("counts", checks=[Check.rows(at_least=1)]))
        def counts(width: int = 4):
            numbers = seeds(width)
            return gather([branch(numbers, place) for place in range(width)], salt())


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
RUN = "counts-1"


class Battlefield:
    """One project in a fresh folder, run by the real command, killed, and looked at."""

    def __init__(self, root: Path) -> None:
        self.project = SmallProject(root, FILES, executor="processes")
        self.ear = root / "ear"
        os.mkfifo(self.ear)
        os.mkfifo(root / "never")

    @contextmanager
    def running(self, *words: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
        """Yield a started command, and what it and its steps tell, line by line; it has ended afterwards."""
        reader = os.open(self.ear, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(reader, True)
        with self.ear.open("w") as writer:
            # A session of its own: what it leaves behind can be found, and Ctrl-C is ours to send.
            process = subprocess.Popen(
                command(*words), **self.project.surroundings(), stdout=writer, stderr=writer, start_new_session=True
            )
        with os.fdopen(reader) as told:
            try:
                yield process, told
            finally:
                process.kill()
                process.wait()

    def finished(self) -> set[str]:
        """Return the steps that are recorded as finished."""
        return {name for name, step in self.state().steps.items() if step.status in ("succeeded", "hit")}

    def state(self) -> RunState:
        return self.project.state(RUN)

    def shown(self, run_id: str = RUN) -> str:
        """Return what lists show of the run."""
        with self.project.opened() as project:
            return runs.shown_state(project, runs.get_run(project, run_id))

    def has_begun(self) -> bool:
        return bool(self.project.read("get_run", run_id=RUN))

    def executions(self) -> Counter[str]:
        """Return how often each step was executed, since the beginning."""
        calls = self.project.root / "calls"
        return Counter(line.split()[0] for line in calls.read_text().splitlines()) if calls.exists() else Counter()

    def versions(self) -> list[str]:
        """Return the digests of all published versions, whose bytes must be there and whole."""
        with self.project.opened() as project:
            versions = project.versions.find()
            for version in versions:
                for ref in (version.artifact, *version.attachments.values()):
                    assert ref.inline is not None or project.blobs.get(ref.digest)
            return [version.artifact.digest for version in versions]


@dataclass
class Kill:
    """Whom to kill, and after how many lines."""

    whom: str  #: "driver", "worker" or "both"
    after: int
    outcome: str = field(default="", compare=False)  #: what the lists showed then
    said: str = field(default="", compare=False)  #: what was told until then


def fight(field: Battlefield, words: tuple[str, ...], kill: Kill) -> None:
    """Run a command, kill at the line that *kill* says, wait for what is left to end, and check what is recorded."""
    workers: list[int] = []
    with field.running(*words) as (process, told):
        for number, line in enumerate(told):
            kill.said += line
            parts = line.split()
            if len(parts) == 2 and parts[1].isdigit():
                workers.append(int(parts[1]))
            if number == kill.after:
                if kill.whom in ("worker", "both") and workers:
                    _kill(workers[-1])
                if kill.whom in ("driver", "both"):
                    process.kill()
        process.wait()
    for pid in set(workers):
        wait_for_end(pid)
    kill.outcome = field.shown() if field.has_begun() else "not begun"


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_for_end(pid: int) -> None:
    """Return when a process has ended; one that is still there after ten seconds is a failure."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], 10.0)[0], f"process {pid} lives on"
    finally:
        os.close(handle)


def reference(root: Path) -> tuple[dict[str, list[str]], list[str], int]:
    """Return the digests, the versions and the number of lines of an undisturbed run."""
    field = Battlefield(root)
    with field.running("run", "counts") as (process, told):
        lines = list(told)
        assert process.wait() == 0, "".join(lines)
    return digests(field.state()), field.versions(), len(lines)
