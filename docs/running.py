"""Run what a page of documentation shows, in an empty folder: ``python docs/running.py PAGE…`` renews outputs.

What a code block means is said behind its language:

- ``console``: lines that begin with ``$ `` are commands, the lines below each what it prints.
- ``console service``: its command goes on while the page does, and its first line says at which address.
- ``python FILE``, ``toml FILE``, ``xml FILE``: the content of a file, written when it comes; ``toml + FILE`` goes to
  its end.
- ``python``: a program, run in the folder that the commands have come to.

Times, digests, dates and measured numbers differ from run to run, and are not compared. A line ``…`` stands for any
lines.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S = 300
_LAST_LINE = re.compile(r"  stop |INFO: +Uvicorn running on ")
"""How the last line begins that ``filiera serve``, or uvicorn, prints before it waits."""
ANY = "…"
_BLOCK = re.compile(
    r"^```(?P<language>console|python|toml|xml)(?P<target>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_DOCUMENTED_ADDRESS = "http://127.0.0.1:8000"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A command of a page: what it should print and what it printed."""

    command: str
    expected: str
    actual: str
    exit_code: int

    @property
    def as_expected(self) -> bool:
        """Tell whether what was printed is what the page shows, but for what differs from run to run."""
        return _matches(even(self.expected).splitlines(), even(self.actual).splitlines())


def _matches(expected: list[str], actual: list[str]) -> bool:
    """Tell whether lines are as expected, where a line ``…`` stands for any lines.

    >>> _matches(["a", "…", "d"], ["a", "b", "c", "d"]), _matches(["a", "…"], ["b"]), _matches(["…"], [])
    (True, False, True)
    """
    if not expected:
        return not actual
    if expected[0] == ANY:
        return any(_matches(expected[1:], actual[start:]) for start in range(len(actual) + 1))
    return bool(actual) and expected[0] == actual[0] and _matches(expected[1:], actual[1:])


