"""Names, values and what steps print may come from anywhere: on a terminal they are read, they do not steer it."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.cli.output import print_facts, table_text
from filiera.cli.visible import visible
from tests.cli.command import COMMAND, environment, filiera, make_project

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31mred\r\nforged line\u202etxt.exe"
STEERS = ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e")


def on_a_terminal(*words: str, cwd: Path) -> str:
    """Return all that ``filiera`` writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*COMMAND, *words], cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, env=environment()):
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # so says Linux when nobody has the other end any more
                break
            if not part:
                break
            written += part
    os.close(ours)
    return written.decode()


def test_what_others_named_and_printed_does_not_steer_a_terminal(tmp_path: Path) -> None:
    """While a run prints, in its log, in tables and in errors; what is ours to draw with is still drawn."""
    folder = make_project(tmp_path / "small")
    live = on_a_terminal("run", "hello", "--name", HOSTILE, cwd=folder)
    shown = [on_a_terminal(*words, cwd=folder) for words in (["log", "hello-1"], ["show", "hello-1"])]
    missing = on_a_terminal("show", f"nobody{HOSTILE}", cwd=folder)
    for text in (live, *shown, missing):
        assert [sign for sign in STEERS if sign in text] == []
        assert r"\x1b]0;title\x07" in text
    assert "\r\x1b[K" in live and "\x1b[32msucceeded\x1b[0m" in live


def test_what_a_program_reads_is_not_changed(tmp_path: Path) -> None:
    """In a pipe a log comes byte for byte, and JSON is JSON; tables and errors, which are for people, stay harmless."""
    folder = make_project(tmp_path / "small")
    assert filiera("run", "hello", "--name", HOSTILE, cwd=folder).code == 0
    assert "\x1b]0;title\x07" in filiera("log", "hello-1", cwd=folder).out
    assert filiera("show", "hello-1", "--json", cwd=folder).data["parameters"]["name"].startswith("\x1b]0;")
    for answer in (filiera("show", "hello-1", cwd=folder), filiera("show", f"x{HOSTILE}", cwd=folder)):
        assert "\x1b" not in answer.out + answer.err


@given(st.text())
def test_nothing_that_steers_is_left(text: str) -> None:
    """No control character but tabs and line ends, no change of direction; all else is as it was."""
    told = visible(text)
    assert not any(sign in told for sign in map(chr, {*range(9), *range(11, 32), *range(127, 160)}))
    assert not any(sign in told for sign in "\u202a\u202e\u2066\u2069\u200f")
    if all(sign.isprintable() or sign in "\t\n" for sign in text):
        assert told == text


def test_cells_and_facts_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody can add a row to a table by what they call things."""
    assert table_text(["name"], [["a\r\nb\x1b[1A"]]).splitlines() == ["NAME", r"a\r b\x1b[1A"]
    print_facts({"name": "a\nb\x1b[2J"})
    assert capsys.readouterr().out == "name  a b\\x1b[2J\n"
