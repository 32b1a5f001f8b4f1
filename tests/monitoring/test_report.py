from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from filiera.core.report import Html
from filiera.monitoring.drift import compare
from filiera.monitoring.findings import DriftReport
from filiera.monitoring.report import MAX_CHARTS, render
from tests.monitoring.freezing import freeze

NASTY = "<script>alert('x')</script>&\""
VOID = {"meta", "rect"}


class Page(HTMLParser):
    """Checks that what opens is closed, and keeps the texts and tags."""

    def __init__(self, page: Html) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[str] = []
        self.feed(page.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def frame(rows: int, *, seed: int = 0, shift: float = 0.0, name: str = "x") -> pl.DataFrame:
    """Return a number that may move, and a category that does not."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame({name: rng.normal(size=rows) + shift, "protocol": rng.choice(["tcp", "udp"], rows)})


def drifted() -> DriftReport:
    """Return a report with one alarm."""
    return compare(freeze(frame(5000)), frame(500, seed=1, shift=1.0))


def test_page_shows_what_changed() -> None:
    """Verdict and summary, a drawing for each column that changed, and a table of all."""
    page = Page(render(drifted(), title="flow-classifier@3", facts=[("First prediction", "2026-03-01 09:00")]))
    assert page.tags.count("svg") == 1
    assert page.tags.count("tr") == 3
    for expected in ("flow-classifier@3", "drift", "in 1 of 2 columns", "First prediction", "2026-03-01 09:00"):
        assert expected in page.text


def test_page_is_self_contained() -> None:
    """No script, no address, no file: it opens the same anywhere, for ever."""
    page = render(drifted(), title="flow-classifier@3")
    parsed = Page(page)
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(parsed.tags)
    assert not any(name in {"src", "href"} or name.startswith("on") for name in parsed.attributes)
    assert "://" not in page.text
    assert "url(" not in page.text


def test_every_value_is_escaped() -> None:
    """Names and values come from outside: whatever they contain is text and nothing else."""
    trained = frame(5000, name=NASTY).with_columns(protocol=pl.lit(NASTY))
    live = frame(500, name=NASTY, shift=2.0).with_columns(
        pl.lit(NASTY + "2").alias("protocol"), pl.lit(1).alias(NASTY + "3")
    )
    page = render(compare(freeze(trained), live), title=NASTY, facts=[(NASTY, NASTY)])
    assert "<script" not in page.text
    assert page.text.count("&lt;script&gt;") > 10
    Page(page)


@pytest.mark.parametrize("rows", [0, 20])
def test_not_enough_data_is_said(rows: int) -> None:
    """A window without rows still gives a page, and it does not say "quiet"."""
    page = Page(render(compare(freeze(frame(5000)), frame(rows)), title="m@1"))
    assert "not enough data" in page.text
    assert "svg" not in page.tags


def test_many_alarms_are_drawn_up_to_a_limit() -> None:
    """A hundred drifted columns do not make a page of a hundred drawings; the table has them all."""
    trained = pl.DataFrame({f"c{i}": np.arange(1000.0) for i in range(100)})
    page = Page(render(compare(freeze(trained), trained + 2000.0), title="m@1"))
    assert page.tags.count("svg") == MAX_CHARTS
    assert page.tags.count("tr") == 101
    assert f"{100 - MAX_CHARTS} more in the table" in page.text


def test_same_report_same_bytes() -> None:
    """Nothing but the arguments is in the page: no clock, no random names."""
    assert render(drifted(), title="m@1") == render(drifted(), title="m@1")
