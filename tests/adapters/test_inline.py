from __future__ import annotations

import contextlib
import functools
import logging
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from filiera.adapters.inline import InlineExecutor
from filiera.core.task import Finished, Task
from filiera.engine.checkpoints import Checkpoints
from filiera.engine.execute import execute_here
from filiera.engine.logs import read_log
from filiera.testing.executor import ExecutorContract, Load, make_task, run
from tests.engine.plain_artifacts import PlainArtifacts

ROOT = Path(__file__).parents[2]


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def executor(log_dir: Path) -> Iterator[InlineExecutor]:
    artifacts = PlainArtifacts()
    checkpoints = Checkpoints(log_dir.parent / "checkpoints", artifacts)
    execute = functools.partial(execute_here, artifacts=artifacts, checkpoints=checkpoints)
    executor = InlineExecutor(execute, log_dir=log_dir)
    yield executor
    executor.close()


class TestInlineExecutor(ExecutorContract):
    @pytest.fixture
    def load(self) -> Load:
        return PlainArtifacts().get


def test_output_goes_to_the_terminal_too(executor: InlineExecutor, capsys: pytest.CaptureFixture[str]) -> None:
    """What a step prints is seen where the run was started, and the streams are the old ones afterwards."""
    streams = sys.stdout, sys.stderr
    run(executor, make_task("1", "speak", {"word": "hello"}, outputs=0))
    shown = capsys.readouterr()
    assert (shown.out, "hello on stderr" in shown.err) == ("hello on stdout\n", True)
    assert (sys.stdout, sys.stderr) == streams


def test_output_goes_where_the_streams_are_redirected(
    executor: InlineExecutor, capsys: pytest.CaptureFixture[str], log_dir: Path
) -> None:
    """A program whose standard output is for data gets none of a step's words there."""
    with contextlib.redirect_stdout(sys.stderr):
        (finished,) = run(executor, make_task("1", "speak", {"word": "hello"}, outputs=0))
    shown = capsys.readouterr()
    assert (shown.out, "hello on stdout" in shown.err) == ("", True)
    assert finished.log is not None
    assert "hello on stdout" in read_log(log_dir, finished.log).decode()


ASKING = """
import functools, sys
from pathlib import Path
from filiera.adapters.inline import InlineExecutor
from filiera.engine.execute import execute_here
from filiera.testing.executor import make_task, run
from tests.engine.plain_artifacts import PlainArtifacts

def ask(n):
    breakpoint()
    return input(f"{n} or? ")

execute = functools.partial(execute_here, artifacts=PlainArtifacts())
(finished,) = run(InlineExecutor(execute, log_dir=Path(sys.argv[1])), make_task("1", "__main__:ask", {"n": 6}))
print(finished.outputs[0].inline)
"""


@pytest.mark.parametrize("where", ["terminal", "pipes"])
def test_a_debugger_and_its_user_talk(log_dir: Path, where: str) -> None:
    """``breakpoint()`` and ``input()`` in a step ask where the run was started, and take the answer from there."""
    ours, theirs = pty.openpty() if where == "terminal" else socket_pair()
    command = [sys.executable, "-c", ASKING, str(log_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        os.write(ours, b"p n * 7\nc\nforty\n")
        shown = read_to_end(ours)
    assert "(Pdb) " in shown
    assert "42" in shown
    assert "6 or? " in shown
    assert """b'"forty"'""" in shown


def socket_pair() -> tuple[int, int]:
    """Return descriptors of a connection that is no terminal."""
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def read_to_end(fd: int) -> str:
    """Return all that is written to the other end of *fd* until it is closed, and close it."""
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody is there any more
        while piece := os.read(fd, 1 << 16):
            shown += piece
    os.close(fd)
    return shown.decode()


def test_logging_is_shown_when_nobody_configured_it(
    executor: InlineExecutor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, log_dir: Path
) -> None:
    """Messages reach terminal and log once each, and the root logger is left as it was."""
    monkeypatch.setattr(logging.root, "handlers", [])
    level = logging.root.level
    (finished,) = run(executor, make_task("1", "speak", {"word": "hello"}, outputs=0))
    assert finished.log is not None
    for text in (capsys.readouterr().err, read_log(log_dir, finished.log).decode()):
        assert text.count("WARNING contract: hello by logging") == 1
    assert (logging.root.handlers, logging.root.level) == ([], level)


def test_ctrl_c_cancels_the_running_task_and_travels_on(log_dir: Path) -> None:
    """KeyboardInterrupt leaves ``wait``; the task has ended as cancelled and the next one still waits."""

    def interrupt(task: Task) -> Finished:
        raise KeyboardInterrupt

    executor = InlineExecutor(interrupt, log_dir=log_dir)
    executor.submit(make_task("1", "nothing"))
    executor.submit(make_task("2", "nothing"))
    executor.wait(None)
    with pytest.raises(KeyboardInterrupt):
        executor.wait(None)
    executor.cancel(["1", "2"])
    ends = {event.task_id: event for event in executor.wait(None) if isinstance(event, Finished)}
    assert {task_id: end.failure and end.failure.error for task_id, end in ends.items()} == {
        "1": "KeyboardInterrupt",
        "2": "Cancelled",
    }
    assert list(executor.wait(None)) == []


def test_announced_task_can_be_cancelled(executor: InlineExecutor) -> None:
    """A task that was announced but has not begun is still cancelled."""
    executor.submit(make_task("1", "nothing", outputs=0))
    executor.wait(None)
    executor.cancel(["1"])
    (end,) = executor.wait(None)
    assert isinstance(end, Finished)
    assert end.failure is not None
    assert end.failure.kind == "cancelled"


def test_stream_kept_beyond_the_step_is_not_its_log(log_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a step leaves behind prints to the terminal, and not into the output of later steps."""
    kept: list[IO[str]] = []

    def execute(task: Task) -> Finished:
        kept.append(sys.stdout)
        print(f"in {task.task_id}")
        print(f"from before {task.task_id}", file=kept[0])
        return Finished(task_id=task.task_id)

    with contextlib.closing(InlineExecutor(execute, log_dir=log_dir)) as executor:
        first, second = run(executor, make_task("first", "nothing"), make_task("second", "nothing"))
    assert first.log is not None
    assert second.log is not None
    assert read_log(log_dir, first.log) == b"in first\nfrom before first\n"
    assert read_log(log_dir, second.log) == b"in second\n"
    assert "from before second" in capsys.readouterr().out


def test_silent_steps_make_no_log(executor: InlineExecutor, log_dir: Path) -> None:
    """A file is opened when there is something to write."""
    (finished,) = run(executor, make_task("1", "add", {"a": 1, "b": 1}))
    assert finished.log is not None
    assert (read_log(log_dir, finished.log), log_dir.exists()) == (b"", False)


def test_task_that_waited_too_long_fails(executor: InlineExecutor) -> None:
    """A queue timeout counts while other tasks run."""
    late = replace(make_task("late", "add", {"a": 1, "b": 1}), queue_timeout_s=1e-9)
    (end,) = run(executor, late)
    assert end.failure is not None
    assert (end.failure.kind, "queue timeout" in end.failure.message) == ("queue", True)
