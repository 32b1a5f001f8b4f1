"""What values look like, and that nothing in them becomes part of the page."""

from __future__ import annotations

import base64
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera import Html, Markdown, Metric, Metrics, pipeline, step
from filiera.core.artifact import ArtifactRef
from filiera.core.check import CheckReport, CheckResult
from filiera.core.gate import Gate, GateReport, GateResult
from filiera.core.report import Svg
from filiera.notebook import display
from filiera.notebook.display import shown
from filiera.project.versions import Version

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
ALLOWED = {
    "div": set(), "b": set(), "pre": set(), "table": set(), "thead": set(), "tbody": set(), "tr": set(),
    "th": {"style"}, "td": {"style"}, "span": {"style"}, "iframe": {"sandbox", "srcdoc", "title", "style"},
    "img": {"alt", "src", "style"},
    "svg": {"xmlns", "viewbox", "width", "height", "role", "aria-label", "style"}, "g": set(), "title": set(),
    "rect": {"x", "y", "width", "height", "rx", "fill", "stroke", "stroke-width"},
    "text": {"x", "y", "fill"}, "path": {"d", "fill", "stroke", "stroke-width"},
}  # fmt: skip
TEXTS = st.text(max_size=30) | st.sampled_from([EVIL, "</td>", "&lt;", "javascript:alert(1)", "]]>", "\0"])


class Elements(HTMLParser):
    """Reads a page as a browser would and keeps its elements and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def elements(page: str) -> Elements:
    """Return the elements of a page, all of them ours."""
    read = Elements(page)
    assert {
        tag: set(attributes) for tag, attributes in read.found if not set(attributes) <= ALLOWED.get(tag, set())
    } == {}
    assert {tag for tag, _ in read.found} <= set(ALLOWED)
    return read


def version_of(text: str) -> Version:
    """Return a version that says *text* wherever it can."""
    ref = ArtifactRef(digest="0" * 64, codec="json/1", size_bytes=3)
    metrics = {text: {"value": 0.9, "low": 0.8, "high": 1.0, "n": 10}}
    return Version(
        kind="model", name=text, number=1, artifact=ref, run_id=text, created_at=2.0, aliases=(text,),
        description={"metrics": metrics, "columns": {text: text}, text: text}, inputs={text: text},
    )  # fmt: skip


@given(text=TEXTS)
def test_what_a_version_says_is_text(text: str) -> None:
    """Names, descriptions, columns and aliases are shown, never obeyed."""
    elements(display.version(version_of(text)))


@given(text=TEXTS)
def test_a_report_is_in_a_frame_without_rights(text: str) -> None:
    """The frame's sandbox allows nothing, and the report is all inside it."""
    (frame,) = elements(shown(Html(text))).found
    assert (frame[0], frame[1]["sandbox"]) == ("iframe", "")
    assert frame[1]["srcdoc"] == Elements(f'<i a="{escape(text)}">').found[0][1]["a"]


@given(text=TEXTS)
def test_a_figure_is_an_image(text: str) -> None:
    """As an image, a drawing runs no script; its bytes are those that were stored."""
    (image,) = elements(shown(Svg(text))).found
    kind, _, content = (image[1]["src"] or "").partition(",")
    assert (image[0], kind) == ("img", "data:image/svg+xml;base64")
    assert base64.b64decode(content) == text.encode("utf-8", "replace")


@given(text=TEXTS)
def test_texts_and_plain_values_are_text(text: str) -> None:
    """Markdown is not rendered: it could hold any HTML."""
    for value in (Markdown(text), text, {text: [text]}, Path(f"/nowhere/{text.replace(chr(0), '')[:20]}")):
        if not isinstance(value, Path):
            elements(shown(value))


def test_metrics_gates_and_checks_are_tables() -> None:
    """Each with what it says, and nothing of it an element."""
    metric = Metric(name=EVIL, value=0.9, low=0.8, high=0.95, n=1234, method="wilson", baseline=0.5)
    metrics = Metrics((metric,), task="classification")
    assert elements(shown(metrics)).texts[-5:] == ["0.9000", "0.8000", "0.9500", "1,234", "0.5000"]
    gate = Gate("f1", at_least=0.9)
    numbers = {"observed": 0.5, "bound_used": 0.4, "needed": 0.9, "detectable": None}
    gates = GateReport((GateResult(gate=gate, passed=False, reason=EVIL, **numbers),))
    assert elements(shown(gates)).texts[-2:] == ["FAILED", EVIL]
    result = CheckResult(
        name=EVIL, kind="not_null", columns=(EVIL,), severity="warn", passed=False, rows_checked=3, reason=EVIL
    )
    assert elements(shown(CheckReport(results=(result,), rows=3))).texts[-2:] == [EVIL, EVIL]


def test_tables_show_themselves() -> None:
    """A table of a library that knows notebooks is shown by it: first rows, with names and types."""
    table = pl.DataFrame({"bytes": list(range(100)), EVIL: ["x"] * 100})
    page = shown(table)
    assert "shape: (100, 2)" in page
    assert "i64" in page
    assert "<script>" not in page


class Boastful:
    """A value whose own HTML is no text."""

    def _repr_html_(self) -> int:
        return 3


@pytest.mark.parametrize("value", [None, 3, float("nan"), [EVIL], Boastful()])
def test_any_value_can_be_shown(value: Any) -> None:
    """What has no form of its own is shown as text."""
    assert shown(value).startswith("<pre>")
    elements(shown(value))


@step
def load(n: int) -> int:
    return n


@step
def double(n: int) -> int:
    return 2 * n


@pipeline(kind="data")
def small(n: int = 1):
    return double(load(n))


@pipeline(kind="data")
def many(n: int):
    for index in range(300):
        last = load(index)
    return last


def test_a_pipeline_is_shown_as_its_graph() -> None:
    """With its default parameters; one that needs others is shown as text."""
    tags = [tag for tag, _ in elements(display.pipeline(small) or "").found]
    assert (tags.count("rect"), tags.count("path")) == (2, 1)
    assert display.pipeline(many) is None


def test_a_large_graph_is_a_list() -> None:
    """Names instead of a drawing in which nothing could be read."""
    page = elements(display.graph(many.trace({"n": 1})))
    assert "300 steps" in "".join(page.texts)
    assert "svg" not in [tag for tag, _ in page.found]


def test_values_stand_below_each_other() -> None:
    """The outputs of a step with several."""
    assert elements(display.values([3, Html("<h1>x</h1>")])).texts == ["3"]
