"""Projects over each kind of source, what is done to their sources, and what must come of it, judged by the command."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filiera.cli.main import main
from tests.cli.command import COMMAND, Answer, environment

SOURCE, CHECK, STEP, PROJECT = 6, 3, 1, 4
"""Exit codes: which kind of thing must catch a fault."""

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "src/filiera/templates"


@dataclass(frozen=True, kw_only=True)
class Caught:
    """What must come of a fault: who catches it, and the place that the one message names."""

    by: str  #: the check, or "source", "archive", ...: what the table says
    code: int
    words: tuple[str, ...]  #: all of them are in the message
    aside: tuple[str, int] | None = None  #: published, but so many rows are set aside under this rule or problem
    env: Mapping[str, str | None] = field(default_factory=dict)  #: of the process that meets the fault
    arguments: tuple[str, ...] = ()  #: of the pipeline
    own_process: bool = False  #: it is met in a process that has not imported the project before
    meddling: tuple[str, ...] = ()  #: what is done to which file while it is read, in a process of its own

    @property
    def apart(self) -> bool:
        """Tell whether a process of its own must meet it."""
        return self.own_process or bool(self.meddling)


def by_source(*words: object) -> Caught:
    """Return: the source is refused, with these words."""
    return Caught(by="the source", code=SOURCE, words=tuple(map(str, words)))


def by_check(name: str, *words: object) -> Caught:
    """Return: the blocking check of this name fails, and its reason has these words."""
    return Caught(by=name, code=CHECK, words=(f"block: {name}: ", *map(str, words)))


def set_aside(rule: str, count: int) -> Caught:
    """Return: so many rows go to quarantine under this rule, or when they are read, and all others are published."""
    return Caught(by=rule or "the source, set aside", code=0, words=(), aside=(rule, count))


class Place:
    """The project that a fault is put into."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    def entry(self, old: str, new: str) -> None:
        """Replace a text that is once in filiera.toml."""
        path = self.root / "filiera.toml"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (old, text)
        path.write_text(text.replace(old, new), encoding="utf-8")


Spoil = Callable[[Place, random.Random], Caught]
Change = Callable[[Place, random.Random], Caught | None]


@dataclass(frozen=True, kw_only=True)
class World:
    """A kind of source: a project over real data, and what can be done to it."""

    name: str
    make: Callable[[Path], None]  #: writes the project into an empty folder
    before: tuple[str, ...] = ()  #: pipelines that are run first
    pipeline: str  #: the one that meets the faults
    faults: Mapping[str, Spoil]
    harmless: Mapping[str, Change]
    rounds: int = 3  #: how often the campaign tries each kind; 1 where nothing is drawn
    renew: Callable[[], None] = lambda: None  #: makes what lies outside of the project as it was


