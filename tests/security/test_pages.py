"""Pages are made of names and values that come from anywhere: opened in a real browser, nothing in them runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from filiera.adapters.markdown_page import document_html
from filiera.core.charts import Line, line_chart, page
from filiera.core.document import Document, Section
from filiera.core.evaluation import Evaluation
from filiera.core.metric import Metric, Metrics
from filiera.data.diff import Table, diff_tables
from filiera.data.diff_report import diff_html
from filiera.data.explore import explore
from filiera.data.report import profile_html
from filiera.model.report import evaluation_html
from filiera.monitoring.drift import compare
from filiera.monitoring.report import render
from tests.architecture.tree import MODULES, short
from tests.monitoring.freezing import freeze

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), "")
RUN = "document.documentElement.setAttribute('ran','yes')"
HOSTILE = (
    f"\"'></style></title></svg><script>{RUN}</script><img src=x onerror={RUN}>"
    f"<svg onload={RUN}><iframe srcdoc='<script>parent.{RUN}</script>'></iframe><a href=javascript:{RUN}>"
)


def frame(shift: float = 0.0) -> pl.DataFrame:
    """Return rows whose names and values are hostile."""
    numbers = np.random.default_rng(0).normal(size=400) + shift
    return pl.DataFrame({HOSTILE: [HOSTILE, "b"] * 200, f"y{HOSTILE}": [HOSTILE, "c"] * 200, f"n{HOSTILE}": numbers})


def compared() -> str:
    before, after = (Table(name=HOSTILE, frame=frame(shift).lazy()) for shift in (0.0, 1.0))
    return diff_html(diff_tables(before, after)).text


def card() -> str:
    cell = HOSTILE.replace("|", "")
    table = f"| a | b |\n| - | - |\n| {cell} | [x](javascript:{RUN}) |"
    section = Section(f"Section {cell}", table)
    return document_html(Document(kind="Card", title=HOSTILE, lead=HOSTILE, sections=(section,))).text


def evaluated() -> str:
    metric = Metric(name=HOSTILE, value=0.9, low=0.8, high=0.95, n=12, method="wilson", baseline=0.5)
    rows = pl.DataFrame({"truth": [HOSTILE, "b"], "prediction": ["b", HOSTILE]})
    metrics = Metrics((metric,), task="classification")
    return evaluation_html(Evaluation(metrics=metrics, rows=rows), title=HOSTILE).text


PAGES: Mapping[str, Callable[[], str]] = {
    "profile": lambda: profile_html(explore(frame(), title=HOSTILE, target=f"y{HOSTILE}")).text,
    "difference": compared,
    "drift": lambda: render(compare(freeze(frame()), frame(2.0)), title=HOSTILE, facts=[(HOSTILE, HOSTILE)]).text,
    "card": card,
    "evaluation": evaluated,
    "curves": lambda: page(HOSTILE, [line_chart([Line(HOSTILE, [(0, 1.0), (1, 2.0)])], label=HOSTILE)]).text,
}


def opened(file: Path, content: str) -> str:
    """Return what a browser makes of a page, once it has been loaded."""
    file.write_text(content, encoding="utf-8")
    profile = f"--user-data-dir={file.parent / 'profile'}"
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--virtual-time-budget=2000", profile)
    done = subprocess.run(
        [BROWSER, *quiet, "--dump-dom", file.as_uri()], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout, done.stderr
    return done.stdout


def has_run(dom: str) -> bool:
    return bool(re.search(r'<html[^>]* ran="yes"', dom))


@pytest.mark.skipif(not BROWSER, reason="no Chromium here")
def test_no_page_runs_what_data_says(tmp_path: Path) -> None:
    """Not one of all pages, in a browser that does run the same text where it stands by itself."""
    assert has_run(opened(tmp_path / "naive.html", f"<html><body>{HOSTILE}</body></html>")), "the browser can tell"
    made = {name: make() for name, make in PAGES.items()}
    assert [name for name in made if has_run(opened(tmp_path / f"{name}.html", made[name]))] == []


class Elements(HTMLParser):
    """The elements of a page and their attributes."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.mark.parametrize("name", PAGES)
def test_no_element_of_a_page_can_run(name: str) -> None:
    """Without a browser, too: no script, no handler, no address; and the page forbids what it must not hold."""
    content = PAGES[name]()
    found = Elements(content)
    assert found.tags.isdisjoint({"script", "iframe", "img", "object", "embed", "link", "form", "base"})
    assert [each for each in found.attributes if each[0].startswith("on") or each[0] in ("srcdoc", "src")] == []
    assert [value for name, value in found.attributes if name == "href" and not value.startswith("#")] == []
    assert "default-src 'none'" in content


def test_every_page_forbids_scripts() -> None:
    """Whatever module writes the head of a page writes the rule of what it may load, before anything else."""
    heads = {
        short(path): text
        for path in MODULES
        if "<!doctype html" in (text := path.read_text(encoding="utf-8")).lower()
        and not short(path).startswith("templates/")
    }
    assert len(heads) >= 6
    assert [name for name, text in heads.items() if "Content-Security-Policy" not in text] == []
