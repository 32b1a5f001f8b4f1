from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

from tests.cli.command import COMMAND, done, environment, filiera


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