class Stage:
    """One world, made once, whose project is as new for each fault."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self._pristine, self.root = folder / "pristine", folder / "project"
        self.root.mkdir(parents=True)
        world.make(self.root)
        for pipeline in (*world.before, world.pipeline):
            answer = self.command("run", pipeline)
            assert (answer.code, answer.err) == (0, ""), (world.name, answer)
        self.alarms = alarms(answer)
        self.versions = self.published()
        self.aside = self.quarantined(1)
        shutil.copytree(self.root, self._pristine)

    def new(self) -> Place:
        """Return the project as it was."""
        shutil.rmtree(self.root)
        shutil.copytree(self._pristine, self.root)
        self.world.renew()
        return Place(self.root)

    def command(self, *words: str, env: Mapping[str, str | None] | None = None) -> Answer:
        """Run ``filiera`` in this process."""
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.root),
            _environment(env or {}),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(words)
        self.last = Answer(code=code, out=out.getvalue(), err=err.getvalue())
        return self.last

    def in_a_process(self, caught: Caught, *words: str) -> Answer:
        """Run ``filiera`` in a process of its own, in which something may be done to the source while it is read."""
        path = [str(Path(__file__).parent / "meddler"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = environment({"PYTHONPATH": os.pathsep.join(path)})
        if caught.meddling:
            deed, name = caught.meddling
            env["MEDDLING"] = f"{deed} {self.root / name}"
        done = subprocess.run([*COMMAND, *words], cwd=self.root, env=env, capture_output=True, text=True, check=False)
        self.last = Answer(code=done.returncode, out=done.stdout, err=done.stderr)
        return self.last

    def published(self) -> list[Any]:
        """Return all versions that there are."""
        answer = self.command("versions", "--json")
        assert answer.code == 0, answer
        return sorted(json.loads(answer.out), key=lambda one: (one["created_at"], one["name"]))

    def quarantined(self, version: int) -> list[Any]:
        """Return the rows that were set aside with a version."""
        dataset = self.versions[-1]["name"]
        answer = self.command("data", "quarantined", f"{dataset}@{version}", "--json", "--limit", "1000000")
        assert answer.code == 0, answer
        found: list[Any] = json.loads(answer.out)["first"]
        return found

    def fault(self, kind: str, seed: int) -> str:
        """Put a fault in and judge what comes of it; return what caught it."""
        place = self.new()
        caught = self.world.faults[kind](place, random.Random(f"{kind} {seed}"))
        words = ("run", self.world.pipeline, *caught.arguments)
        answer = self.in_a_process(caught, *words) if caught.apart else self.command(*words, env=caught.env)
        problems = list(self._problems(caught, answer))
        assert not problems, f"{self.world.name}, {kind}, seed {seed}: {problems}\n{answer.out}{answer.err}"
        return caught.by

    def change(self, kind: str, seed: int) -> str:
        """Make a harmless change and see that nobody is alarmed; return that."""
        how = self.world.harmless[kind](self.new(), random.Random(f"{kind} {seed}"))
        words = ("run", self.world.pipeline, *(how.arguments if how else ()))
        answer = self.in_a_process(how, *words) if how else self.command(*words)
        told = f"{self.world.name}, {kind}, seed {seed}:\n{answer.out}{answer.err}"
        assert (answer.code, answer.err) == (0, ""), told
        assert alarms(answer) <= self.alarms, told
        return "nobody"

    def _problems(self, caught: Caught, answer: Answer) -> Iterator[str]:
        """Yield what is not as it must be after a fault."""
        text = answer.out + answer.err
        if answer.code != caught.code:
            yield f"exit code {answer.code}, not {caught.code}"
        if ("Traceback" in text and caught.code != STEP) or "panicked" in text:
            yield "a traceback"
        yield from (f"{word!r} is not said" for word in caught.words if word not in text)
        causes = len(re.findall("^(?:filiera: |step .* stops the run: |step .* failed )", text, re.MULTILINE))
        if caught.aside is None and causes != 1:
            yield f"{causes} messages"
        now = self.published()
        if now[: len(self.versions)] != self.versions:
            yield "what was published before is not what it was"
        if len(now) != len(self.versions) + (caught.aside is not None):
            yield f"{len(now) - len(self.versions)} versions were published"
        elif caught.aside is not None:
            yield from self._problems_aside(*caught.aside)
        if self.quarantined(1) != self.aside:
            yield "rows that were set aside before are not what they were"

    def _problems_aside(self, rule: str, count: int) -> Iterator[str]:
        before = list(self.aside)
        more = []
        for row in self.quarantined(2):
            before.remove(row) if row in before else more.append(row)
        if any(rule not in row.get("_rule", row.get("problem")) for row in more):
            yield f"rows are set aside under other rules: {more}"
        if len(more) != count:
            yield f"{len(more)} rows are set aside under {rule!r}, not {count}"


def alarms(answer: Answer) -> frozenset[str]:
    """Return severity and name of the checks that failed."""
    return frozenset(re.findall(r"^  ((?:warn|quarantine|block): .*?): ", answer.out, re.MULTILINE))


@contextlib.contextmanager
def staged(world: World, folder: Path) -> Iterator[Stage]:
    """Yield a world's project; afterwards this process has forgotten its modules."""
    path, modules = list(sys.path), set(sys.modules)
    try:
        yield Stage(world, folder)
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if getattr(sys.modules[name], "__file__", None) and str(folder) in str(sys.modules[name].__file__):
                del sys.modules[name]
        importlib.invalidate_caches()


@contextlib.contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Change the environment for a while: no settings of ours, and what is asked for."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("FILIERA_")]:
        del os.environ[name]
    for name, value in changes.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def write_project(root: Path, *, catalog: str, package: str, code: str, executor: str = "inline") -> None:
    """Write a project."""
    (root / package).mkdir()
    (root / package / "__init__.py").touch()
    (root / package / "data.py").write_text(code, encoding="utf-8")
    profile = f'[profile.local]\nstore = ".filiera"\nexecutor = "{executor}"\nworkers = 1\n'
    project = f'[project]\nname = "{package}"\nflows = ["{package}"]\n'
    (root / "filiera.toml").write_text(f"{project}\n{catalog}\n{profile}", encoding="utf-8")