@dataclass(kw_only=True)
class Session:
    """A shell that remembers its folder and its services."""

    folder: Path
    home: Path
    services: ExitStack = field(default_factory=ExitStack)
    address: str = ""

    def run(self, command: str, expected: str) -> Ran:
        """Run a command and return what came of it."""
        if command.startswith("cd "):
            self.folder = self._named(command[3:].strip())
            return Ran(command=command, expected=expected, actual="", exit_code=0)
        text = command.replace(_DOCUMENTED_ADDRESS, self.address or _DOCUMENTED_ADDRESS)
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return Ran(command=command, expected=expected, actual=self._documented(done.stdout), exit_code=done.returncode)

    def _named(self, folder: str) -> Path:
        """Return the folder that ``cd`` goes to: ``~`` is the page's home, ``*`` stands for what differs."""
        path = self.home / folder.removeprefix("~/") if folder.startswith("~/") else self.folder / folder
        return Path(next(glob.iglob(str(path)), str(path))).resolve()  # noqa: PTH207

    def serve(self, command: str, expected: str) -> Ran:
        """Start a service on a free port, which the page calls 8000; ``filiera up`` is told so by its configuration."""
        is_up = command.startswith("filiera up")
        count = len(expected.splitlines()) if is_up else 0
        words = command if is_up else f"{command} --port 0"
        lines = self.services.enter_context(_service(words, count, self.folder, self.variables))
        self.address = next(iter(re.findall(r"http://[\d.:]+", lines)), "")
        return Ran(command=command, expected=expected, actual=self._documented(lines), exit_code=0)

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment: this Python's commands first, nothing of Filiera's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FILIERA_", "PYTEST_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        if self.address:
            kept["SERVICE_URL"] = self.address
        whole = {
            "PATH": path,
            "COLUMNS": "100",
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_STATE_HOME": f"{self.home}/.state",
        }
        person = {f"GIT_{who}_{what}": "ada@lab" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return {**kept, **whole, **person}

    def write(self, target: str, text: str) -> None:
        """Write a file of the project, or add to it."""
        file = self.folder / target.removeprefix("+").strip()
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.read_text(encoding="utf-8") + "\n" if target.startswith("+") else ""
        file.write_text(before + text, encoding="utf-8")

    def _documented(self, text: str) -> str:
        text = text.replace(self.address or _DOCUMENTED_ADDRESS, _DOCUMENTED_ADDRESS)
        return text.replace(str(self.home), "~").rstrip()


@contextmanager
def _service(command: str, count: int, folder: Path, variables: dict[str, str]) -> Iterator[str]:
    """Start a service, yield what it prints until it is ready, or *count* lines, and stop it as Ctrl-C would."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line)
                if _LAST_LINE.match(line) or len(lines) == count:
                    break
            yield "".join(lines)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=LIMIT_S)


def even(text: str) -> str:
    """Return a text without what differs from run to run.

    >>> even("fit  train  succeeded  1.6 s   ab63100a7c2c")
    'fit train succeeded TIME DIGEST'
    """
    for pattern, word in (
        (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+Z)?\b", "DATE"),
        (r"\b\d+ min \d+ s\b|\b\d+(\.\d+)? ?m?s\b", "TIME"),
        (r"\b\d+(\.\d+)? [KMG]iB\b|\b\d+ B\b", "SIZE"),
        (r"\b[0-9a-f]{12,64}\b", "DIGEST"),
        (r"(?<=-)[0-9a-f]{8}(?=/)", "DIGEST"),
        (r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "ID"),
        (r"-?\b\d+\.\d+(e-?\d+)?\b|\b\d+e-\d+\b", "NUMBER"),
        (r"\b(polars|scikit-learn|cpython|Python|numpy) NUMBER(\.\d+)*|\b(cpython|Python) \d[\d.]*", "VERSION"),
        (r"[ ]+", " "),
    ):
        text = re.sub(pattern, word, text)
    return "\n".join(_in_one_order(line.rstrip() for line in text.strip("\n").rstrip().splitlines()))


def _in_one_order(lines: Iterable[str]) -> Iterator[str]:
    """Yield *lines* with the progress of steps sorted: which of two that run at once ends first is chance.

    >>> list(_in_one_order(["run", " b clean succeeded TIME", " a explore succeeded TIME", "done"]))
    ['run', ' a explore succeeded TIME', ' b clean succeeded TIME', 'done']
    """
    for is_progress, group in itertools.groupby(lines, key=lambda line: line.startswith(" ")):
        found = list(group)
        yield from sorted(found) if is_progress else found


def run_pages(pages: Iterable[Path], home: Path) -> Iterator[tuple[Path, Ran]]:
    """Run everything that pages show, in order, in the folder *home*; yield each page with each command and program."""
    session = Session(folder=home, home=home)
    with session.services:
        for page in pages:
            for ran in _run_page(page, session):
                yield page, ran


def has_something_to_run(page: Path) -> bool:
    """Tell whether a page shows a command or a program."""
    blocks = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return any(block["language"] != "toml" for block in blocks)


def _run_page(page: Path, session: Session) -> Iterator[Ran]:
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        target, text = block["target"].strip(), block["text"]
        if block["language"] == "console":
            for command, expected in commands_of(text):
                yield (session.serve if target == "service" else session.run)(command, expected)
        elif target:
            session.write(target, text)
        elif block["language"] == "python":
            file = session.home / "program.py"
            file.write_text(text, encoding="utf-8")
            yield session.run(f"PYTHONPATH=. python {file}", "")


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output below it."""
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = piece.splitlines()
        end = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        yield "\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :]).strip("\n")


def renew(pages: list[Path]) -> None:
    """Write what the commands print now into the pages; outputs that are as expected stay as they are."""
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    done = dict.fromkeys(pages, 0)
    with tempfile.TemporaryDirectory() as folder:
        for page, ran in run_pages(pages, Path(folder)):
            print(f"{'as expected' if ran.as_expected else 'RENEWED'}  [{ran.exit_code}]  {ran.command}")
            old = f"$ {ran.command}\n" + (f"{ran.expected}\n" if ran.expected else "")
            place = texts[page].find(old, done[page])
            if place < 0:
                print(ran.actual)
                continue
            new = old if ran.as_expected else f"$ {ran.command}\n{ran.actual}\n"
            texts[page] = texts[page][:place] + new + texts[page][place + len(old) :]
            done[page] = place + len(new)
    for page, text in texts.items():
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    renew([Path(name) for name in sys.argv[1:]])
