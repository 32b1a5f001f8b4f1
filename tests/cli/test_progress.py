from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from filiera.cli.progress import RunProgress
from filiera.cli.screen import Screen
from filiera.core.events import Event, RunStarted, StepExtended, StepFailed, StepStarted
from filiera.core.runstate import RunState
from filiera.core.task import Failure, LogSpan
from tests.cli.command import COMMAND, done, environment, filiera, make_project
from tests.cli.shapes import CODE


def on_terminal(*words: str, cwd: Path, columns: int = 40) -> tuple[int, bytes]:
    """Run ``filiera`` on a terminal of that width; return its exit code and all that the terminal received."""
    master, slave = pty.openpty()
    env = {**environment(), "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen([*COMMAND, *words], cwd=cwd, stdout=slave, stderr=slave, stdin=slave, env=env) as process:
        os.close(slave)
        received = []
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:  # the terminal's other side is closed: the process and its workers have ended
                break
            if not piece:
                break
            received.append(piece)
    os.close(master)
    return process.returncode, b"".join(received)


def screen(received: bytes) -> list[str]:
    """Return the lines that stay: each redrawn from its start, colours removed."""
    text = re.sub(r"\033\[\d*m", "", received.decode())
    return [line.rsplit("\r\033[K", 1)[-1].rstrip("\r") for line in text.split("\n")]


def test_a_terminal_shows_what_runs_and_is_left_clean(project: Path) -> None:
    """While steps run, a last line tells which; it never wraps, and nothing of it stays."""
    code, received = on_terminal("run", "hello", "--name", "x" * 60, cwd=project)
    assert code == 0
    drawn = re.findall(r"\r\033\[K(  \[\d/\d\][^\r\n]*)", received.decode())
    assert drawn and all(len(line) < 40 for line in drawn)
    lines = screen(received)
    assert [line.split()[:3] for line in lines] == [
        ["greet", "│", "greeting"],
        ["greet", "transform", "succeeded"],
        ["count", "transform", "succeeded"],
        ["hello-1", "succeeded:", "2"],
        [],
    ]
    assert b"\033[32msucceeded\033[0m" in received


def test_a_failure_on_a_terminal_is_red_and_clean(project: Path) -> None:
    """The live line does not mix with the failure."""
    code, received = on_terminal("run", "broken", cwd=project)
    assert code == 1
    assert b"\033[31mfailed   \033[0m" in received
    assert not any("[2/2]" in line or "[1/2]" in line for line in screen(received))


def test_steps_of_this_process_print_once(project: Path) -> None:
    """The inline executor leaves the terminal to the steps, whose output the command does not show again."""
    config = project / "filiera.toml"
    config.write_text(config.read_text() + 'executor = "inline"\n')
    assert done("run", "hello", cwd=project).out.count("greeting world") == 1
    as_json = filiera("run", "hello", "--name", "Ada", "--json", cwd=project)
    assert as_json.data["status"] == "succeeded"
    assert "greeting Ada" in as_json.err


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    return make_project(tmp_path / "shapes", code=CODE)


def test_few_calls_of_a_map_have_lines_and_many_have_one(shapes: Path) -> None:
    """What fails is told in any case."""
    few = done("run", "mapped", cwd=shapes).out
    assert re.search(r"^  double\[2\] *│ doubling 2$", few, re.MULTILINE)
    assert len(re.findall(r"^  double\[\d\]  transform  succeeded", few, re.MULTILINE)) == 3
    many = filiera("run", "mapped", "--count", "40", "--bad", "17", cwd=shapes)
    steps = [line.split()[:3] for line in many.out.splitlines() if line.startswith("  ")]
    assert steps[:4] == [
        ["numbers", "transform", "succeeded"],
        ["double[17]", "transform", "failed"],
        ["double", "transform", "failed"],
        ["total", "transform", "blocked"],
    ]
    again = done("run", "mapped", "--count", "41", cwd=shapes).out
    assert re.search(r"double *transform *succeeded *41 steps: 38 ran, 3 from cache; ", again)


def test_what_many_steps_become_is_counted_with_them(shapes: Path) -> None:
    """A map over a step that makes graphs: one line, not one per graph."""
    steps = [line.split()[:3] for line in done("run", "nested", cwd=shapes).out.splitlines()]
    assert [line[0] for line in steps[:-1]] == ["numbers", "each", "total"]


def test_a_map_of_many_is_counted_while_it_runs(shapes: Path) -> None:
    """In a terminal the last line has how many calls have ended; it is gone in the end."""
    code, received = on_terminal("run", "mapped", "--count", "600", "--bad", "0", cwd=shapes, columns=80)
    assert code == 1
    assert not any("/600" in line for line in screen(received))
    drawn = [line for line in received.decode().split("\r\033[K") if line.startswith("  [")]
    assert all(len(line) < 80 for line in drawn)


def test_branches_caught_failures_and_questions_have_lines(shapes: Path) -> None:
    """Skipped with the condition, caught with the error, waiting with the question."""
    out = done("run", "branched", cwd=shapes).out
    assert "skipped    is_large returned False" in out
    assert "caught     ValueError: never works (goes on with the value that catch gives)" in out
    assert out.endswith("branched-1 succeeded: 2 ran, 0 from cache, 1 caught, 1 skipped\n")
    assert "about to fail" in done("log", "branched/caught", cwd=shapes).out


class Heard(Screen):
    """A screen that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(is_quiet=False, may_draw=False)
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def failing(count: int) -> tuple[RunProgress, Heard, RunState]:
    """Return the progress of a map of which all calls have failed."""
    screen, state = Heard(), RunState()
    shown = RunProgress(screen)
    events: list[Event] = [
        RunStarted(pipeline="p", kind="data", steps=(("m", "train"),), parameters={}),
        StepExtended(step="m", steps=tuple((f"m[{i}]", "train") for i in range(count))),
    ]
    failure = Failure(kind="raised", error="ValueError", message="no")
    for number in range(count):
        log = LogSpan(file="w", start=0, end=0)
        events.append(StepStarted(step=f"m[{number}]", attempt=1, pid=1, log=log))
        events.append(StepFailed(step=f"m[{number}]", attempt=1, failure=failure, duration_s=0.0))
    for event in events:
        state.apply(event)
        shown.show(event, state, Path())
    return shown, screen, state


def test_thousands_of_failures_do_not_fill_the_screen() -> None:
    """The first ones are told, then that there are more; nothing runs any longer in the end."""
    shown, screen, _ = failing(3_000)
    assert len(screen.lines) == 51
    assert screen.lines[-1] == "  … what else goes wrong is counted and not listed here"
    assert shown.running == {}
    assert str(shown.folds["m"]) == "m 3,000/3,000, 3,000 failed"
