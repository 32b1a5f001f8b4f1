"""Small projects of plain Python in a folder of their own, used in this process or by the real command."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filiera.core.events import Event, StepSucceeded
from filiera.core.runstate import RunState
from filiera.engine.rows import read_event
from filiera.errors import StoreFull
from filiera.ports import Row
from filiera.project import launch
from filiera.project.project import Project
from filiera.project.runs import Run

CONFIGURATION = """
[project]
name = "small"
flows = ["flows"]

[profile.local]
executor = "{executor}"
workers = 2
"""


class SmallProject:
    """A project whose files a test writes."""

    def __init__(self, root: Path, files: Mapping[str, str], *, executor: str = "inline") -> None:
        self.root = root
        # Of a folder without it, Python prefers any file flows.py that it finds, wherever on its path.
        package = {"flows/__init__.py": ""} if any(name.startswith("flows/") for name in files) else {}
        self.write({"filiera.toml": CONFIGURATION.format(executor=executor), **package, **files})

    def write(self, files: Mapping[str, str]) -> None:
        """Write files by their paths; the lines of a text may be indented together."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace a text that occurs once in a file."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is in {name} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    @contextmanager
    def opened(self) -> Iterator[Project]:
        """Yield the project as a new process would see it: its modules are imported anew, from the text of now."""
        former, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        path = list(sys.path)
        self._forget_modules()
        importlib.invalidate_caches()
        project = Project.open(self.root)
        try:
            yield project
        finally:
            project.close()
            self._forget_modules()
            sys.path[:] = path
            sys.dont_write_bytecode = former

    def run(self, pipeline: str, *, fresh: tuple[str, ...] = (), **values: Any) -> Run:
        """Run a pipeline in this process and return the run, however it ended."""
        with self.opened() as project:
            return launch.start(project, pipeline, values, fresh=frozenset(fresh))

    def resume(self, run_id: str) -> Run:
        """Resume a run in this process."""
        with self.opened() as project:
            return launch.resume(project, run_id)

    def reasons(self, run_id: str) -> dict[str, str]:
        """Return why each step of a run ran or not."""
        return {row["step"]: row["reason"] for row in self.read("steps_of_run", run_id=run_id)}

    def read(self, query: str, **parameters: Any) -> list[Row]:
        """Return rows of the records."""
        with self.opened() as project:
            return project.records.read(query, parameters)

    def state(self, run_id: str) -> RunState:
        """Return what the recorded events of a run say."""
        return RunState.fold(
            read_event(row["kind"], row["body"]) for row in self.read("events_of_run", run_id=run_id, since=0)
        )

    def command(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Return what ``filiera`` with these words printed and returned."""
        return subprocess.run(command(*words), **self.surroundings(), capture_output=True, text=True, **options)

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Return ``filiera`` with these words, started."""
        pipe = subprocess.PIPE
        return subprocess.Popen(command(*words), **self.surroundings(), stdout=pipe, stderr=pipe, text=True, **options)

    def json(self, *words: str) -> Any:
        """Return the data that ``filiera`` prints for scripts."""
        done = self.command(*words, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def surroundings(self) -> dict[str, Any]:
        """Return folder and environment: no compiled files, whose age in seconds hides quick changes of the text."""
        return {"cwd": self.root, "env": {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}}

    def _forget_modules(self) -> None:
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            if file.startswith(str(self.root) + os.sep) or name.partition(".")[0] == "flows":
                del sys.modules[name]


class Hears:
    """A listener of a run that does something at each event."""

    def __init__(self, do: Any) -> None:
        self.do = do
        self.events: list[Event] = []

    def begins(self, log_dir: Path) -> None:
        self.log_dir = log_dir

    def waits(self, state: RunState) -> None: ...
    def says(self, line: str) -> None: ...

    def __call__(self, event: Event, state: RunState) -> None:
        self.events.append(event)
        self.do(event)


def full_disk_after(step: str) -> Hears:
    """Return a listener that fails, as a full disk would, when *step* has succeeded."""

    def fail(event: Event) -> None:
        if isinstance(event, StepSucceeded) and event.step == step:
            raise StoreFull("No space is left.")

    return Hears(fail)


def command(*words: str) -> list[str]:
    """Return the command line that does what ``filiera`` with these words does."""
    return [sys.executable, "-m", "filiera.cli.main", *words]


def statuses(run: Run | RunState) -> dict[str, str]:
    """Return the status of each step."""
    state = run.state if isinstance(run, Run) else run
    return {name: step.status for name, step in state.steps.items()}


def digests(run: Run | RunState) -> dict[str, list[str]]:
    """Return the digests of each step's outputs."""
    state = run.state if isinstance(run, Run) else run
    return {name: [ref.digest for ref in step.outputs] for name, step in state.steps.items()}
