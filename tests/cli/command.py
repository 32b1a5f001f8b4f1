"""The command as a person uses it, and small projects to use it on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

COMMAND = (sys.executable, "-m", "filiera.cli.main")

TOML = """\
[project]
name = "small"

[profile.local]
store = ".filiera"
workers = 1
"""

SMALL = '''\
"""Small pipelines that need no library."""

import sys
from typing import Literal

from filiera import Html, pipeline, step

GREETING = "Hello"


@step
def greet(name: str, loud: bool) -> str:
    print("greeting", name)
    return f"{GREETING}, {name.upper() if loud else name}!"


@step
def count(text: str) -> int:
    return len(text)


@pipeline(kind="data")
def hello(name: str = "world", loud: bool = False, size: Literal["s", "m"] = "m"):
    """Greet somebody and count the letters.

    100 % typed.
    """
    return count(greet(name, loud))


@step
def page(title: str) -> Html:
    return Html(f"<h1>{title}</h1>")


@pipeline(kind="data")
def report(title: str):
    """Make a page."""
    return page(title)


@step
def fail(how: str, text: str) -> int:
    if how == "exit":
        sys.exit(3)
    if how == "object":
        return object()
    raise ValueError(f"cannot {how} {text}")


@pipeline(kind="data")
def broken(how: str = "raise"):
    """Fail after a step that succeeds."""
    return fail(how, greet("you", False))


@step
def wait(gate: str) -> str:
    print("waiting")
    with open(gate) as file:
        return file.read()


@pipeline(kind="data")
def waiting(gate: str = "gate"):
    """Wait until somebody writes to a named pipe."""
    return count(wait(gate))
'''


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Return standard output as strict JSON."""

        def refuse(name: str) -> None:
            raise ValueError(f"{name} is not JSON")

        return json.loads(self.out, parse_constant=refuse)

    def said(self, code: int, *words: str) -> Answer:
        """Check that it ended with *code* and one message on standard error that has all *words*; return itself."""
        assert (self.code, "Traceback" in self.err) == (code, False), (self.out, self.err)
        assert self.err.startswith("filiera"), self.err
        assert self.err.count("filiera: ") <= 1, self.err
        for word in words:
            assert word in self.err, (word, self.err)
        return self


def filiera(*words: str | Path, cwd: Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Answer:
    """Run ``filiera`` with *words* in a process of its own."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(env),
        check=False,
    )
    return Answer(code=done.returncode, out=done.stdout, err=done.stderr)


def done(*words: str | Path, cwd: Path, stdin: str = "") -> Answer:
    """Run ``filiera`` and check that it succeeded and complained of nothing."""
    answer = filiera(*words, cwd=cwd, stdin=stdin)
    assert (answer.code, answer.err) == (0, ""), answer
    return answer


@contextmanager
def started(*words: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start ``filiera`` and give the process; it is killed at the end if it still runs."""
    command = [*COMMAND, *map(str, words)]
    with subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(env)
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def read_until(stream: IO[str] | None, word: str) -> str:
    """Return the first line that has *word*; fail when the stream ends before."""
    assert stream is not None
    seen = []
    for line in stream:
        seen.append(line)
        if word in line:
            return line
    raise AssertionError(f"{word!r} is not in {seen}")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without settings of ours."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("FILIERA_")}
    return {**mine, "COLUMNS": "120", "PYTHONWARNINGS": "error", **(more or {})}


def copied(project: Path, to: Path) -> Path:
    """Return a copy of a project, which another process makes.

    This one may have the records open: when it closes their files, having read them, the system forgets its locks on
    them, and whoever else uses them takes itself for the only one.
    """
    subprocess.run(["cp", "-R", str(project), str(to)], check=True)
    return to


def make_project(folder: Path, *, code: str = SMALL, toml: str = TOML, package: str = "flows") -> Path:
    """Write a project with one module of pipelines and return its folder."""
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").touch()
    (folder / package / "small.py").write_text(code)
    (folder / "filiera.toml").write_text(toml)
    return folder
