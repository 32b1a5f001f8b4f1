"""Profiles on the terminal."""

from __future__ import annotations

import pytest

from filiera.cli.profile_text import histogram_line, profile_text

pl = pytest.importorskip("polars")

from filiera.data.explore import explore  # noqa: E402


def test_bars_are_as_high_as_they_count() -> None:
    """Nothing is blank, anything is seen, the most is full."""
    assert histogram_line([0, 1, 500, 1000]) == " ▁▄█"
    assert histogram_line([]) == histogram_line([0]).strip() == ""


def test_lines_say_what_each_kind_of_column_holds() -> None:
    """Numbers have ends and a histogram, categories their most frequent values, lists their lengths."""
    frame = pl.DataFrame(
        {
            "n": [float(i) for i in range(98)] + [-1.0, float("nan")],
            "c": ["a"] * 75 + ["b"] * 25,
            "l": [[1, 2]] * 100,
            "m": [None] * 100,
        }
    )
    lines = profile_text(explore(frame, title="t")).splitlines()
    assert lines[0] == "t: 100 rows × 4 columns, 100 missing cells, 0 repeated rows"
    numbers, categories, lists, missing = lines[3:7]
    assert "<0: 1 %, NaN, ∞: 1 %" in numbers
    assert "a: 75 %, b: 25 %" in categories
    assert "length 2 to 2" in lists
    assert "100 %" in missing
    assert "- No value at all: m." in lines


def test_estimates_are_marked() -> None:
    """Figures of a large table that come from some of its rows have a ~, and how far off they may be is said."""
    text = profile_text(explore(pl.DataFrame({"a": range(200_000)}), title="t"))
    assert "~100," in text or "~99," in text
    assert "from 131,072 rows drawn at random" in text
    assert "~" not in profile_text(explore(pl.DataFrame({"a": range(1000)}), title="t"))
