from __future__ import annotations

import json
import math

import pytest

from filiera.cli.output import coloured, how_big, how_long, print_facts, print_json, print_table, shortened, when


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Every column is as wide as its widest cell; numbers stand to the right; no blanks end a line."""
    print_table(["name", "n", "what"], [["a", 5, "x"], ["longer", 1234, None]], right=("n",))
    assert capsys.readouterr().out == "NAME       N  WHAT\na          5  x\nlonger  1234\n"


def test_a_cell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A message of several lines does not break the table."""
    print_table(["message"], [["one\ntwo"]])
    assert capsys.readouterr().out == "MESSAGE\none two\n"


def test_an_empty_table_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    """No rows are no error."""
    print_table(["a", "b"], [])
    assert capsys.readouterr().out == "A  B\n"


def test_facts_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Values stand below each other."""
    print_facts({"run": "hello-1", "pipeline": "hello"})
    assert capsys.readouterr().out == "run       hello-1\npipeline  hello\n"


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    """What JSON cannot say is null, so that every parser reads it."""
    print_json({"a": [math.nan, 1.5, (math.inf, {"b": -math.inf})], "é": "→"})
    text = capsys.readouterr().out
    assert json.loads(text, parse_constant=pytest.fail) == {"a": [None, 1.5, [None, {"b": None}]], "é": "→"}
    assert "→" in text


def test_no_colours_without_a_terminal() -> None:
    """Text stays as it is when standard output is no terminal."""
    assert coloured("failed", "failed") == "failed"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0 ms"), (0.9, "900 ms"), (1, "1.0 s"), (59.9, "59.9 s"), (60, "1 min 0 s"), (7260, "2 h 1 min")],
)
def test_durations(seconds: float | None, text: str) -> None:
    """A duration has the unit that people would use."""
    assert how_long(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 * 1024**4, "3.0 TiB")])
def test_sizes(size: int, text: str) -> None:
    """A size has the unit that people would use."""
    assert how_big(size) == text


def test_shortened_text_is_one_line() -> None:
    """At most so many characters, of the first line."""
    assert [shortened("abc\nd", 3), shortened("abcd", 3)] == ["abc", "ab…"]


def test_no_time_is_no_text() -> None:
    """What has not happened has no time."""
    assert when(None) == ""
    assert len(when(0.0)) == len("1970-01-01 00:00:00")
